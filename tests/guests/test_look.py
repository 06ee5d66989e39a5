#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`dmesg`, `info` and `memory` of a libvirt domain that runs: where its kernel was found is remembered, and not believed
after a reboot; with --pause one moment is shown, and the guest runs again in every case."""

import json
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.harness import run_test
from guests.libvirt_rig import LibvirtRig, available


class Case:
    def __init__(self, vmcorectl, rig, findings):
        self.vmcorectl, self.rig, self.findings = vmcorectl, rig, findings
        self.cache = rig.runtime / "vmcorectl"

    def words(self, *words) -> list:
        return self.rig.command(self.vmcorectl.path, *words, "-c", self.rig.uri, self.rig.name)

    def run(self, *words):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(self.words(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"  {' '.join(words)}: exit {done.returncode}, {spent * 1000:.0f} ms of CPU, {len(done.stdout)} characters "
              f"{done.stderr.strip()[:200]}", flush=True)
        return done

    def as_before(self, what: str) -> None:
        deadline = time.monotonic() + 30            # of a vmcorectl that was killed
        while self.rig.status() != "running" and time.monotonic() < deadline:
            time.sleep(0.1)
        expect(self.findings, f"{what}: afterwards", [
            ("status", self.rig.status(), "running"),
            ("job", "None" in self.rig.virsh("domjobinfo", self.rig.name), True),
            ("taints", [line for line in self.rig.taints() if "custom-monitor" in line], [])])

    def remembered(self) -> str:
        files = sorted(self.cache.glob("*.place"))
        expect(self.findings, "the cache", [("files", len(files), 1), ("for others", self.cache.stat().st_mode & 0o77, 0)])
        return files[0].read_text() if files else ""

    def looks(self) -> None:
        first = self.run("dmesg")
        expect(self.findings, "a first look", [("exit code", first.returncode, 0),
                                               ("said", "not checked against the vCPUs" in first.stderr, True)])
        place = self.remembered()
        for verb in ("dmesg", "info", "memory"):
            expect(self.findings, f"{verb} again", [("exit code", self.run(verb).returncode, 0),
                                                    ("cache", self.remembered(), place)])
        name, = self.cache.glob("*.place")
        name.write_text("1000 " + place.split()[1] + "\n")      # nothing is there
        expect(self.findings, "a wrong hint", [("exit code", self.run("dmesg").returncode, 0),
                                               ("cache", self.remembered(), place)])
        self.as_before("looks")

    def callers(self) -> None:
        """Who wrote a line: the first one is the idle task's of CPU 0, the boot's are those of process 1."""
        def begun(done) -> list:
            return [line for line in done.stdout.splitlines() if line.startswith("[")]

        plain = begun(self.run("dmesg"))
        done = self.run("dmesg", "--show-caller")
        lines = begun(done)
        without = [re.sub(r"^(\[ *\d+\.\d{6}\]) \[ *[TC]\d+\]", r"\1", line) for line in lines]
        first = [line for line in lines if "Linux version" in line]
        expect(self.findings, "dmesg --show-caller", [
            ("exit code", done.returncode, 0), ("text", without[:len(plain)], plain),
            ("the boot's first line", [line[15:23] for line in first], ["[    T0]"]),
            ("init's lines", any("[    T1]" in line for line in lines), True)])

    def pauses(self) -> None:
        for verb in ("dmesg", "info", "memory", "report"):
            done = self.run(verb, "--pause", "--output", "json")
            answer = json.loads(done.stdout or "{}")
            expect(self.findings, f"{verb} --pause", [
                ("exit code", done.returncode, 0), ("said", "was paused for" in done.stderr, True),
                ("torn", "torn" in json.dumps(answer.get("remarks", [])) or answer.get("torn", False), False)])
            if verb == "info":
                expect(self.findings, "registers", [("CPUs", len(answer.get("cpus", [])), 2),
                                                    ("checked", "not checked" in json.dumps(answer["remarks"]), False)])
            if verb == "report":
                live = json.loads(self.run(verb, "--output", "json").stdout)
                expect(self.findings, "consistency", [("paused", answer.get("consistency"), "pause"),
                                                      ("not paused", live["consistency"], "torn")])
            self.as_before(f"{verb} --pause")

    def interrupted(self) -> None:
        """While the guest is held, as far as that can be caught."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL) * 3:
            process = subprocess.Popen(self.words("memory", "--pause"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            held = "running"
            while process.poll() is None and (held := self.rig.status()) == "running":
                time.sleep(0.001)
            process.send_signal(number)
            code = process.wait(timeout=60)
            print(f"  {number.name} while the guest was {held}: exit {code}", flush=True)
            if number != signal.SIGKILL:
                expect(self.findings, number.name, [("exit code", code in (0, 130), True)])
            self.as_before(number.name)

    def offset(self, *words) -> str:
        return json.loads(self.run("info", "--output", "json", *words).stdout)["kernel"]["kaslr_offset"]

    def after_reboot(self) -> None:
        """The kernel lies elsewhere, and that before it may lie in memory still."""
        before = self.offset()
        for _ in range(3):          # it may get the same place
            self.rig.virsh("reset", self.rig.name)
            self.rig.wait_for_reboot()
            live = self.offset()
            expect(self.findings, "after a reboot", [("kernel", live, self.offset("--pause"))])
            self.remembered()
            if live != before:
                return
        self.findings.check("after a reboot", ["the kernel never moved"])


def test(vmcorectl, _, findings) -> None:
    with LibvirtRig("session") as rig:
        case = Case(vmcorectl, rig, findings)
        case.looks()
        case.callers()
        case.pauses()
        case.interrupted()
        case.after_reboot()


if __name__ == "__main__":
    if not available():
        print("SKIPPED: no libvirt with its QEMU driver")
        sys.exit(77)
    sys.exit(run_test(test, [], __doc__))
