#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""SIGKILL of our processes, alone and together, at random moments of `dump`, by every method: the guest runs, and no
job and no migration blocker is left, within a second; no file under a final name is partial. One line a trial.

    test_kill.py [--trials N]       or VMCORECTL_KILL_TRIALS: for each method; 10 where nothing is said
"""

import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import NO_LIMIT
from guests.guest import Config, Guest, GuestError
from guests.harness import run_test
from guests.libvirt_rig import LibvirtRig, available
from guests.processes import kill
from guests.snapshots import Userfaultfd
from guests.witness import blockers

MEMORY_MIB = 256
WITHIN = 1.0
# Whom a trial kills, in that order; "helper" is libvirt's process between QEMU's pipe and ours.
OURS = [("vmcorectl",), ("worker",), ("holder",), ("vmcorectl", "worker"), ("worker", "vmcorectl")]
WITH_LIBVIRT = OURS + [("helper",), ("helper", "vmcorectl", "worker")]


class Trials:
    """One guest, dumped again and again. `status`: how the guest stands; `held`: jobs and blockers, as lines, and
    `held_after`, where more can be asked only when vmcorectl has ended."""

    within = WITHIN

    def __init__(self, method: str, command: list, out: Path, status, held, check_file, held_after=list):
        self.method, self.command, self.out = method, command, out
        self.status, self.held, self.check_file, self.held_after = status, held, check_file, held_after

    def start(self):
        return subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def usual_seconds(self) -> float:
        times = []
        for _ in range(3):
            started = time.monotonic()
            if self.start().wait(timeout=120) != 0:
                raise RuntimeError(f"{self.method}: a dump that nobody disturbs fails")
            times.append(time.monotonic() - started)
            self.clear()
        return statistics.median(times)

    def clear(self) -> list:
        lines = []
        for path in self.out.iterdir():
            if path.name != "vmcore" or not self.check_file(path):
                lines.append(f"{path.name} ({path.stat().st_size} bytes) is left")
            path.unlink()
        return lines

    def bonds(self) -> list:
        """What keeps the guest from being as before."""
        status = self.status()
        return self.held() + ([] if status == "running" else [f"the guest is {status}"])

    def free_again(self) -> tuple:
        """(seconds until nothing bound it, what still does after ten times as long as it may)."""
        started = time.monotonic()
        while bonds := self.bonds():
            if time.monotonic() - started > 10 * WITHIN:
                break
            time.sleep(0.005)
        return time.monotonic() - started, bonds

    def trial(self, number: int, roles: tuple, delay: float) -> list:
        process = self.start()
        time.sleep(delay)
        killed = kill(roles, process.pid)
        while not killed and process.poll() is None:    # not started yet
            killed = kill(roles, process.pid)
        seconds, wrong = self.free_again()
        code = process.wait(timeout=60)
        # What was asked of QEMU or libvirtd just before the kill may begin after it, and ends as soon.
        again, bonds = self.free_again()
        wrong += bonds + self.held_after() + self.clear()
        if max(seconds, again) > self.within:
            wrong.append(f"the guest is free only after {max(seconds, again):.2f} s")
        print(f"{self.method:15} {number:3}  {delay:6.3f} s  killed {'+'.join(killed) or 'nobody (all was done)':32} "
              f"exit {code:4}  free after {max(seconds, again):.3f} s  {'; '.join(wrong) or 'ok'}", flush=True)
        return wrong

    def run(self, chosen: list, trials: int, findings) -> None:
        usual = self.usual_seconds()
        print(f"{self.method}: a dump takes {usual:.2f} s", flush=True)
        for number in range(trials):
            roles, delay = chosen[number % len(chosen)], random.uniform(0, usual)
            findings.check(f"{self.method}: trial {number}", self.trial(number, roles, delay))


class SnapshotTrials(Trials):
    """A snapshot that goes on is QEMU's own and ends by itself; what a killed one leaves set, the next one mends."""

    within = 10.0   # the guest runs all the time; a look at a domain is some virsh

    def __init__(self, rig, *words):
        super().__init__(*words)
        self.rig = rig
        self.before = self.settings()

    def settings(self) -> tuple:
        on = [entry["capability"] for entry in self.rig.qmp("query-migrate-capabilities") if entry["state"]]
        return on, self.rig.qmp("query-migrate-parameters")

    def snapshot_ended(self) -> None:
        deadline = time.monotonic() + 60
        while self.rig.qmp("query-migrate").get("status") in ("setup", "active", "device") and time.monotonic() < deadline:
            time.sleep(0.02)

    def free_again(self) -> tuple:
        self.snapshot_ended()
        return super().free_again()

    def trial(self, number: int, roles: tuple, delay: float) -> list:
        wrong = super().trial(number, roles, delay)
        left = self.settings() != self.before
        code = self.start().wait(timeout=120)
        mended = self.settings() == self.before
        print(f"{'':15} {'':3}  settings left {left}, the next one: exit {code}, as before {mended}", flush=True)
        return wrong + self.free_again()[1] + self.clear() + ([] if code == 0 and mended else [f"not mended: exit {code}"])


def by_snapshot(vmcorectl, trials: int, findings) -> None:
    with LibvirtRig("session", memory_mib=MEMORY_MIB) as rig, Userfaultfd(1):
        out = rig.folder / "home/out"
        out.mkdir()
        rig.own(out)
        command = rig.command(vmcorectl.path, "dump", "-c", rig.uri, rig.name, "--consistency", "snapshot",
                              "--allow-taint", "-o", out / "vmcore")
        SnapshotTrials(rig, "session snapshot", command, out, rig.status, lambda: held_by(rig),
                       lambda path: vmcorectl.run("info", path).returncode == 0).run(OURS, trials, findings)


def held_by(rig) -> list:
    """What QEMU and libvirt know of that binds the domain."""
    try:
        job = rig.virsh("domjobinfo", rig.name)
    except GuestError as error:     # amid the end of a dump that failed, libvirt has an error for who asks
        job = str(error)
    state = rig.virsh("domstate", rig.name)
    return (blockers(rig.qmp) + ([] if "None" in job else [f"job: {job}"])
            + ([] if state == "running" else [f"libvirt: {state}"]))


def by_qmp(vmcorectl, method: str, trials: int, findings) -> None:
    with Guest(Config(name="dump/kill", kernel="6.12", memory_mib=MEMORY_MIB)) as guest:
        out = guest.folder / "out"
        out.mkdir()
        command = [vmcorectl.path, "dump", *NO_LIMIT, "--method", method, "--qmp", str(guest.qmp_socket), "-o", str(out / "vmcore")]
        Trials(method, command, out, guest.status, lambda: blockers(guest.qmp),
               lambda path: vmcorectl.run("info", path).returncode == 0).run(OURS, trials, findings)
        guest.qmp("migrate", uri="exec:cat >/dev/null")
        deadline = time.monotonic() + 60
        while guest.qmp("query-migrate").get("status") not in ("completed", "failed") and time.monotonic() < deadline:
            time.sleep(0.2)
        findings.check(f"{method}: the guest can be migrated afterwards",
                       [] if guest.qmp("query-migrate").get("status") == "completed" else [str(guest.qmp("query-migrate"))])


def by_libvirt(vmcorectl, kind: str, method: str, trials: int, findings) -> None:
    with LibvirtRig(kind, memory_mib=MEMORY_MIB) as rig:
        out = rig.folder / "home/out"
        out.mkdir()
        rig.own(out)
        taints = rig.taints()
        command = rig.command(vmcorectl.path, "dump", *NO_LIMIT, "-c", rig.uri, rig.name, "--method", method, "-o", out / "vmcore")
        # virsh of an embedded libvirt waits until vmcorectl has ended, however free the guest is.
        held = (lambda: blockers(rig.qmp)) if kind == "embed" else (lambda: held_by(rig))
        Trials(f"{kind} {method}", command, out, rig.status, held,
               lambda path: vmcorectl.run("info", path).returncode == 0,
               lambda: held_by(rig)).run(WITH_LIBVIRT, trials, findings)
        findings.check(f"{kind} {method}: taints", [] if rig.taints() == taints else rig.taints())


def test(vmcorectl, trials: int, findings) -> None:
    for method in os.environ.get("VMCORECTL_KILL_METHODS", "direct qmp embed session snapshot").split():
        if method in ("direct", "qmp"):
            by_qmp(vmcorectl, method, trials, findings)
        elif not available():
            findings.skip(method, "no libvirt with its QEMU driver")
        elif method != "snapshot":
            by_libvirt(vmcorectl, method, "libvirt", trials, findings)
            by_libvirt(vmcorectl, method, "direct", trials, findings)
        elif os.geteuid() == 0:
            by_snapshot(vmcorectl, trials, findings)
        else:
            findings.skip("snapshot", "only root may let QEMU have userfaultfd")


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__, trials=10))
