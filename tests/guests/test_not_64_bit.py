#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are not in 64-bit mode: a 32-bit kernel, with PAE and without, is refused before it is paused, by each
method and by `check`. One that does not page yet (not started, or in its firmware) is dumped whole."""

import contextlib
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect, left_in, run_dump
from guests.guest import BOOT_SECONDS
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel
from guests.machine import Machine
from guests.witness import Witness

METHODS = ("auto", "direct", "qmp")


class Case:
    def __init__(self, vmcorectl, findings, machine: Machine, name: str, out: Path):
        self.vmcorectl, self.findings, self.machine, self.name, self.out = vmcorectl, findings, machine, name, out
        self.witness = Witness(machine.folder / "witness.sock")
        time.sleep(0.5)
        self.witness.paused()

    def check(self, code: int, says: str) -> None:
        done = self.vmcorectl.run("check", "--qmp", self.machine.qmp)
        print(f"  {self.name}: check: exit {done.returncode}: {done.stdout}", flush=True)
        lines = done.stdout.splitlines()
        at = next((i for i, line in enumerate(lines) if "for a Linux kernel" in line), 0)
        expect(self.findings, f"{self.name}: check", [("exit code", done.returncode, code),
                                                      ("says", says in " ".join(lines[at:at + 2]), True)])

    def dump(self, method: str):
        return run_dump([self.vmcorectl.path], ["--qmp", self.machine.qmp, "--method", method, "-o", self.out / "vmcore",
                                                "--force"])

    def refused(self, says: str) -> None:
        self.check(1, says)
        for method in METHODS:
            code, _, errors = self.dump(method)
            print(f"  {self.name}: {method}: exit {code}: {errors}", flush=True)
            expect(self.findings, f"{self.name}: dump by {method}", [("exit code", code, 1), ("says", says in errors, True)])
        self.witness.paused()
        expect(self.findings, f"{self.name}: not touched", [("events", self.witness.seen, []),
                                                            ("left", left_in(self.out), [])])

    def whole(self) -> None:
        self.check(0, "would hold all of memory")
        for method in METHODS:
            code, answer, errors = self.dump(method)
            print(f"  {self.name}: {method}: exit {code}: {answer.get('level')} {errors}", flush=True)
            expect(self.findings, f"{self.name}: dump by {method}", [
                ("exit code", code, 3), ("level", answer.get("level", {}).get("reached"), 1),
                ("opens", self.vmcorectl.run("info", self.out / "vmcore").returncode, 0)])
            (self.out / "vmcore").unlink(missing_ok=True)


def test(vmcorectl, _, findings) -> None:
    with contextlib.ExitStack() as stack:
        out = Path(stack.enter_context(scratch_folder()))

        def case(name: str, *words) -> Case:
            return Case(vmcorectl, findings, stack.enter_context(Machine(*words)), name, out)

        case("not started", "-S").whole()
        case("not started, above 4 GiB", "-S", "-m", "5G").whole()
        firmware = case("in its firmware")
        firmware.whole()
        for name in ("6.1-686", "6.1-686-pae"):
            old = case(name, "-kernel", kernel(name).image, "-append", "console=ttyS0 panic=0")
            # Without a root it panics, and goes on paging.
            old.machine.wait_until(lambda: "end Kernel panic" in old.machine.console, BOOT_SECONDS)
            old.refused("runs a 32-bit kernel")


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
