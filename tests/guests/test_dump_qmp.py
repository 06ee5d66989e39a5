#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcorectl dump --method qmp` on real guests: panicked, running, paused; what it leaves behind; how it fails."""

import socket
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import (NO_LIMIT, SIGINT_TWICE, expect, interrupt, left_in, run_dump,
                                same_as_converted)
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.witness import Witness


class Case:
    def __init__(self, vmcorectl, guest, findings, folder: Path):
        self.vmcorectl, self.guest, self.findings, self.folder = vmcorectl, guest, findings, folder
        self.out = folder / "out"
        self.out.mkdir()
        self.dump_file = self.out / "vmcore"

    def dump(self, *words):
        started = time.monotonic()
        code, answer, errors = run_dump([self.vmcorectl.path],
                                        ["--method", "qmp", "--qmp", self.guest.qmp_socket, "-o", self.dump_file, *words])
        print(f"  dump {' '.join(map(str, words))}: exit {code}, {time.monotonic() - started:.1f} s, "
              f"pause {answer.get('guest', {}).get('pause_ms')} ms, {answer.get('size')} bytes {errors[:300]}", flush=True)
        return code, answer, errors

    def nothing_held(self, what: str, status: str) -> None:
        """No job, no migration blocker, no file beside the dump, and the guest as it was."""
        blocked = self.guest.qmp("query-migrate").get("blocked-reasons", [])
        expect(self.findings, f"{what}: afterwards", [
            ("status", self.guest.status(), status),
            ("dump active", self.guest.qmp("query-dump")["status"] == "active", False),
            ("migration blockers", blocked, [])])
        self.dump_file.unlink(missing_ok=True)
        self.findings.check(f"{what}: files", left_in(self.out))

    def stopped(self, what: str, status: str) -> None:
        """A guest that stands still: the dump equals QEMU's own."""
        code, answer, errors = self.dump("--verify")
        guest = answer.get("guest", {})
        expect(self.findings, f"{what}: result", [
            ("exit code", code, 0), ("pause", guest.get("pause_ms"), 0.0), ("before", guest.get("state_before"), status),
            ("after", guest.get("state_after"), status)])
        if code == 0:
            raw = self.guest.dump_elf(self.folder / "raw")
            self.findings.check(f"{what}: equals QEMU's own dump, converted",
                                same_as_converted(self.vmcorectl, self.dump_file, raw, self.folder))
            raw.unlink()
        self.nothing_held(what, status)

    def running(self) -> None:
        code, answer, errors = self.dump("--verify")
        guest = answer.get("guest", {})
        expect(self.findings, "running: result", [
            ("exit code", code, 0), ("paused at all", (guest.get("pause_ms") or 0) > 0, True),
            ("after", guest.get("state_after"), "running"),
            ("opens", self.vmcorectl.run("info", self.dump_file).returncode, 0)])
        self.nothing_held("running", "running")

    def interrupted(self) -> None:
        for delay in (0.02, 0.3, 1.0):
            code, seconds = interrupt([self.vmcorectl.path, "dump", *NO_LIMIT, "--method", "qmp", "--qmp", str(self.guest.qmp_socket), "-o",
                                       str(self.dump_file)], SIGINT_TWICE, delay)
            print(f"  interrupted after {delay} s: exit {code}, {seconds:.2f} s", flush=True)
            finished = self.dump_file.exists()
            early = code == -2 and delay < 0.1      # before main()
            expect(self.findings, f"interrupted after {delay} s", [("exit code", code, 0 if finished else -2 if early else 130)])
            self.nothing_held(f"interrupted after {delay} s", "running")

    def refusals(self) -> None:
        self.dump_file.write_text("mine")
        code, _, errors = self.dump()
        expect(self.findings, "an existing file", [("exit code", code, 1), ("said", "--force" in errors, True),
                                                   ("contents", self.dump_file.read_text(), "mine")])
        self.dump_file.unlink()
        with socket.socket(socket.AF_UNIX) as holder:
            holder.connect(str(self.guest.qmp_socket))
            code, _, errors = self.dump()
        expect(self.findings, "a socket that is held", [("exit code", code, 1), ("who", "python3 (pid" in errors, True)])
        self.nothing_held("refusals", "running")

    def no_room(self) -> None:
        small = self.folder / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "none", small], capture_output=True).returncode != 0:
            self.findings.skip("no room", "cannot mount")
            return
        try:
            code, _, errors = self.dump("--spool", small)
            expect(self.findings, "no room", [("exit code", code, 1), ("numbers", "MiB" in errors, True)])
            self.findings.check("no room: files", left_in(small))
        finally:
            subprocess.run(["umount", small], check=True)
        self.nothing_held("no room", "running")

    def disk_full(self) -> None:
        """The dump itself does not fit."""
        small = self.folder / "small"
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "none", small], capture_output=True).returncode != 0:
            self.findings.skip("disk full", "cannot mount")
            return
        try:
            code, answer, errors = run_dump([self.vmcorectl.path], ["--method", "qmp", "--qmp", self.guest.qmp_socket, "-o",
                                                                    small / "vmcore", "--spool", self.out])
            print(f"  disk full: exit {code}, {errors}", flush=True)
            expect(self.findings, "disk full", [("exit code", code, 1), ("code", answer["error"]["code"], "no_space"),
                                                ("state", answer["guest"]["state_after"], "running")])
            self.findings.check("disk full: files", left_in(small))
        finally:
            subprocess.run(["umount", small], check=True)
        self.nothing_held("disk full", "running")

    def qemu_dies(self) -> None:
        """While it holds the guest."""
        witness = Witness(self.guest.folder / "witness.sock")
        process = subprocess.Popen([self.vmcorectl.path, "dump", *NO_LIMIT, "--method", "qmp", "--qmp", str(self.guest.qmp_socket), "-o",
                                    str(self.dump_file)], stderr=subprocess.PIPE, text=True)
        self.findings.check("QEMU dies: when it holds the guest", [] if witness.wait_for_stop(60) else ["no STOP"])
        self.guest.process.kill()
        _, errors = process.communicate(timeout=60)
        print(f"  QEMU killed: exit {process.returncode}, {errors.strip()}", flush=True)
        expect(self.findings, "QEMU dies", [("exit code", process.returncode, 4), ("said", "QEMU" in errors, True)])
        self.findings.check("QEMU dies: files", left_in(self.out))

    def then(self) -> None:
        self.guest.qmp("stop")
        code, answer, _ = self.dump("--then", "resume")
        expect(self.findings, "--then resume", [("exit code", code, 0), ("done", answer["guest"]["then"]["done"], True)])
        self.nothing_held("--then resume", "running")
        self.guest.panic()
        self.guest.qmp("set-action", reboot="reset")
        self.dump_file.write_text("in the way: the dump fails, the reset comes")
        code, answer, errors = self.dump("--then", "reset")
        expect(self.findings, "--then reset after a failure", [("exit code", code, 1), ("says", "By hand" in errors, True),
                                                               ("done", answer["guest"]["then"]["done"], False)])
        self.nothing_held("--then reset, withheld", "guest-panicked")
        self.dump_file.write_text("in the way again")
        code, answer, _ = self.dump("--then-always", "reset")
        expect(self.findings, "--then-always reset after a failure", [("exit code", code, 1),
                                                                      ("done", answer["guest"]["then"]["done"], True)])
        self.nothing_held("--then-always reset", "running")
        self.guest._wait(lambda: self.guest.console.count("READY") == 2, "second READY", 240)
        code, answer, _ = self.dump("--then", "destroy")
        expect(self.findings, "--then destroy", [("exit code", code, 0), ("done", answer["guest"]["then"]["done"], True),
                                                 ("QEMU ended", self.guest.process.wait(timeout=10), 0)])


def test(vmcorectl, _, findings) -> None:
    config = Config(name="dump/qmp", kernel="6.12", memory_mib=512)
    with scratch_folder() as scratch:
        with Guest(config) as guest:
            folder = Path(scratch) / "first"
            folder.mkdir()
            case = Case(vmcorectl, guest, findings, folder)
            case.running()
            case.interrupted()
            case.refusals()
            case.no_room()
            case.disk_full()
            guest.qmp("stop")
            case.stopped("paused", "paused")
            guest.qmp("cont")
            guest.panic()
            case.stopped("panicked", "guest-panicked")
            guest.qmp("cont")       # it hangs in panic(), running
            case.qemu_dies()
        with Guest(config) as guest:
            folder = Path(scratch) / "second"
            folder.mkdir()
            Case(vmcorectl, guest, findings, folder).then()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
