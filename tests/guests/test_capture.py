#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A capture image of `vmcore-guest build` saves real crashes: to the host by a virtio-serial port and to a disk. What it
saved equals, page by page, what QEMU dumps of the same guest while its panic kernel runs."""

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.capture_checks import (END_SECONDS, Listener, has, opens_in_crash, room_to_spare, same_as_host,
                                   to_the_host)
from guests.capture_rig import CaptureConfig, CaptureGuest, build_image
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel
from peers.kdumpfile import ElfFile, KdumpFile

SBIN = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/sbin:/usr/sbin"}


def new_disk(path: Path, mebibytes: int) -> Path:
    with open(path, "wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "crashes", path], check=True, env=SBIN)
    return path


def on_disk(disk: Path, path: str) -> list:
    """The names in a folder of an ext4 image."""
    done = subprocess.run(["debugfs", "-R", f"ls -p {path}", disk], capture_output=True, text=True, env=SBIN, check=True)
    names = [line.split("/")[5] for line in done.stdout.splitlines() if line.startswith("/")]
    return sorted(name for name in names if name not in (".", "..", "lost+found"))


def from_disk(disk: Path, path: str, out: Path) -> Path:
    subprocess.run(["debugfs", "-R", f"dump {path} {out}", disk], capture_output=True, env=SBIN, check=True)
    return out


def to_a_disk(findings, name: str, crashkernel: str, folder: Path, way: str, words: list) -> None:
    """The port comes first in the configuration, but this guest has none."""
    of = kernel(name)
    image = build_image(of, folder, "target = port\ntarget = file:LABEL=crashes:/var/crash\n",
                        "LABEL=crashes /x ext4 defaults\n")
    disk = new_disk(folder / "disk", 256)
    with CaptureGuest(CaptureConfig(name="disk", kernel=name, crashkernel=crashkernel, disks=(disk,), port=False),
                      image) as guest:
        guest.load()
        guest.crash(way)
        guest.wait_for_text("vmcore-guest: saved ", END_SECONDS)
        host = ElfFile(guest.dump_elf(folder / "host.elf"))
        guest.wait_for_end(END_SECONDS)
        console = guest.console
    findings.check(f"{name}: disk: console", has(console, "the console", [
        "port: this machine has no virtio-serial port named org.vmcorectl.dump.0", "the crash is saved"]))
    findings.check(f"{name}: disk: memory", room_to_spare(console))
    names = on_disk(disk, "/var/crash")
    dump = next((found for found in names if found[0].isdigit()), "")
    findings.check(f"{name}: disk: files", [] if len(names) == 4 and on_disk(disk, f"/var/crash/{dump}") == [
        "dmesg.txt", "vmcore"] else [f"{names}, {on_disk(disk, f'/var/crash/{dump}')}"])
    log = from_disk(disk, f"/var/crash/{dump}/dmesg.txt", folder / "dmesg").read_text(errors="replace")
    reason = from_disk(disk, "/var/crash/reboot-reason", folder / "reason").read_text()
    findings.check(f"{name}: disk: log", has(log, "dmesg.txt", words) + has(reason, "reboot-reason", words[:1]))
    vmcore = from_disk(disk, f"/var/crash/{dump}/vmcore", folder / "vmcore")
    findings.check(f"{name}: disk: pages", same_as_host(KdumpFile(vmcore), host, log))
    opens_in_crash(findings, f"{name}: disk", vmcore, of)
    (folder / "host.elf").unlink()


def host_stops_reading(findings, name: str, folder: Path) -> None:
    """The port's reader hangs, and the disk has no room: what is there is kept, and the guest ends all the same."""
    of = kernel(name)
    image = build_image(of, folder, "target = port\ntarget = file:/dev/vdb:/\non-failure = poweroff\n", "/dev/vdb /x ext4\n")
    disk = new_disk(folder / "small", 8)
    with CaptureGuest(CaptureConfig(name="stuck", kernel=name, crashkernel="128M", disks=(disk,), workload=False),
                      image) as guest:
        guest.load()
        listener = Listener(guest, folder / "stream", most=1 << 20)
        guest.crash()
        guest.wait_for_end(END_SECONDS)
        console = guest.console
    findings.check("stuck: console", has(console, "the console", [
        "port: the host accepted no data for 30 s", "file: ", "MiB free", "could not be saved"]))
    findings.check("stuck: ended as configured", has(console, "the console", ["Power down"]))
    with open(folder / "stream", "rb") as file:
        begin = file.read()
    findings.check("stuck: the log came first", [] if b"Kernel panic - not syncing" in begin else [f"{len(begin)} bytes"])
    del listener


def too_late(findings, name: str, folder: Path) -> None:
    """Nobody listens for longer than there is time: the deadline ends it, and the panic text was on the console. The
    crash is one in an interrupt."""
    of = kernel(name)
    image = build_image(of, folder, "target = port\n")
    with CaptureGuest(CaptureConfig(name="late", kernel=name, crashkernel="128M", workload=False), image) as guest:
        guest.load("vmcore.deadline=20")
        guest.crash("interrupt")
        guest.wait_for_end(END_SECONDS)
        console = guest.console
    findings.check("late: console", has(console, "the console", [
        "crashed: sysrq: Trigger a crash", "<IRQ>", "port: the deadline passed", "could not be saved", "Restarting system"]))


def test(vmcorectl, _guests: list, findings) -> None:
    with scratch_folder() as scratch:
        folder = Path(scratch)
        steps = {
            "port": lambda: to_the_host(vmcorectl, findings, CaptureConfig(
                name="6.1: sysrq", kernel="6.1", crashkernel="128M"), folder, "sysrq", ["sysrq triggered crash"]),
            "cloud": lambda: to_the_host(vmcorectl, findings, CaptureConfig(
                name="6.1-cloud: oom", kernel="6.1-cloud", crashkernel="112M"), folder, "oom",
                ["Out of memory", "panic_on_oom"]),
            "disk": lambda: to_a_disk(findings, "6.12", "128M", folder, "nmi", ["NMI"]),
            "stuck": lambda: host_stops_reading(findings, "6.1", folder),
            "late": lambda: too_late(findings, "6.1", folder),
        }
        for step in os.environ.get("STEPS", " ".join(steps)).split():
            steps[step]()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
