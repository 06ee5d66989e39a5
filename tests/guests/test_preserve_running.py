#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain that runs on in its panic (on_crash preserve-running, libvirt 12.6), and one that was booted after its crash:
libvirt shows both as "running (crashed)". The first is dumped as crashed, the second left alone."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.guest import BOOT_SECONDS, GuestError
from guests.harness import run_test
from guests.libvirt_rig import LibvirtRig, available

LIMIT = ("--pause-limit", "1ms")    # no guest that runs is dumped with that
CRASH_SECONDS = 300     # until libvirt shows it; beside others, and with a dump of all memory


class Case:
    def __init__(self, vmcorectl, rig, findings):
        self.vmcorectl, self.rig, self.findings = vmcorectl, rig, findings
        self.folder = rig.folder / "home/out"
        self.folder.mkdir()
        rig.own(self.folder)

    def run(self, *words) -> subprocess.CompletedProcess:
        return subprocess.run(self.rig.command(self.vmcorectl.path, *words), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=500, cwd=self.folder)

    def check(self, what: str, done, code: int, conditions: dict) -> None:
        lines = [name for name, met in conditions.items() if not met]
        if done.returncode != code:
            lines.append(f"exit {done.returncode}, expected {code}")
        print(f"  {what}: exit {done.returncode} {done.stdout[:300]} {done.stderr[:300]}", flush=True)
        self.findings.check(what, lines and [*lines, done.stdout[-1500:], done.stderr[-1500:]])

    def panic(self) -> None:
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(self.rig.folder / "console.sock"))
            console.sendall(b"panic 0\n")
            time.sleep(0.2)
        self.wait_for_state("running (crashed)")

    def boot_again(self, nth: int) -> None:
        self.rig.virsh("reset", self.rig.name)
        self.rig.wait_for("\nREADY", BOOT_SECONDS, nth)

    def wait_for_state(self, state: str) -> None:
        until = time.monotonic() + CRASH_SECONDS
        while state not in (now := self.rig.virsh("domstate", "--reason", self.rig.name)):
            if time.monotonic() > until:
                raise GuestError(f"it is {now}, not {state}:\n{self.rig.console[-1000:]}")
            time.sleep(0.5)

    def all_crashed(self, *words) -> subprocess.CompletedProcess:
        return self.run("dump", "-c", self.rig.uri, "--all-crashed", *words)

    def dumps(self) -> list:
        return sorted(self.folder.glob("*.vmcore"))


def main_test(vmcorectl, _guests, findings) -> None:
    if not available() or os.geteuid() != 0:
        print("SKIPPED: no libvirt")
        sys.exit(77)
    with LibvirtRig("newest", on_crash="preserve-running") as rig:
        case = Case(vmcorectl, rig, findings)
        case.check("one that did not crash", case.all_crashed(), 0, {"none": not case.dumps()})
        case.check("a limit that is too short", case.run("dump", "-c", rig.uri, rig.name, *LIMIT), 1,
                   {"none": not case.dumps(), "it runs": rig.status() == "running"})
        done = case.run("dump", "-c", rig.uri, rig.name, "-o", "running")     # libvirt pauses it, not QEMU
        case.check("dumped as it runs", done, 0, {"it runs": rig.status() == "running",
                                                  "libvirt says so": "running" in rig.virsh("domstate", rig.name)})
        case.panic()
        done = case.run("check", "-c", rig.uri, rig.name)
        case.check("check", done, done.returncode, {"said": "the guest's kernel has panicked, and the guest still runs" in done.stdout,
                                                    "it runs": rig.status() == "running"})
        done = case.all_crashed(*LIMIT)
        case.check("one in its panic", done, 0, {"dumped": len(case.dumps()) == 1, "it runs on": rig.status() == "running"})
        for path in case.dumps():
            info = json.loads(case.run("info", "--output", "json", path).stdout)
            case.check("its dump", case.run("dmesg", path), 0, {"panicked": info["kernel"]["panicked"] is True})
            path.unlink()
        case.boot_again(2)
        case.panic()    # anew: libvirt's dump turned "running (crashed)" into "running (unpaused)"
        done = case.run("dump", "-c", rig.uri, rig.name, "-o", "named.vmcore", *LIMIT)
        case.check("one in its panic, by name", done, 0, {"dumped": len(case.dumps()) == 1,
                                                          "it runs on": rig.status() == "running"})
        (case.folder / "named.vmcore").unlink(missing_ok=True)
        case.boot_again(3)
        case.panic()
        case.boot_again(4)
        case.wait_for_state("running (crashed)")
        case.check("one that was booted after its crash", case.all_crashed(), 0, {"none": not case.dumps()})


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
