#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a guest waits for its dump, how long the dump takes, and what it takes of the host.

    pause.py --vmcorectl build/release/bin/vmcorectl [--memory 4096] [--runs 3] [--ticks] [--peer ANOTHER/vmcorectl]

One guest under plain QEMU and one under a libvirt of its own (session daemon), each dumped while it runs and after it
panicked, by QEMU, by virsh, and by each method of vmcorectl, in turn. A line tells the medians: seconds from start to
end, milliseconds between the guest's STOP and RESUME as a witness on a second monitor sees them, MiB written, and by
how many MiB the guest's memory on the host grew. Dumps go to the cache's file system.

With --ticks (plain QEMU) a program in the guest counts on one of its CPUs, and the lines of the running guest tell for
how many milliseconds the count stood still at most, and how long it does in as much time without a dump: what the
guest itself waits, with all that is not between STOP and RESUME. The count keeps a CPU of the host busy.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.cache import cache_dir
from guests.guest import Config, Guest
from guests.libvirt_rig import LibvirtRig
from guests.ticks import Ticks
from guests.witness import Witness

MIB = 1 << 20
# Of a crashed guest, most of the time goes into compressing.
FASTER = (["--compress-level", "-1"], ["--compress-level", "-3"], ["--compress", "lzo"])


def resident(pid: int) -> int:
    """Bytes of memory of the process, its shared mappings included."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    return 0


def qemu_dump(monitor: Path, out: Path, form: str) -> list:
    """A command that has QEMU dump by itself."""
    script = ("import json, socket, sys\n"
              "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); f = s.makefile('rw'); f.readline()\n"
              "for c in ({'execute': 'qmp_capabilities'}, {'execute': 'dump-guest-memory', 'arguments': "
              "{'paging': False, 'protocol': 'file:' + sys.argv[2], **({'format': sys.argv[3]} if sys.argv[3] != 'elf' else {})}}):\n"
              "    f.write(json.dumps(c) + '\\n'); f.flush()\n"
              "    while 'event' in json.loads(f.readline()): pass\n")
    return [sys.executable, "-c", script, str(monitor), str(out), form]


class Line:
    """What one command took, in all of its runs."""

    def __init__(self, name: str, command: list):
        self.name, self.command, self.failure = name, command, ""
        self.walls, self.pauses, self.sizes, self.grown, self.gaps, self.quiet = [], [], [], [], [], []

    def run(self, out: Path, witness: Witness, pid: int, ticking: Guest | None) -> None:
        out.unlink(missing_ok=True)
        os.sync()
        witness.paused()
        before, started = resident(pid), time.monotonic()
        with Ticks(ticking) if ticking else nullcontext() as ticks:
            done = subprocess.run(self.command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.walls.append(time.monotonic() - started)
        self.pauses.append(witness.paused() * 1000)
        self.grown.append((resident(pid) - before) / MIB)
        if done.returncode != 0:
            self.failure = f"{done.returncode}: {done.stderr.strip()[-200:]}"
            return
        self.sizes.append(out.stat().st_size / MIB)
        if ticking:
            self.gaps.append(ticks.longest * 1000)
            with Ticks(ticking) as ticks:
                time.sleep(self.walls[-1])
            self.quiet.append(ticks.longest * 1000)

    def tell(self) -> None:
        if self.failure:
            print(f"  {self.name:38} FAILED {self.failure}", flush=True)
            return
        print(f"  {self.name:38} {statistics.median(self.walls):8.2f} s {statistics.median(self.pauses):10.1f} ms paused "
              f"{statistics.median(self.sizes):9.1f} MiB {max(self.grown):+9.1f} MiB of the host"
              + (f" {statistics.median(self.gaps):9.1f} ms without a tick (quiet {statistics.median(self.quiet):.1f})"
                 if self.gaps else ""), flush=True)


class Bench:
    """`ours`: what runs vmcorectl, or a peer of it, by name."""

    def __init__(self, runs: int, ours: dict):
        self.runs, self.ours = runs, ours

    def turns(self, lines: list, out: Path, witness: Witness, pid: int, ticking: Guest | None = None) -> None:
        for _ in range(self.runs):
            for line in lines:
                if not line.failure:
                    line.run(out, witness, pid, ticking)
        for line in lines:
            line.tell()
        out.unlink(missing_ok=True)

    def dump(self, words: list, command_of, out: Path, witness: Witness, pid: int, ticking: Guest | None = None) -> None:
        """A dump with these words by each of ours; command_of(program, words) is the whole command."""
        self.turns([Line(f"{name} {' '.join(words)}", command_of(program, words)) for name, program in self.ours.items()],
                   out, witness, pid, ticking)


def plain(bench: Bench, config: Config, folder: Path) -> None:
    with Guest(config) as guest:
        out = folder / "out"
        witness = Witness(guest.folder / "witness.sock")
        for state in ("running", "panicked"):
            ticking = guest if config.tick_cpu >= 0 and state == "running" else None
            if state == "panicked":
                guest.panic()
            print(f"{config.memory_mib} MiB, {config.backend}, plain QEMU, {state}", flush=True)

            def command(program: str, words: list) -> list:
                return [program, "dump", "-q", "--pause-limit", "none", "--qmp", str(guest.qmp_socket), "-o", str(out), *words]

            # ours first: a dump by QEMU touches every page of a shared mapping for good
            for method in ("direct", "qmp"):
                bench.dump(["--method", method], command, out, witness, guest.pid, ticking)
            if state == "panicked":
                for words in FASTER:
                    bench.dump(words, command, out, witness, guest.pid)
            if state == "running":
                for consistency in ("torn", "snapshot"):
                    bench.dump(["--consistency", consistency], command, out, witness, guest.pid, ticking)
            for form in ("kdump-zlib", "elf"):
                bench.turns([Line(f"QEMU dump-guest-memory, {form}", qemu_dump(guest.qmp_socket, out, form))], out, witness,
                            guest.pid, ticking)


def by_libvirt(bench: Bench, memory: int) -> None:
    with LibvirtRig("session", memory_mib=memory) as rig:
        out = rig.folder / "home/out.vmcore"
        pid = int(next(rig.folder.rglob(f"{rig.name}.pid")).read_text())
        witness = Witness(rig.folder / "witness.sock")
        for state in ("running", "panicked"):
            if state == "panicked":
                with socket.socket(socket.AF_UNIX) as console:
                    console.connect(str(rig.folder / "console.sock"))
                    console.sendall(b"panic 0\n")
                while "crashed" not in rig.virsh("domstate", rig.name):
                    time.sleep(0.2)
            print(f"{memory} MiB, ram, libvirt, {state}", flush=True)

            def command(program: str, words: list) -> list:
                return rig.command(program, "dump", "-q", "--pause-limit", "none", "-c", rig.uri, rig.name, "-o", out, *words)

            for method in ("direct", "libvirt"):
                bench.dump(["--method", method], command, out, witness, pid)
            if state == "panicked":
                for words in FASTER:
                    bench.dump(words, command, out, witness, pid)
            virsh = rig.command("virsh", "-q", "-c", rig.uri, "dump", "--memory-only", rig.name, out)
            bench.turns([Line("virsh dump --memory-only", virsh)], out, witness, pid)
        witness.close()     # so that the rig can end QEMU


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmcorectl", default=os.environ.get("VMCORECTL"), required="VMCORECTL" not in os.environ)
    parser.add_argument("--peer", help="another vmcorectl")
    parser.add_argument("--memory", type=int, default=4096, help="MiB of the guests")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ticks", action="store_true", help="watch a program in the guest")
    parser.add_argument("--only", choices=("plain", "libvirt"))
    options = parser.parse_args()
    programs = {"vmcorectl": options.vmcorectl} | ({"peer": options.peer} if options.peer else {})
    bench = Bench(options.runs, {name: str(Path(program).resolve()) for name, program in programs.items()})
    with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as folder:
        if options.only != "libvirt":
            for backend in ("ram", "memfd"):
                config = Config(name="pause", kernel="6.12", memory_mib=options.memory, backend=backend,
                                tick_cpu=1 if options.ticks else -1)
                plain(bench, config, Path(folder))
    if options.only != "plain":
        by_libvirt(bench, options.memory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
