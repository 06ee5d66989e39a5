#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that holds a guest's only monitor runs dumps as jobs: it lends the monitor, learns what happened meanwhile,
gets the guest back as soon as its memory is read, and carries out its policy while the job compresses."""

import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import NO_LIMIT, expect, same_as_converted
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.service import Job, Monitor


class Case:
    def __init__(self, vmcorectl, guest, findings, folder: Path):
        self.vmcorectl, self.guest, self.findings, self.folder = vmcorectl, guest, findings, folder
        self.monitor = Monitor(guest.qmp_socket)
        self.dump_file = folder / "dump"

    def job(self, what: str, *words, on_event=None) -> Job:
        self.dump_file.unlink(missing_ok=True)
        job = Job(self.vmcorectl.path, "dump", "--qmp", self.guest.qmp_socket, *NO_LIMIT, "-o", self.dump_file, *words,
                  lend=self.monitor, on_event=on_event)
        print(f"  {what}: exit {job.code}, memory read after {job.when('memory-read'):.2f} s, end after {job.when('end'):.2f} s"
              f" {job.text[:300]}", flush=True)
        return job

    def running(self, method: str) -> None:
        job = self.job(f"running, {method}", "--method", method)
        expect(self.findings, f"running, {method}", [
            ("exit code", job.code, 0), ("returned", [event.get("monitor") for event in job.of("memory-read")], [True]),
            ("before the end", job.when("memory-read") < job.when("end"), True),
            ("its report", job.of("end")[0]["report"]["guest"]["state_after"], "running"),
            ("the monitor", self.monitor.ask("query-status")["status"], "running"),
            ("no event for the service", set(self.monitor.events) - {"STOP", "RESUME", "DUMP_COMPLETED"}, set())])
        self.monitor.events.clear()

    def events(self) -> None:
        """A reset that a second monitor orders just before the job begins: the job receives its event."""
        other = Monitor(self.guest.folder / "witness.sock")
        self.monitor.ask("query-status")    # receives the events of the last boot
        self.monitor.events.clear()
        other.ask("system_reset")
        job = self.job("reset meanwhile", "--method", "direct")
        told = [event["what"] for event in job.of("guest")]
        self.monitor.ask("query-status")
        other.ask("query-status")
        other.close()    # firmware resets the guest again, so that there are several
        expect(self.findings, "a reset meanwhile", [
            ("a reset was told", "reset" in told, True),
            ("told once", told.count("reset") + self.monitor.events.count("RESET"), other.events.count("RESET")),
            ("the monitor", self.monitor.ask("query-status")["status"], "running")])
        print(f"  reset meanwhile: told by the job {told}, by the monitor then {self.monitor.events}", flush=True)
        self.monitor.events.clear()

    def panicked(self, *words, method: str = "direct") -> None:
        """The guest is reset as soon as its memory is read; what is written is the guest that panicked."""
        what = f"panicked, {method} {' '.join(words)}"
        self.guest.tell("panic 0")
        deadline = time.monotonic() + 60
        while self.monitor.ask("query-status")["status"] != "guest-panicked" and time.monotonic() < deadline:
            time.sleep(0.1)
        raw = self.folder / "raw"
        self.monitor.ask("dump-guest-memory", paging=False, protocol=f"file:{raw}")
        self.monitor.events.clear()
        reset = []

        def policy(event: dict) -> None:
            if event["event"] == "memory-read":
                self.monitor.ask("system_reset")
                self.monitor.ask("cont")
                reset.append(self.monitor.ask("query-status")["status"])

        job = self.job(what, "--method", method, *words, on_event=policy)
        expect(self.findings, what, [
            ("exit code", job.code, 0), ("the policy", reset, ["running"]),
            ("its report", job.of("end")[0]["report"]["guest"]["state_after"], "guest-panicked"),
            ("events", {"RESET", "RESUME"} <= set(self.monitor.events), True)])
        self.findings.check(f"{what}: equals QEMU's own dump, converted",
                            same_as_converted(self.vmcorectl, self.dump_file, raw, self.folder))
        raw.unlink()
        self.wait_for_boot()

    def wait_for_boot(self) -> None:
        boots = self.guest.console.count("\nREADY")
        deadline = time.monotonic() + 240
        while self.guest.console.count("\nREADY") <= boots and time.monotonic() < deadline:
            time.sleep(0.5)


def main_test(vmcorectl, _guests, findings) -> None:
    config = Config(name="job", words=("-action", "reboot=reset"))
    with scratch_folder() as folder, Guest(config) as guest:
        case = Case(vmcorectl, guest, findings, Path(folder))
        case.running("direct")
        case.running("qmp")
        case.panicked()
        case.panicked("--memory-budget", "4MiB")
        case.panicked(method="qmp")
        case.events()


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
