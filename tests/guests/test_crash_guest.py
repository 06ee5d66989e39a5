#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`dump --crash-guest` on real guests: one that is armed sends its own dump; one whose panic kernel stays silent, or that
has no channel, is dumped from outside, as the kernel that crashed; one that is not armed, or that another process has, is
left alone. And what pstore kept of a crash."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.capture_rig import CaptureConfig, CaptureGuest, build_image, with_busybox
from guests.guest import BOOT_SECONDS
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel

# Comes up, and then does nothing more.
SILENT_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
echo SILENT
sleep 100000
"""
# Connects to a socket, and stays.
HOLD = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"
ON_NMI = "echo 1 > /proc/sys/kernel/unknown_nmi_panic"


class Case:
    def __init__(self, vmcorectl, findings, folder: Path, guest: CaptureGuest):
        self.vmcorectl, self.findings, self.folder, self.guest = vmcorectl, findings, folder, guest
        self.out = folder / "dump"

    def words(self, *words, out=None) -> list:
        for path in self.folder.glob("dump*"):
            path.unlink()
        return ["dump", "--qmp", self.guest.qmp_socket, "--channel", self.guest.port, "-o", out or self.out, *words]

    def crash(self, *words, out=None) -> subprocess.CompletedProcess:
        return self.vmcorectl.run(*self.words(*words, out=out), seconds=400)

    def interrupted(self, *words) -> subprocess.CompletedProcess:
        """As it waits for the panic kernel."""
        host = subprocess.Popen([self.vmcorectl.path, *self.words(*words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, bufsize=0)
        errors = b""
        while b"told to crash" not in errors and (line := host.stderr.readline()):
            errors += line
        host.send_signal(signal.SIGINT)
        said, rest = host.communicate(timeout=60)
        return subprocess.CompletedProcess([], host.returncode, said.decode(), (errors + rest).decode())

    def waits_for_its_name(self) -> subprocess.Popen:
        """`dump --crash-guest` at a terminal, which asks."""
        ours, theirs = pty.openpty()
        asking = subprocess.Popen([self.vmcorectl.path, *map(str, self.words("--crash-guest", "nmi"))], stdin=theirs,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        os.close(theirs)
        self.terminal = os.fdopen(ours, "wb")
        said = b""
        while b"Type the guest's name" not in said and (more := asking.stderr.read(1)):
            said += more
        return asking

    def check(self, what: str, done, code: int, conditions: dict) -> None:
        lines = [name for name, met in conditions.items() if not met]
        if done.returncode != code:
            lines.append(f"exit {done.returncode}, expected {code}")
        self.findings.check(f"{self.guest.config.name}: {what}", lines and [*lines, done.stdout[-1500:], done.stderr[-1500:]])

    def info(self) -> dict:
        return json.loads(self.vmcorectl.run("info", "--output", "json", self.out).stdout or "{}")

    def log(self, word: str) -> bool:
        return word in self.vmcorectl.run("dmesg", self.out).stdout

    def status(self) -> str:
        return self.guest.status()


def armed(vmcorectl, findings, folder: Path) -> None:
    image = build_image(kernel("6.1"), folder)
    with CaptureGuest(CaptureConfig(name="armed", kernel="6.1", crashkernel="160M"), image) as guest:
        case = Case(vmcorectl, findings, folder, guest)
        guest.must(ON_NMI)
        done = case.crash("--crash-guest", "nmi", "--yes")
        case.check("no panic kernel is loaded: refused", done, 1, {
            "no capture kernel is loaded": "no capture kernel is loaded" in done.stderr,
            "the guest runs": case.status() == "running", "no file": not case.out.exists()})
        guest.load()
        held(case)
        done = case.crash("--crash-guest", "nmi")
        case.check("in a script without --yes", done, 2, {"the guest runs": case.status() == "running"})
        done = case.crash("--crash-guest", "nmi", "--yes", "--output", "json")
        info = case.info()
        case.check("its own dump", done, 0, {
            "method guest": info.get("capture", {}).get("method") == "guest",
            "complete": info.get("incomplete") is False,
            "by order": info.get("capture", {}).get("crash") == "ordered",
            "the NMI in its log": case.log("Kernel panic - not syncing: NMI"),
            "the log beside it": (case.folder / "dump.dmesg").exists(),
            "JSON": bool(json.loads(done.stdout or "{}").get("guest", {}).get("panic"))})
        guest.wait_for_end(60)


def held(case: Case) -> None:
    """The channel, or the guest, is another process's: that is told before anything is crashed."""
    guest = case.guest
    with subprocess.Popen([case.vmcorectl.path, "receive", guest.port, "-o", case.folder / "other"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        time.sleep(2)
        done = case.crash("--crash-guest", "nmi", "--yes", "--force")
        case.check("another receive has the channel", done, 1, {
            "named": f"(pid {other.pid})" in done.stderr, "not crashed": "alive" in guest.must("echo alive")})
        done = case.vmcorectl.run("dump", "--qmp", guest.qmp_socket, "-o", case.out)
        case.check("a dump by hand beside a receive that waits", done, 0, {"it runs": case.status() == "running"})
        other.kill()
    with subprocess.Popen(["/usr/bin/python3", "-c", HOLD, guest.port], stdin=subprocess.PIPE) as other:
        time.sleep(1)
        done = case.crash("--crash-guest", "nmi", "--yes", "--force")
        case.check("another program has the channel", done, 1, {
            "named": f"(pid {other.pid}) is connected to" in done.stderr,
            "not crashed": "alive" in guest.must("echo alive")})
    asking = case.waits_for_its_name()
    done = case.vmcorectl.run("dump", "--qmp", guest.qmp_socket, "-o", case.folder / "other")
    case.check("another dump, while it is asked whether to crash the guest", done, 1, {
        "named": f"(pid {asking.pid}) crashes the guest and takes its dump" in done.stderr})
    asking.kill()
    asking.communicate()


def no_channel(vmcorectl, findings, folder: Path) -> None:
    """Nothing can come: it is forced, and dumped from outside as soon as it shows that it crashed. QEMU is told nothing."""
    config = CaptureConfig(name="no-channel", kernel="6.12", crashkernel="", port=False, workload=False)
    with CaptureGuest(config) as guest:
        case = Case(vmcorectl, findings, folder, guest)
        guest.must(ON_NMI)
        guest.must("rmmod pvpanic_pci")
        words = [word for word in case.words("--crash-guest", "nmi", "--yes", "--wait", "300")
                 if word not in ("--channel", guest.port)]
        done = vmcorectl.run(*words)
        case.check("no channel is given", done, 2, {"--force": "--force" in done.stderr})
        done = vmcorectl.run(*words, "--force", seconds=400)
        case.check("no channel", done, 0, {
            "said": "the guest has no channel" in done.stderr and "is dumped from outside" in done.stderr,
            "the crash": case.log("Kernel panic - not syncing: NMI"), "it runs on": case.status() == "running",
            "info": case.info().get("kernel", {}).get("panicked") is True})
        done = vmcorectl.run(*[folder / "again" if word == case.out else word for word in words], "--force")
        case.check("one that has crashed", done, 1, {"said": "has crashed already" in done.stderr})
        done = vmcorectl.run("check", "--qmp", guest.qmp_socket)
        case.check("check", done, done.returncode, {"said": "it crashed, and still runs in its panic" in done.stdout})


def seen(vmcorectl, findings, folder: Path) -> None:
    """A crash that nobody here ordered, and that the guest's kernel tells QEMU of."""
    image = build_image(kernel("6.1"), folder)
    with CaptureGuest(CaptureConfig(name="seen", kernel="6.1", crashkernel="160M"), image) as guest:
        case = Case(vmcorectl, findings, folder, guest)
        guest.must("echo 1 > /sys/module/kernel/parameters/crash_kexec_post_notifiers")
        guest.load()
        host = subprocess.Popen([vmcorectl.path, "receive", guest.port, "--qmp", guest.qmp_socket, "-o", case.out],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(3)
        guest.crash()
        said, errors = host.communicate(timeout=400)
        case.check("a crash that QEMU saw", subprocess.CompletedProcess([], host.returncode, said, errors), 0, {
            "told": "QEMU saw it crash" in errors, "event": case.info().get("capture", {}).get("crash") == "event"})


def silent(vmcorectl, findings, folder: Path) -> None:
    image = with_busybox(SILENT_INIT).finish()
    with CaptureGuest(CaptureConfig(name="silent", kernel="6.12", crashkernel="256M"), image) as guest:
        case = Case(vmcorectl, findings, folder, guest)
        guest.load()
        guest.must("echo 1 > /proc/sys/kernel/sysrq")
        done = case.crash("--crash-guest", "nmi", "--yes", "--wait", "5")
        # Debian's kernels do not panic on an NMI that they do not know.
        case.check("an NMI that does not crash it", done, 3, {
            "said": "is dumped from outside" in done.stderr, "no crash": "shows no crash" in done.stderr,
            "it runs": case.status() == "running"})
        done = case.interrupted("--crash-guest", "nmi", "--yes", "--wait", "300")
        case.check("interrupted when it was told to crash", done, 4, {
            "said": "no dump was kept" in done.stderr, "no dump": not case.out.exists()})
        guest.must(ON_NMI)
        done = case.crash("--crash-guest", "nmi", "--yes", "--spool", "/proc", out="-")
        case.check("nowhere to write to", done, 1, {"not crashed": "alive" in guest.must("echo alive")})
        done = case.crash("--crash-guest", "nmi", "--yes", "--wait", "60")
        case.check("a panic kernel that stays silent", done, 0, {
            "said": "is dumped from outside" in done.stderr,
            "two kernels": "two kernels are in memory" in done.stdout + done.stderr,
            "the crashed kernel's log": case.log("Kernel panic - not syncing: NMI"),
            "it stays as it was": case.status() == "running"})
        done = case.crash("--crash-guest", "nmi", "--yes", "--force")
        case.check("one that has crashed already", done, 1, {"said": "has crashed already" in done.stderr})


def pstore(vmcorectl, findings, folder: Path) -> None:
    """A guest without a panic kernel whose firmware keeps what it said: the host gets that after the boot."""
    erst = ("-object", f"memory-backend-file,id=erst,mem-path={folder / 'erst'},size=64K,share=on", "-device",
            "acpi-erst,memdev=erst")
    config = CaptureConfig(name="pstore", kernel="6.12", crashkernel="", arguments="panic=1", workload=False, reboots=True,
                           devices=erst)
    with CaptureGuest(config) as guest:
        case = Case(vmcorectl, findings, folder, guest)
        guest.must("grep erst /sys/module/pstore/parameters/backend")
        guest.qmp("set-action", panic="none")
        guest.crash()
        guest.wait_for_boot(2, BOOT_SECONDS)
        host = subprocess.Popen([vmcorectl.path, "receive", guest.port, "-o", case.out], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        guest.must("mount -t pstore pstore /sys/fs/pstore")
        told = guest.must("vmcore-guest collect")
        said, errors = host.communicate(timeout=60)
        bundle = guest.must("cd /var/lib/vmcore-guest/pstore/*; cat reason versions; grep -c . dmesg.txt")
        covered = guest.run("vmcore-guest status")[1]
        log = folder / "dump.dmesg"
        case.check("pstore", subprocess.CompletedProcess([], host.returncode, said + told, errors), 3, {
            "told in the guest": "sent /var/lib/vmcore-guest/pstore/" in told,
            "the panic": "Kernel panic - not syncing: sysrq triggered crash" in errors,
            "a bundle in the guest": bundle.startswith("Kernel panic - not syncing: sysrq triggered crash\nvmcore-guest "),
            "status": "kept by pstore (erst)" in covered,
            "kept": log.exists() and "sysrq triggered crash" in log.read_text(),
            "and no dump": not case.out.exists()})


def main_test(vmcorectl, _guests, findings) -> None:
    with scratch_folder() as scratch:
        for test in (armed, no_channel, seen, silent, pstore):
            folder = Path(scratch) / test.__name__
            folder.mkdir()
            test(vmcorectl, findings, folder)


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
