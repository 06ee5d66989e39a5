#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The reset trap: a guest without a panic device, a driver or kdump stops before it resets. Its panic is kept, an orderly
reboot goes on at once, and a guest that stands still goes on when vmcored is killed: at VMCORED_KILLS random moments (20),
amid panics and orderly reboots."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.guest import BOOT_SECONDS, Config, Guest
from guests.harness import run_test, scratch_folder

KILLS = int(os.environ.get("VMCORED_KILLS", "20"))
LOOK_AHEAD = 35     # seconds after which vmcored has looked where the kernel lies
MOST_EXTRA = 50     # milliseconds of an orderly reboot; told, and not judged: machines differ


class Case:
    """A vmcored with the guest of one socket, which it arms."""

    CONFIG = ""
    ARMED, ARM = "trap", ("--trap-resets",)

    def __init__(self, vmcorectl, guest, findings, folder: Path):
        self.vmcorectl, self.guest, self.findings, self.folder = vmcorectl, guest, findings, folder
        self.store, self.control, self.log = folder / "store", folder / "control", folder / "log"
        self.socket = folder / "qmp/vm1.sock"
        self.store.mkdir(exist_ok=True)
        self.service = None

    def start(self) -> None:
        program = Path(self.vmcorectl.path).with_name("vmcored")
        (self.folder / "conf").write_text(self.CONFIG)
        with open(self.log, "ab") as log:
            self.service = subprocess.Popen(
                [str(word) for word in (program, "--config", self.folder / "conf", "--qmp-folder", self.folder / "qmp",
                                        "--store", self.store, "--state", self.folder / "state", "--socket", self.control)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_for(lambda: self.ARMED in self.command("arm", "--qmp", self.socket, *self.ARM).stdout, "an armed guest", 30)

    def command(self, *words):
        return self.vmcorectl.run(*words, "--socket", self.control)

    def stop(self, number: int) -> None:
        if self.service and self.service.poll() is None:
            self.service.send_signal(number)
            self.service.wait(60)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def boots(self) -> int:
        return len(re.findall(r"^READY\r?$", self.guest.console, re.M))

    def crashes(self) -> list:
        done = self.vmcorectl.run("list", "--store", self.store, "--output", "json")
        listed = json.loads(done.stdout)["crashes"] if done.returncode == 0 else []
        return [crash["manifest"] for crash in listed if crash.get("manifest")]

    def wait_for(self, condition, what: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.findings.check(what, [f"not within {seconds} s", self.said()[-3000:], self.guest.console[-1500:]])
                return False
            time.sleep(0.05)
        return True

    def told(self, what: str, then, seconds: float = BOOT_SECONDS) -> bool:
        """Tells the workload, and waits until the guest has booted again."""
        boots = self.boots()
        self.guest.tell(what)
        then()
        return self.wait_for(lambda: self.boots() > boots, f"a boot after {what}", seconds)

    def panic(self) -> None:
        started = time.monotonic()
        took = []

        def kept() -> None:
            self.wait_for(lambda: self.crashes() and self.crashes()[0].get("dump"), "a stored crash", 120)
            took.append(time.monotonic() - started)

        booted = self.told("panic 0", kept)
        crash = (self.crashes() or [{}])[0]
        path = self.vmcorectl.run("path", "--store", self.store, "-1").stdout.strip()
        log = self.vmcorectl.run("dmesg", path)
        expect(self.findings, "panic", [
            ("booted again", booted, True), ("the dump", bool(crash.get("dump")), True),
            ("one crash", len(self.crashes()), 1), ("its log", "Kernel panic - not syncing: sysrq" in log.stdout, True),
            ("complete", crash.get("complete", True), True),
            ("stopped first", "it was stopped before it reset: panicked" in self.said(), True)])
        print(f"  panic: kept {took[0]:.2f} s after it was triggered" if took else "  panic: not kept", flush=True)

    def orderly(self) -> None:
        time.sleep(LOOK_AHEAD)
        booted = self.told("reboot", lambda: None)
        extra = re.findall(r"its reset was carried out after ([\d.]+) ms \((\w+)", self.said())
        took = [float(milliseconds) for milliseconds, why in extra if why == "orderly"]
        load = os.getloadavg()[0]
        expect(self.findings, "orderly reboot", [
            ("booted again", booted, True), ("looked at", bool(took), True), ("nothing more is kept", len(self.crashes()), 1)])
        print(f"  resets that were carried out: {extra}", flush=True)
        if took:
            verdict = "within" if took[-1] <= MOST_EXTRA else "BEYOND"
            print(f"  orderly reboot: {took[-1]:.1f} ms more, {verdict} {MOST_EXTRA} ms (load {load:.1f})", flush=True)

    def killed(self, trials: int) -> None:
        """At any moment from before the reset until the guest boots again. A panic is kept if vmcored had the time for its
        flash report; the guest runs again every time."""
        counts = {"reboot": [0, 0], "panic": [0, 0]}
        before = len(self.crashes())
        for trial in range(trials):
            what = ("reboot", "panic")[trial % 2]
            delay = random.uniform(0, 0.6 if what == "reboot" else 4)

            def kill(delay=delay) -> None:
                time.sleep(delay)
                self.stop(signal.SIGKILL)

            booted = self.told("reboot" if what == "reboot" else "panic 0", kill)
            self.findings.check(f"killed {delay:.3f} s after a {what} was ordered, trial {trial}",
                                [] if booted else ["the guest does not boot again"])
            self.start()    # completes what was begun
            counts[what][0] += 1
            counts[what][1] += booted
        kept = len(self.crashes()) - before
        panics = counts["panic"][0]
        self.findings.check("crashes", [] if kept <= panics else [f"{kept} crashes of {panics} panics"])
        for what, (all_of_them, booted) in counts.items():
            print(f"  vmcored killed amid a {what}: {all_of_them} times, the guest ran again {booted} times", flush=True)
        print(f"  of {panics} panics, {kept} were kept before vmcored was killed, or by the next one", flush=True)

    def power_off(self) -> None:
        self.guest.tell("poweroff")
        self.wait_for(lambda: self.guest.process.poll() is not None, "the end of QEMU", 60)


def main_test(vmcorectl, _guests, findings) -> None:
    with scratch_folder() as scratch:
        folder = Path(scratch)
        (folder / "qmp").mkdir(mode=0o700)
        config = Config(name="vm1", memory_mib=512, panic_device=False, kernel_words=("panic=1",),
                        words=("-action", "reboot=reset", "-qmp", f"unix:{folder}/qmp/vm1.sock,server=on,wait=off"))
        with Guest(config) as guest:
            case = Case(vmcorectl, guest, findings, folder)
            try:
                case.start()
                case.panic()
                case.orderly()
                case.killed(KILLS)
                case.power_off()
            finally:
                case.stop(signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
