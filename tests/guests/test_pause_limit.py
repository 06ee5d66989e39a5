#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`dump --pause-limit` is a limit: a guest that is read too slowly is let go when it is over, and the dump fails. So it is
by an interruption. A guest that stood still before has no limit."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import libvirt_rig
from guests.dump_checks import expect, interrupt, left_in, run_dump
from guests.harness import run_test, scratch_folder
from guests.machine import Machine
from guests.qmp_proxy import SlowProxy
from guests.witness import Witness


def by_qmp(vmcorectl, findings, out: Path) -> None:
    """The guest is in its firmware: no method needs more than memory."""
    with Machine() as machine, SlowProxy(machine.qmp, machine.folder / "slow.sock") as slow:
        witness = Witness(machine.folder / "witness.sock")
        time.sleep(1)
        witness.paused()
        words = ["--qmp", slow.path, "--method", "qmp", "-o", out / "vmcore"]

        code, _, errors = run_dump([vmcorectl.path], [*words, "--pause-limit", "300ms"])
        paused = witness.paused()
        print(f"  qmp: exit {code}, stood still for {paused * 1000:.0f} ms: {errors}", flush=True)
        expect(findings, "qmp: the limit", [
            ("exit code", code, 1), ("events", witness.seen, ["STOP", "RESUME"]), ("not earlier", paused > 0.2, True),
            ("not for as long as it takes", paused < 10, True), ("left", left_in(out), []),
            ("says what", "as long as --pause-limit allows (300 ms)" in errors, True),
            ("says what else", "--consistency snapshot" in errors and "none" in errors, True)])

        code, seconds = interrupt([vmcorectl.path, "dump", *map(str, words), "--pause-limit", "none"], [signal.SIGINT], 2,
                                  lambda: witness.wait_for_stop(20))
        witness.paused()
        print(f"  qmp: interrupted: exit {code} after {seconds:.2f} s", flush=True)
        expect(findings, "qmp: interrupted", [("exit code", code, 130), ("events", witness.seen, ["STOP", "RESUME"]),
                                              ("left", left_in(out), [])])
        witness.close()
        machine.tell("stop")
        code, _, errors = run_dump([vmcorectl.path], ["--qmp", machine.qmp, "--method", "qmp", "-o", out / "vmcore",
                                                      "--pause-limit", "1ms"])
        print(f"  qmp: stopped before: exit {code}: {errors}", flush=True)
        expect(findings, "qmp: a guest that stood still", [("exit code", code, 3)])
        (out / "vmcore").unlink(missing_ok=True)


def hold_up(rig, witness: Witness) -> None:
    """QEMU itself does nothing for a while, which is longer than the limit, beginning when its guest stands still."""
    pids = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline")
            if f"{rig.folder}/witness.sock" in path.read_text() and "qemu-system" in path.read_text()]
    if witness.wait_for_stop(60):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.7)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def by_libvirt(vmcorectl, findings) -> None:
    with libvirt_rig.LibvirtRig("embed") as rig:
        out = rig.folder / "home/out"
        out.mkdir()
        rig.own(out)
        witness = Witness(rig.folder / "witness.sock")
        holding = threading.Thread(target=hold_up, args=(rig, witness))
        holding.start()
        code, _, errors = run_dump(rig.command(vmcorectl.path), ["-c", rig.uri, rig.name, "--method", "libvirt", "-o",
                                                                 out / "vmcore", "--pause-limit", "400ms"])
        holding.join()
        paused = witness.paused()
        witness.close()
        print(f"  libvirt: exit {code}, stood still for {paused * 1000:.0f} ms: {errors}", flush=True)
        expect(findings, "libvirt: the limit", [("exit code", code, 1), ("events", witness.seen, ["STOP", "RESUME"]),
                                                ("left", left_in(out), []),
                                                ("says what", "--pause-limit allows (400 ms)" in errors, True)])


def test(vmcorectl, _, findings) -> None:
    with scratch_folder() as out:
        by_qmp(vmcorectl, findings, Path(out))
    if libvirt_rig.available():
        by_libvirt(vmcorectl, findings)
    else:
        findings.skip("libvirt", "there is no libvirt with its QEMU driver")


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
