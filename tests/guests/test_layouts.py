#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcorectl dump --method direct` of guests whose memory comes, goes and lies in other ways than from their start on and
in one piece: what is kept equals QEMU's own dump, and nothing of the host's memory is taken for it."""

import os
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.guest import Config, GuestError, virtio_mem
from guests.harness import run_test, scratch_folder
from guests.standing import memory_of_host, standing
from peers import tools
from peers.kdumpfile import open_dump

MIB = 1 << 20
GIB = 1 << 30
SECONDS = 120
MOVABLE = ("memhp_default_state=online_movable",)
FAR = 1088 * GIB
KEEP_USER = 17      # a level at which what `grow` fills is kept


def wait(condition, what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise GuestError(f"no {what} within {SECONDS} s")
        time.sleep(0.1)


def kept_in(begin: int, size: int, at_least: int):
    """Whether a dump keeps so many bytes there."""
    def look(dump_file) -> list:
        kept = (open_dump(str(dump_file)).kept >> begin // 4096 & (1 << size // 4096) - 1).bit_count() * 4096
        return [] if kept >= at_least else [f"{kept // MIB} MiB are kept at {begin:#x}, expected {at_least // MIB}"]
    return look


def grow(guest, mib: int) -> None:
    guest.tell(f"grow {mib}")
    guest.wait_for_line("GROWN", SECONDS)


def request(guest, mib: int) -> None:
    guest.qmp("qom-set", path="/machine/peripheral/vmem", property="requested-size", value=mib * MIB)
    wait(lambda: guest.qmp("qom-get", path="/machine/peripheral/vmem", property="size") == mib * MIB,
         f"{mib} MiB of virtio-mem")


def plug_virtio_mem(guest, vmcorectl):
    """Of 1 GiB a block of the kernel's and a half; the rest of its second block is not there."""
    request(guest, 256)
    grow(guest, 256)
    request(guest, 192)
    begin = guest.qmp("qom-get", path="/machine/peripheral/vmem", property="memaddr")
    done = vmcorectl.run("memory", "--qmp", guest.qmp_socket)
    seen = done.returncode == 0 and "logically offline" in done.stdout and "free pages that" not in done.stdout
    kept = kept_in(begin, GIB, 64 * MIB)
    return lambda dump_file: kept(dump_file) + ([] if seen else [f"not all is seen of the guest: {done.stdout}{done.stderr}"])


def plug_dimms(guest, _):
    """While it runs, one of them more than a TiB away: what fills half of both does not fit into the other."""
    for number, (mib, place) in enumerate(((128, {}), (384, {"addr": FAR}))):
        guest.qmp("object-add", **{"qom-type": "memory-backend-ram", "id": f"hot{number}", "size": mib * MIB})
        guest.qmp("device_add", driver="pc-dimm", id=f"dimm{number}", memdev=f"hot{number}", **place)
    grow(guest, 512)
    return kept_in(FAR, 384 * MIB, 96 * MIB)


def inflate(guest, _):
    """Most of what is free leaves the guest, which has touched all of it."""
    before = memory_of_host(guest)
    guest.qmp("balloon", value=(guest.config.memory_mib - 160) * MIB)
    wait(lambda: guest.qmp("query-balloon")["actual"] == (guest.config.memory_mib - 160) * MIB, "balloon")
    wait(lambda: memory_of_host(guest) < before - 100, "memory given back to the host")
    print(f"  {guest.config.name}: {before} MiB of the host before the balloon, {memory_of_host(guest)} with it", flush=True)


class Merged:
    """Prepares a guest: waits until the host has merged pages of it (KSM)."""

    FOLDER = Path("/sys/kernel/mm/ksm")
    WANTED = {"pages_to_scan": "20000", "sleep_millisecs": "20", "run": "1"}

    def __enter__(self):
        self.before = {name: (self.FOLDER / name).read_text() for name in self.WANTED}
        return self

    def __exit__(self, *_):
        for name in self.WANTED:
            (self.FOLDER / name).write_text(self.before[name])

    def __call__(self, guest, _):
        pages = Path(f"/proc/{guest.pid}/ksm_merging_pages")
        for name, value in self.WANTED.items():
            (self.FOLDER / name).write_text(value)
        wait(lambda: int(pages.read_text()) > 1000, "merged pages")
        (self.FOLDER / "run").write_text("0")
        merged = int(pages.read_text())
        print(f"  {guest.config.name}: {merged} pages are merged", flush=True)

        def look(_) -> list:
            left = int(pages.read_text())
            return [] if left * 10 > merged * 9 else [f"of {merged} merged pages {left} are left"]
        return look


def ovmf() -> tuple:
    """Firmware that hides the end of low memory for itself (SMM, TSEG), in flash."""
    folder = tools.root("ovmf") / "usr/share/OVMF"
    return ("-global", "driver=cfi.pflash01,property=secure,value=on",
            "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={folder}/OVMF_CODE_4M.secboot.fd",
            "-drive", f"if=pflash,unit=1,format=raw,snapshot=on,file={folder}/OVMF_VARS_4M.fd")


def layouts() -> list:
    """(Config, prepare, level)"""
    vmem = {"maxmem": "8G", "memory_mib": 512, "kernel_words": MOVABLE, "modules": ("virtio_mem",)}
    balloon = {"memory_mib": 512, "modules": ("virtio_balloon",), "words": ("-device", "virtio-balloon-pci"),
               "kernel_words": ("init_on_free=1",)}
    return [
        (Config(name="layouts/virtio-mem-6.1", kernel="6.1", backend="memfd",
                words=virtio_mem("memfd,share=on"), **vmem), plug_virtio_mem, KEEP_USER),
        (Config(name="layouts/virtio-mem-6.12", kernel="6.12", words=virtio_mem("ram"), **vmem),
         plug_virtio_mem, KEEP_USER),
        (Config(name="layouts/balloon-6.1", kernel="6.1", backend="ram", **balloon), inflate, 0),
        (Config(name="layouts/balloon-6.12", kernel="6.12", backend="memfd", **balloon), inflate, 0),
        (Config(name="layouts/hot-dimms", kernel="6.12", memory_mib=512, maxmem="2T", kernel_words=MOVABLE,
                words=("-cpu", "max,la57=off,phys-bits=46")),
         plug_dimms, KEEP_USER),
        (Config(name="layouts/ovmf-smm", kernel="6.12", memory_mib=512, machine="q35,smm=on", words=ovmf()), None, 31),
        (Config(name="layouts/three-nodes", kernel="6.1", memory_mib=4608, nodes=3, cpus=3), None, 31),
        (Config(name="layouts/prealloc", kernel="6.1", memory_mib=512, backend="ram-prealloc", vmcoreinfo=False), None, 31),
        (Config(name="layouts/unreserved", kernel="6.12", memory_mib=512, backend="ram-unreserved"), None, 31),
        (Config(name="layouts/mem-path", kernel="6.1", memory_mib=512, backend="mem-path"), None, 31),
        (Config(name="layouts/huge-1G", kernel="6.12", memory_mib=1024, backend="huge-1G"), None, 31),
        (Config(name="layouts/huge-1G-private", kernel="6.12", memory_mib=1024, backend="huge-1G-private"), None, 31),
    ]


def needs_host(config) -> bool:
    """Whether a layout is had only where the host gives what not all have."""
    return config.backend.startswith("huge")


def test(vmcorectl, _, findings) -> None:
    parts = os.environ.get("VMCORECTL_LAYOUTS", "guest host").split()
    with scratch_folder() as scratch:
        for config, prepare, level in layouts():
            if ("host" if needs_host(config) else "guest") in parts:
                standing(vmcorectl, config, Path(scratch), findings, prepare, level)
        if "host" not in parts:
            return
        if Merged.FOLDER.exists():
            with Merged() as merged:
                standing(vmcorectl, Config(name="layouts/merged", kernel="6.12", memory_mib=512), Path(scratch), findings,
                         merged)
        else:
            findings.skip("layouts/merged", "no KSM in this kernel")


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
