#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcorectl dump --method direct`: every kind of memory that QEMU gives a guest holds the same as QEMU's own dump; a
running guest waits briefly and is seen at one moment; the host's memory does not grow."""

import json
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect, pair_in
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.standing import Standing, standing
from guests.witness import Witness


# What is dumped while it stands still.
STANDING = [
    Config(name="direct/ram", kernel="6.12", memory_mib=512, backend="ram", la57=True),
    Config(name="direct/above-4G", kernel="6.12", memory_mib=5120, backend="ram", cpus=1),
    Config(name="direct/nodes", kernel="6.1", memory_mib=512, backend="memfd", nodes=2),
    Config(name="direct/nodes-private", kernel="6.1", memory_mib=512, backend="memfd-private", nodes=2),
    Config(name="direct/file", kernel="6.1", memory_mib=512, backend="file", machine="pc"),
    Config(name="direct/file-private", kernel="6.1", memory_mib=512, backend="file-private"),
    Config(name="direct/dimm", kernel="6.12", memory_mib=512, backend="ram-shared", dimm_mib=256),
    Config(name="direct/huge", kernel="6.1", memory_mib=512, backend="huge"),
    Config(name="direct/huge-private", kernel="6.1", memory_mib=512, backend="huge-private"),
]


class Running(Standing):
    def looked_at(self, witness: Witness) -> None:
        """dmesg and info of the guest itself: at once, and nothing of it can be seen by the guest."""
        for verb, expected in (("dmesg", "Linux version"), ("info", self.guest.kernel.release)):
            started = time.monotonic()
            done = self.vmcorectl.run(verb, "--qmp", self.guest.qmp_socket)
            print(f"  {self.name}: {verb}: exit {done.returncode}, {time.monotonic() - started:.2f} s, "
                  f"{len(done.stdout.splitlines())} lines {done.stderr.strip()[:300]}", flush=True)
            expect(self.findings, f"{self.name}: {verb}", [("exit code", done.returncode, 0),
                                                           ("text", expected in done.stdout, True)])
        witness.paused()
        expect(self.findings, f"{self.name}: looked at", [("events", witness.seen, [])])

    def refused(self, witness: Witness) -> None:
        """A guest that would stand still for too long is not touched."""
        for words in (["--pause-limit", "1ms"], ["--pause-limit", "1ms", "--method", "qmp", "--then", "destroy"]):
            done = self.vmcorectl.run("dump", "--qmp", self.guest.qmp_socket, "-o", self.dump_file, *words)
            print(f"  {self.name}: {' '.join(words)}: exit {done.returncode}, {done.stderr.strip()[:300]}", flush=True)
            expect(self.findings, f"{self.name}: {words}", [("exit code", done.returncode, 1),
                                                            ("says why", "--pause-limit" in done.stderr, True)])
        witness.paused()
        expect(self.findings, f"{self.name}: refused", [("events", witness.seen, [])])
        self.nothing_held("refused", "running")

    def told_by_the_file(self, consistency: str, pause_ms: float) -> None:
        done = self.vmcorectl.run("info", "--output", "json", self.dump_file)
        capture = json.loads(done.stdout).get("capture", {})
        expect(self.findings, f"{self.name}: {consistency}: the file tells", [
            ("method", capture.get("method"), "direct"), ("consistency", capture.get("consistency"), consistency),
            ("pause", capture.get("pause_ms"), pause_ms),
            ("host memory", capture.get("host_memory", 0) * 50 > self.guest.config.memory_mib << 20, False)])

    def running(self) -> None:
        witness = Witness(self.guest.folder / "witness.sock")
        self.looked_at(witness)
        self.refused(witness)
        seen_torn = []
        for consistency, times in (("pause", 5), ("torn", 5)):
            for _ in range(times):
                code, answer = self.dump("-d", "17", "--compress", "zlib", "--consistency", consistency)
                guest = answer.get("guest", {})
                expect(self.findings, f"{self.name}: {consistency}: result", [
                    ("exit code", code, 0), ("after", guest.get("state_after"), "running"),
                    ("paused at all", (guest.get("pause_ms") or 0) > 0, True),
                    ("says so", any("torn" in remark["text"] for remark in answer.get("remarks", [])), consistency == "torn")])
                self.told_by_the_file(consistency, guest.get("pause_ms"))
                lock, first, second = pair_in(self.dump_file, self.guest.console)
                print(f"  {self.name}: {consistency}: lock {lock}, counters {first} and {second - first:+}", flush=True)
                if consistency == "pause":
                    self.findings.check(f"{self.name}: pause: one moment",
                                        [] if first - second in ((0, 1) if lock else (0,)) else [f"{lock} {first} {second}"])
                else:
                    seen_torn.append(abs(first - second) > 1)
                self.nothing_held(consistency, "running")
        self.findings.check(f"{self.name}: torn dumps can be told", [] if any(seen_torn) else ["none shows two moments"])


def test(vmcorectl, _, findings) -> None:
    with scratch_folder() as scratch:
        for config in STANDING:
            standing(vmcorectl, config, Path(scratch), findings)
        with Guest(Config(name="direct/running", kernel="6.12", memory_mib=512, pair_cpu=1)) as guest:
            Running(vmcorectl, guest, findings, Path(scratch)).running()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
