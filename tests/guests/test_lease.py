#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever dies, is stopped or stalls while a guest is dumped, the guest runs again by the limit of its pause. Faults at
random moments, half of them in the pause; one line a trial, and the longest pause beyond the limit at the end.

    test_lease.py [--trials N]      or VMCORECTL_KILL_TRIALS: for each method and fault; 3 where nothing is said
    VMCORECTL_LEASE_METHODS="direct qmp embed session"      the first two where nothing is said

A frozen file system is an ext4 in a file (loop device) that is told to freeze (FIFREEZE, as fsfreeze does), a full one is
filled. A hung monitor is a proxy that passes nothing on; of a domain, its libvirtd is stopped.
"""

import contextlib
import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.libvirt_rig import LibvirtRig, available
from guests.processes import kill, living
from guests.qmp_proxy import HangingProxy
from guests.witness import Witness

MEMORY_MIB = 256
LIMIT, MOST_BEYOND = 1.0, 1.0       # seconds; wanted are 0.2 beyond it, and a busy machine may take more
# With --pause-limit none (lease/hold.h): from the last byte that moved. The slow monitor's bytes move on for a while
# after the disk is frozen, until all buffers are full.
STALL, UNDER_WAY = 10.0, 3.0
MANY = 10           # trials; what takes long is tried where so many are
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
OURS = ("vmcorectl", "worker", "holder")


class Disk:
    """An ext4 that is frozen or filled on demand."""

    def __init__(self, folder: Path, path: Path):
        self.image, self.path = folder / "disk.img", path

    def __enter__(self):
        self.path.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(1 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", self.image], check=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)
        self.path.chmod(0o777)
        self.root = os.open(self.path, os.O_RDONLY)
        return self

    def freeze(self) -> None:
        fcntl.ioctl(self.root, FIFREEZE, 0)

    def fill(self) -> None:
        with open(self.path / "filler", "wb") as filler:
            free = os.statvfs(self.path)
            with contextlib.suppress(OSError):      # somebody else was faster
                os.posix_fallocate(filler.fileno(), 0, free.f_bavail * free.f_bsize)

    def repair(self) -> None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.root, FITHAW, 0)
        (self.path / "filler").unlink(missing_ok=True)

    def __exit__(self, *_):
        self.repair()
        os.close(self.root)
        subprocess.run(["umount", "-l", self.path], check=True)


class Trials:
    """One guest, dumped by one method again and again. `faults`: name -> (what happens, what undoes it)."""

    def __init__(self, name: str, command: list, out: Path, witness: Witness, disk, hang=None, known=None):
        self.name, self.command, self.out, self.witness = name, command, out, witness
        self.process, self.beyond, self.known = None, {}, known
        self.faults = {f"{word} {'+'.join(roles)}": (lambda roles=roles, number=number: self.tell(roles, number), None)
                       for word, number in (("kill", signal.SIGKILL), ("stop", signal.SIGSTOP))
                       for roles in [(one,) for one in OURS] + [OURS]}
        if disk:
            self.faults |= {"frozen": (disk.freeze, disk.repair), "full": (disk.fill, disk.repair),
                            "frozen, no limit": (disk.freeze, disk.repair)}
        if hang:
            self.faults["hung monitor"] = hang

    def tell(self, roles: tuple, number: int) -> None:
        kill(roles, self.process.pid, number)

    def limit(self, fault: str) -> float:
        return STALL + (UNDER_WAY if self.known else 0) if fault.endswith("no limit") else LIMIT

    def start(self, limit: str) -> None:
        self.process = subprocess.Popen([*self.command, "--pause-limit", limit], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)

    def usual(self) -> tuple:
        """(seconds of a dump, of its pause at least), undisturbed and without a limit."""
        if self.known:
            return self.known
        took, paused = [], []
        for _ in range(3):
            self.witness.paused()
            started = time.monotonic()
            self.start("none")
            _, said = self.process.communicate(timeout=120)
            took.append(time.monotonic() - started)
            if self.process.returncode != 0:
                raise RuntimeError(f"{self.name}: a dump that nobody disturbs fails: {said}")
            paused.append(self.witness.paused())
            (self.out / "vmcore").unlink()
        return min(took), min(paused)

    def reach_pause(self) -> bool:
        """A host that is busy at the moment may have the pause refused."""
        for _ in range(5):
            while self.process.poll() is None:
                if self.witness.wait_for_stop(0.1):
                    return True
            self.process.communicate()
            self.start(f"{LIMIT:g}s")
        return False

    def still_paused(self) -> bool:
        names = [name for name, _ in list(self.witness.events)]
        return names.count("STOP") > names.count("RESUME")

    def paused_for(self) -> float:
        """Seconds since the guest stopped, as far as that was heard; 0 where it runs."""
        events = list(self.witness.events)
        return time.time() - events[-1][1] if events and events[-1][0] == "STOP" else 0.0

    def await_run(self, limit: float) -> None:
        """Until the guest runs for good: a dump under way may pause it yet."""
        deadline, quiet = time.monotonic() + limit + 10, time.monotonic()
        while time.monotonic() < deadline:
            if self.still_paused():
                quiet = time.monotonic()
            elif self.process.poll() is not None or time.monotonic() - quiet > limit:
                return
            time.sleep(0.005)

    def trial(self, fault: str, in_pause: bool, usual: tuple) -> list:
        act, undo = self.faults[fault]
        limit = self.limit(fault)
        self.witness.paused()
        self.start(f"{LIMIT:g}s" if limit == LIMIT else "none")
        in_vain = in_pause and not self.reach_pause()
        delay = random.uniform(0, usual[1] if in_pause else usual[0])
        time.sleep(delay)
        if limit != LIMIT:      # counts from when nothing moves, not from when the guest stopped
            limit += self.paused_for()
        act()
        self.await_run(limit)
        ended = self.process.poll() is not None
        paused_yet = self.still_paused()
        mine = living(self.process.pid)
        if undo:
            undo()
        kill(OURS, self.process.pid, signal.SIGCONT)
        if paused_yet:
            kill(OURS, self.process.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=90)
        pause = self.witness.paused()
        wrong = self.left(mine) + (["the dump never paused the guest"] if in_vain else [])
        beyond = max(0.0, pause - limit)
        self.beyond[fault] = max(self.beyond.get(fault, 0.0), beyond)
        if paused_yet or beyond > MOST_BEYOND:
            wrong.append(f"the guest was paused for {pause:.2f} s{' and more' if paused_yet else ''}")
        print(f"{self.name:16} {fault:30} {'in the pause' if in_pause else 'anywhere':12} +{delay:.3f} s  paused {pause:.3f} s, "
              f"{beyond * 1000:4.0f} ms beyond  exit {self.process.returncode}{'' if ended else ' later'}  "
              f"{'; '.join(wrong) or 'ok'}", flush=True)
        return wrong

    def left(self, mine: list) -> list:
        """What the trial left behind."""
        lines = []
        deadline = time.monotonic() + 20
        while (alive := [pid for pid in mine if Path(f"/proc/{pid}").exists()
                         and "(zombie)" not in Path(f"/proc/{pid}/status").read_text()]) and time.monotonic() < deadline:
            time.sleep(0.01)
        if alive:
            lines.append(f"processes {alive} live on")
        for path in self.out.iterdir():
            if path.name == "vmcore" and self.process.returncode > 0:
                lines.append(f"exit {self.process.returncode}, and a dump is there")
            if path.name == "vmcore" and subprocess.run([self.command_path, "info", path], capture_output=True).returncode != 0:
                lines.append("the dump is not complete")
            if path.name.startswith((".vmcorectl", "vmcore")):
                path.unlink()
        return lines

    def run(self, trials: int, findings, command_path: str) -> None:
        self.command_path = command_path
        usual = self.usual()
        print(f"{self.name}: a dump takes {usual[0]:.2f} s, its pause {usual[1]:.3f} s, limit {LIMIT} s", flush=True)
        for fault in self.faults:
            if self.limit(fault) != LIMIT and trials < MANY:
                continue
            for number in range(min(trials, MANY) if self.limit(fault) != LIMIT else trials):
                findings.check(f"{self.name}: {fault}: trial {number}", self.trial(fault, number % 2 == 0, usual))
        for fault, beyond in self.beyond.items():
            print(f"{self.name:16} {fault:30} longest beyond the limit: {beyond * 1000:.0f} ms", flush=True)


def words(out: Path) -> list:
    """With little room for copies, so that a dump by method direct writes while the guest is paused."""
    return ["--memory-budget", "24MiB", "--force", "-o", str(out / "vmcore")]


def disk_here(findings, folder: Path, path: Path):
    if os.geteuid() == 0 and Path("/dev/loop-control").exists():
        return Disk(folder, path)
    findings.skip("frozen and full file systems", "they need root and loop devices")
    return contextlib.nullcontext()


def by_qmp(vmcorectl, method: str, trials: int, findings) -> None:
    with (scratch_folder() as scratch, disk_here(findings, Path(scratch), Path(scratch) / "disk") as disk,
          Guest(Config(name="dump/lease", kernel="6.12", memory_mib=MEMORY_MIB)) as guest,
          HangingProxy(guest.qmp_socket, guest.folder / "proxy.sock") as proxy):
        out = disk.path if disk else guest.folder
        witness = Witness(guest.folder / "witness.sock")
        # The process behind a socket that method direct reads must be QEMU: no proxy.
        monitor = proxy.path if method == "qmp" else guest.qmp_socket
        hang = (proxy.hang, proxy.resume) if method == "qmp" else None
        command = [vmcorectl.path, "dump", *words(out), "--method", method, "--qmp", str(monitor)]
        # What comes by the proxy comes so slowly that every pause reaches the limit.
        known = (1.5 * LIMIT, 0.9 * LIMIT) if method == "qmp" else None
        Trials(method, command, out, witness, disk, hang, known).run(trials, findings, vmcorectl.path)


def by_libvirt(vmcorectl, kind: str, method: str, trials: int, findings) -> None:
    # The rig's user has no way into the cache of root.
    with (scratch_folder() as scratch, LibvirtRig(kind, memory_mib=MEMORY_MIB) as rig,
          disk_here(findings, Path(scratch), rig.folder / "output") as disk):
        out = disk.path if disk else rig.folder / "home"
        witness = Witness(rig.folder / "witness.sock")
        hang = rig.daemon and (lambda: rig.daemon.send_signal(signal.SIGSTOP), lambda: rig.daemon.send_signal(signal.SIGCONT))
        command = rig.command(vmcorectl.path, "dump", *words(out), "-c", rig.uri, rig.name, "--method", method)
        Trials(f"{kind} {method}", command, out, witness, disk, hang).run(trials, findings, vmcorectl.path)
        witness.close()     # so that the rig can end QEMU


def test(vmcorectl, trials: int, findings) -> None:
    for method in os.environ.get("VMCORECTL_LEASE_METHODS", "direct qmp").split():
        if method in ("direct", "qmp"):
            by_qmp(vmcorectl, method, trials, findings)
        elif available():
            for way in ("direct", "libvirt"):
                by_libvirt(vmcorectl, method, way, trials, findings)
        else:
            findings.skip(method, "no libvirt with its QEMU driver")


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__, trials=3))
