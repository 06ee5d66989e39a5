#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Others at work on a guest at random moments of its `dump`: management that stops, resets, moves, saves or ends it, a
libvirtd that is restarted, and the OOM killer. Whatever they do, vmcorectl ends soon with a code of its contract and
a text for people, the guest is as they asked or as it was found, free of jobs, blockers and taints, and no file
under a final name is partial. interference.py says how the guest may stand after each action. One line a trial.

    test_interference.py [--trials N]       or VMCORECTL_KILL_TRIALS: for each method, a quarter of them of a guest
                                            that is paused; otherwise one of each kind, by either method in turn
"""

import collections
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import NO_LIMIT
from guests.guest import Config, Guest
from guests.harness import run_test
from guests.interference import LIMIT, LibvirtGuest, Outcome, PlainGuest, kill_largest
from guests.libvirt_rig import LibvirtRig, available, daemon_program
from guests.witness import blockers

MEMORY_MIB = 256
FREE_WITHIN = 3.0   # a look at a domain is three virsh and two connections to QEMU, which may be booting
DONE, FAILED, NOT_AS_ASKED, GUEST_CHANGED = 0, 1, 3, 4     # the contract (man page, EXIT STATUS)
JARGON = re.compile(r"std::|errno|Errc|exception|basic_string|terminate|assert|\.cc\b|EPIPE|ECONN|\{\"")


class Trials:
    def __init__(self, name: str, guest, command: list, out: Path, trials: int, vmcorectl, findings):
        self.name, self.guest, self.command, self.out, self.trials = name, guest, command, out, trials
        self.vmcorectl, self.findings = vmcorectl, findings
        self.taints = guest.taints()
        self.counts, self.texts = collections.Counter(), collections.Counter()
        self.longest_end = self.longest_free = 0.0

    def start(self, log):
        return subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def usual_seconds(self) -> float:
        times = []
        for _ in range(2):
            self.guest.bring("running")
            started = time.monotonic()
            if self.start(subprocess.DEVNULL).wait(timeout=LIMIT) != DONE:
                raise RuntimeError(f"{self.name}: a dump that nobody disturbs fails")
            times.append(time.monotonic() - started)
            self.clear()
        return min(times)

    def clear(self) -> tuple:
        """Removes what was written; (the names, what is wrong with them)."""
        names, wrong = [], []
        for path in self.out.iterdir():
            names.append(path.name)
            if path.name == "vmcore" and self.vmcorectl.run("info", path).returncode != DONE:
                wrong.append("vmcore is not complete")
            if not re.fullmatch(r"vmcore(\.incomplete)?", path.name):
                wrong.append(f"{path.name} ({path.stat().st_size} bytes) is left")
            path.unlink()
        return names, wrong

    def oom(self, found: str) -> Outcome:
        killed, spared = kill_largest(self.process)
        self.findings.check(f"{self.name}: oom_score_adj", [f"{name} is not the first to be killed" for name in spared])
        return Outcome(f"killed {killed or 'nobody'}", {found}, killed=killed == "vmcorectl")

    def bonds(self, states: set) -> list:
        """What keeps the guest from being as it may be."""
        state = self.guest.state()
        wrong = [] if state in states else [f"the guest is {state}, not {' or '.join(sorted(states))}"]
        return wrong + self.guest.held() + (blockers(self.guest.query) if state != "gone" else [])

    def free_again(self, states: set) -> tuple:
        started = time.monotonic()
        while bonds := self.bonds(states):
            if time.monotonic() - started > 10 * FREE_WITHIN:
                break
            time.sleep(0.005)
        return time.monotonic() - started, bonds

    def judge_end(self, action: str, outcome: Outcome, found: str, code: int, text: str, names: list) -> list:
        wrong = []
        if code not in ((-9,) if outcome.killed else (DONE, FAILED, NOT_AS_ASKED, GUEST_CHANGED)):
            wrong.append(f"exit code {code}")
        if code == GUEST_CHANGED and action in ("migrate", "oom") and outcome.states == {found}:
            wrong.append("a guest that is as it was found is said not to be")
        if code == DONE and names != ["vmcore"] or code == FAILED and names or code == NOT_AS_ASKED and not names:
            wrong.append(f"exit code {code} with {names or 'no file'}")
        if code > 0 and "vmcorectl: " not in text or JARGON.search(text):
            wrong.append("says nothing, or nothing for people")
        return wrong

    def trial(self, number: int, act, found: str, delay: float) -> None:
        self.guest.bring(found)
        action, wrong = act.__name__, []
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            self.process = self.start(log)
            time.sleep(delay)
            outcome = act(found)
            acted = time.monotonic()
            try:
                code = self.process.wait(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                code = -9
                wrong.append(f"vmcorectl still runs after {LIMIT} s")
            ended = time.monotonic() - acted
            free, bonds = self.free_again(outcome.states)
            log.seek(0)
            text = log.read()
        names, partial = self.clear()
        wrong += bonds + partial + self.judge_end(action, outcome, found, code, text, names)
        if free > FREE_WITHIN:
            wrong.append(f"free only after {free:.2f} s")
        if self.guest.taints() != self.taints:
            wrong.append(f"tainted: {self.guest.taints() - self.taints}")
        self.longest_end, self.longest_free = max(self.longest_end, ended), max(self.longest_free, free)
        self.counts[action, code] += 1
        self.texts.update(re.sub(r"\d+", "N", line) for line in text.splitlines()
                          if re.match("vmcorectl: (?!note:|warning:)", line))
        print(f"{self.name:16} {number:3}  {delay:6.3f} s  {found:7}  {action:14} {outcome.done:16} exit {code:3}  "
              f"ended after {ended:5.2f} s, free after {free:.3f} s  {'; '.join(wrong) or 'ok'}", flush=True)
        self.findings.check(f"{self.name}: trial {number}, {action}", wrong + ([text] if wrong and text else []))

    def run(self, turn: int) -> None:
        """`turn`: which of the two methods this is."""
        usual = self.usual_seconds()
        print(f"{self.name}: a dump takes {usual:.2f} s", flush=True)
        actions = [self.oom, *self.guest.actions()]
        actions = actions if self.trials else actions[turn::2]
        for number in range(self.trials or len(actions)):
            found = "paused" if self.trials and random.random() < 0.25 else "running"
            self.trial(number, actions[number % len(actions)], found, random.uniform(0, usual))
        counts = ", ".join(f"{action} exit {code}: {count}" for (action, code), count in sorted(self.counts.items()))
        print(f"{self.name}: vmcorectl ended at most {self.longest_end:.2f} s after the interference, "
              f"the guest was free at most {self.longest_free:.3f} s later\n    {counts}")
        for text, count in self.texts.most_common():
            print(f"    {count:3} x {text}", flush=True)


def plain(vmcorectl, trials: int, findings) -> None:
    with Guest(Config(name="dump/interference", kernel="6.12", memory_mib=MEMORY_MIB)) as guest:
        out, others = guest.folder / "out", PlainGuest(guest)
        out.mkdir()
        for turn, method in enumerate(("direct", "qmp")):
            command = [vmcorectl.path, "dump", *NO_LIMIT, "--method", method, "--qmp", str(guest.qmp_socket), "-o", str(out / "vmcore")]
            Trials(method, others, command, out, trials, vmcorectl, findings).run(turn)


def by_libvirt(vmcorectl, kind: str, trials: int, findings) -> None:
    with LibvirtRig(kind, memory_mib=MEMORY_MIB) as rig:
        out, others = rig.folder / "home/out", LibvirtGuest(rig)
        out.mkdir()
        rig.own(out)
        for turn, method in enumerate(("direct", "libvirt")):
            command = rig.command(vmcorectl.path, "dump", *NO_LIMIT, "-c", rig.uri, rig.name, "--method", method,
                                  "-o", out / "vmcore")
            Trials(f"{kind} {method}", others, command, out, trials, vmcorectl, findings).run(turn)


def test(vmcorectl, trials: int, findings) -> None:
    rigs = os.environ.get("VMCORECTL_KILL_METHODS", "direct session")
    if "direct" in rigs.split():
        plain(vmcorectl, trials, findings)
    for kind in {"session", "virtqemud"}.intersection(rigs.split()):
        if available() and daemon_program(kind):
            by_libvirt(vmcorectl, kind, trials, findings)
        else:
            findings.skip(kind, "no libvirt with its QEMU driver")


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__, trials=0))
