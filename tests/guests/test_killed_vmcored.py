#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcored is killed at random moments after a real guest panicked, and another one is started: each panic is kept, the guest
boots again after each, and it is never restarted twice. Each panic is kept as a whole: by the next vmcored, or, if the guest
was restarted before the kill, by the job, which outlives its vmcored. cli/test_killed.py kills more often, with guests that are
only monitors. $VMCORECTL_KILLS: how often (5)."""

import os
import random
import signal
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.test_trap import Case

KILLS = int(os.environ.get("VMCORECTL_KILLS", "5"))
LONGEST = 3.0       # seconds from the panic to the kill; a crash is kept after about as many


class Panicked(Case):
    CONFIG = '[guests]\nafter-crash = "restart"\nguest-rate = 1000\nsignature-rate = 1000\nrepeat-window = "1s"\n'
    ARMED = "armed, "
    ARM = ()

    def killed(self, trials: int) -> None:
        for trial in range(trials):
            delay = random.uniform(0, LONGEST)

            def kill(delay=delay) -> None:
                time.sleep(delay)
                self.stop(signal.SIGKILL)
                self.start()

            before = self.crashes()
            booted = self.told("panic 0", kill)
            self.wait_for(lambda: [crash for crash in self.crashes()[len(before):] if crash["complete"]], "a whole crash", 60)
            new = self.crashes()[len(before):]
            whole = [crash for crash in new if crash["complete"]]
            print(f"  killed {delay:.3f} s after the panic: {len(whole)} whole, {len(new) - len(whole)} in part", flush=True)
            expect(self.findings, f"killed {delay:.3f} s after the panic, trial {trial}", [
                ("booted again", booted, True), ("a whole crash", bool(whole), True),
                ("opened", all(crash["verified"] and crash["dump"] for crash in whole), True)])
        self.findings.check("a boot for each panic", [] if self.boots() == trials + 1 else [f"{self.boots()} boots, {trials} panics"])


def main_test(vmcorectl, _guests, findings) -> None:
    with scratch_folder() as scratch:
        folder = Path(scratch)
        (folder / "qmp").mkdir(mode=0o700)
        # The firmware resets once more after a reset, at which QEMU would end.
        config = Config(name="vm1", memory_mib=512,
                        words=("-action", "reboot=reset", "-qmp", f"unix:{folder}/qmp/vm1.sock,server=on,wait=off"))
        with Guest(config) as guest:
            case = Panicked(vmcorectl, guest, findings, folder)
            try:
                case.start()
                case.killed(KILLS)
                expect(findings, "SIGTERM", [("exit code", case.stop(signal.SIGTERM) or case.service.returncode, 0)])
            finally:
                case.stop(signal.SIGKILL)
                if findings.count:
                    print(case.said()[-6000:], flush=True)


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
