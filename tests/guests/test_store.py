#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcorectl dump --keep` of a real guest that panicked: its flash report, what is stored, what reads it, and --then behind it."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder


class Case:
    def __init__(self, vmcorectl, guest, findings, store: Path):
        self.vmcorectl, self.guest, self.findings, self.store = vmcorectl, guest, findings, store

    def keep_command(self, *words) -> list:
        return [self.vmcorectl.path, "dump", "--qmp", self.guest.qmp_socket, "--keep", "--store", self.store, *words]

    def listed(self) -> list:
        done = self.vmcorectl.run("list", "--store", self.store, "--output", "json")
        return json.loads(done.stdout)["crashes"]

    def report_of(self, *words) -> dict:
        return json.loads(self.vmcorectl.run("report", *words, "--output", "json").stdout)

    def flash(self) -> None:
        """The first crash is kept with its memory, the same one again is not; both have the report of the dump."""
        begun = time.monotonic()
        done = subprocess.run(self.keep_command("--flash", "--output", "json"), capture_output=True, text=True, timeout=300)
        took = time.monotonic() - begun
        first = self.listed()[-1]
        manifest, folder = first["manifest"], self.store / first["id"]
        print(f"  flash report after {manifest['to_flash_ms']:.0f} ms, dump after {manifest['to_dump_ms']:.0f} ms, "
              f"all in {took:.1f} s: {manifest['signature']}", flush=True)
        files = {file["name"]: file["size"] for file in manifest["files"]}
        print(f"  files: {files}", flush=True)
        flash = json.loads((folder / "report.json").read_text())
        dump = self.report_of(folder / "vmcore")
        same = ("class", "message", "cpu", "task", "signature")
        expect(self.findings, "flash", [
            ("exit code", done.returncode, 0), ("stderr", done.stderr, ""),
            ("warnings", [remark for remark in manifest["remarks"] if remark["severity"] == "warning"], []),
            ("files", sorted(files), ["report.json", "report.txt", "vmcore", "vmcore-dmesg.txt"]),
            ("report", [flash["panic"].get(key) for key in same], [dump["panic"].get(key) for key in same]),
            ("tasks", flash["tasks"]["total"], dump["tasks"]["total"]),
            ("signature", manifest["signature"]["exact"], dump["panic"]["signature"]["exact"]),
            ("weak", manifest["signature"]["weak"], False),
            ("screen", "crash " in (folder / "report.txt").read_text(), True)])
        done = subprocess.run(self.keep_command("--flash"), capture_output=True, text=True, timeout=300)
        print(done.stdout, flush=True)
        second = self.listed()[-1]
        stored = self.report_of("--store", self.store, second["id"])
        expect(self.findings, "repeat", [
            ("exit code", done.returncode, 0), ("told", "not kept: it repeats" in done.stdout, True),
            ("dump", second["manifest"]["dump"], None), ("complete", second["manifest"]["complete"], True),
            ("signature", second["manifest"]["signature"], manifest["signature"]),
            ("report", [stored["panic"].get(key) for key in same], [dump["panic"].get(key) for key in same]),
            ("guest", self.guest.status(), "guest-panicked")])

    def keep(self) -> None:
        begun = time.monotonic()
        done = subprocess.run(self.keep_command(), capture_output=True, text=True, timeout=300)
        print(f"  kept in {time.monotonic() - begun:.1f} s:\n{done.stdout}{done.stderr}", flush=True)
        crash = self.listed()[-1]
        manifest = crash["manifest"]
        folder = self.store / crash["id"]
        sums = {file["name"]: file["sha256"] for file in manifest["files"]}
        expect(self.findings, "kept", [
            ("exit code", done.returncode, 0), ("reason", manifest["reason"], "panic"),
            ("complete", manifest["complete"], True), ("verified", manifest["verified"], True),
            ("damage", crash["damage"], None), ("release", "6.12" in manifest["dump"]["release"], True),
            ("sums", {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in sums}, sums),
            ("log", "panic" in (folder / "vmcore-dmesg.txt").read_text(), True)])

    def read(self) -> None:
        for verb, says in (("info", "panic"), ("dmesg", "Kernel panic"), ("memory", "kernel")):
            done = self.vmcorectl.run(verb, "--store", self.store, "-1")
            text = done.stdout if isinstance(done.stdout, str) else done.stdout.decode()
            expect(self.findings, verb, [("exit code", done.returncode, 0), ("says", says in text, True)])

    def killed(self) -> None:
        """At random moments. What was told to be kept is there; what is listed is whole; the guest stays as it is."""
        chance = random.Random(13)
        before = len(self.listed())
        told = 0
        for _ in range(10):
            writer = subprocess.Popen(self.keep_command("-q"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                writer.wait(chance.uniform(0, 6))
            except subprocess.TimeoutExpired:
                os.kill(writer.pid, signal.SIGKILL)
            told += writer.wait() == 0
        self.vmcorectl.run("prune", "--store", self.store)
        crashes = self.listed()
        left = [path.name for path in self.store.iterdir() if path.name.startswith(".") and path.name != ".reserve"]
        print(f"  10 writers killed: {told} were kept, {len(crashes) - before} are listed", flush=True)
        expect(self.findings, "killed", [
            ("kept", len(crashes) - before >= told, True), ("damaged", [crash["damage"] for crash in crashes if crash["damage"]], []),
            ("left behind", left, []), ("guest", self.guest.status(), "guest-panicked")])

    def then(self) -> None:
        done = subprocess.run(self.keep_command("--then", "destroy"), capture_output=True, text=True, timeout=300)
        crash = self.listed()[-1]
        expect(self.findings, "then", [("exit code", done.returncode, 0), ("action", crash["policy"]["action"], "destroy"),
                                       ("done", crash["policy"]["done"], True)])


def test(vmcorectl, _, findings) -> None:
    with scratch_folder() as scratch, Guest(Config(name="store", kernel="6.12", memory_mib=512)) as guest:
        guest.panic()
        case = Case(vmcorectl, guest, findings, Path(scratch) / "store")
        case.flash()
        case.keep()
        case.read()
        case.killed()
        case.then()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
