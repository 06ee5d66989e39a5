#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines whose RAM lies elsewhere than a PC's usually does: cut lower at the PCI hole, or with no PCI at all. What
`dmesg`, `memory` and `check` see of the running guest, and `memory` and `dump` of one that stands still, is what QEMU's own
dump has; domains of libvirt as well, with NUMA nodes in every kind of memory and untainted."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import test_memory
from guests.dump_checks import expect
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.libvirt_rig import LibvirtRig, available
from guests.standing import HugePages, Standing
from guests.test_dump_libvirt import Case

MEMFD = "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
FILE = "<memoryBacking><source type='file'/><access mode='private'/></memoryBacking>"
HUGE = "<memoryBacking><hugepages/></memoryBacking>"


def low(size: str) -> str:
    return f"max-ram-below-4g={size}"


MACHINES = [Config(name=f"machines/{machine}-{size}", kernel=kernel, memory_mib=5120, machine=f"{machine},{low(size)}")
            for machine, kernel in (("q35", "6.1"), ("pc", "6.12")) for size in ("1G", "2G", "3G")] + [
    Config(name="machines/q35-nodes-1G", kernel="6.12", memory_mib=3072, nodes=2, machine=f"q35,{low('1G')}"),
]
FIRMWARE = ("microvm", "isapc")
# The domain's own: what libvirt is told, and by what it passes on.
DOMAINS = [
    ("pc-1G", dict(memory_mib=1536, machine="pc", qemu_words=("-machine", low("1G")))),
    ("nodes-3-memfd-256M", dict(memory_mib=576, nodes=3, backing=MEMFD, qemu_words=("-machine", low("256M")))),
    ("nodes-4-file", dict(memory_mib=512, nodes=4, backing=FILE)),
    ("nodes-2-huge", dict(memory_mib=512, nodes=2, backing=HUGE)),
]


def seen_running(vmcorectl, guest, findings) -> None:
    name = guest.config.name
    log = vmcorectl.run("dmesg", "--qmp", guest.qmp_socket)
    check = vmcorectl.run("check", "--qmp", guest.qmp_socket)
    memory = test_memory.answer_of(vmcorectl, "memory", "--qmp", guest.qmp_socket)
    print(f"  {name}: running: {test_memory.classes_of(memory)}", flush=True)
    expect(findings, f"{name}: running", [
        ("log", "Linux version" in log.stdout, True), ("release", memory["release"], guest.kernel.release),
        ("direct", "method direct" in check.stdout and f"PASS ({guest.kernel.release})" in check.stdout, True),
        ("status", guest.status(), "running"), ("doubts", [remark["text"] for remark in memory["remarks"]
                                                           if not remark["text"].startswith("torn")], [])])


def of_qemu(vmcorectl, config, findings, folder: Path) -> None:
    with Guest(config) as guest:
        seen_running(vmcorectl, guest, findings)
        guest.qmp("stop")
        test_memory.standing(vmcorectl, guest, findings, folder)
        Standing(vmcorectl, guest, findings, folder).same_as_qemu()


def of_firmware(vmcorectl, machine: str, findings, folder: Path) -> None:
    """Of its firmware alone, which has memory, and no kernel in it."""
    qmp = folder / "qmp.sock"
    with subprocess.Popen(["qemu-system-x86_64", "-M", machine, "-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults",
                           "-display", "none", "-qmp", f"unix:{qmp},server=on,wait=off"], stdin=subprocess.DEVNULL) as qemu:
        try:
            deadline = time.monotonic() + 60
            while not qmp.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(1)
            look = vmcorectl.run("dmesg", "--qmp", qmp)
            print(f"  {machine}: {look.stderr.strip()}", flush=True)
            expect(findings, f"{machine}: firmware", [("searched", "kernel was not found" in look.stderr, True)])
        finally:
            qemu.kill()


def of_libvirt(vmcorectl, name: str, words: dict, findings, folder: Path) -> None:
    with LibvirtRig("session", **words) as rig:
        case = Case(vmcorectl, rig, findings, folder)
        case.kind, case.method = name, "direct"
        case.looks()
        case.one("running", "running", "running", False)
        rig.virsh("suspend", rig.name)
        memory = subprocess.run(rig.command(vmcorectl.path, "memory", "-c", rig.uri, rig.name), stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=300)
        expect(findings, f"{name}: memory", [("exit code", memory.returncode, 0)])
        case.one("standing", "paused (user)", "paused", True)


def test(vmcorectl, _, findings) -> None:
    with scratch_folder() as scratch:
        for machine in FIRMWARE:
            with tempfile.TemporaryDirectory(prefix="vmcorectl-", dir="/tmp") as short:
                of_firmware(vmcorectl, machine, findings, Path(short))
        for config in MACHINES:
            of_qemu(vmcorectl, config, findings, Path(scratch))
        for name, words in DOMAINS if available() else []:
            backend = "huge" if words.get("backing") == HUGE else "ram"
            with HugePages(Config(name=name, memory_mib=words["memory_mib"], backend=backend)) as pages:
                if pages.got:
                    of_libvirt(vmcorectl, name, words, findings, Path(scratch))
                else:
                    findings.skip(name, "no huge pages")
        if not available():
            findings.skip("domains", "no libvirt with its QEMU driver")


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
