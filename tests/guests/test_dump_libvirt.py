#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcorectl dump -c URI DOMAIN`: an embedded driver and session daemons of the test's own; running, paused and
panicked domains; what it leaves behind; how it fails."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import (NO_LIMIT, SIGINT_TWICE, expect, interrupt, left_in, run_dump,
                                same_as_converted)
from guests.harness import run_test, scratch_folder
from guests.libvirt_rig import LibvirtRig, available, daemon_program

METHODS = ("direct", "libvirt")
RESTARTS = 3        # of the daemon, for each method


class Case:
    def __init__(self, vmcorectl, rig, findings, folder: Path):
        self.vmcorectl, self.rig, self.findings, self.folder = vmcorectl, rig, findings, folder
        self.out = rig.folder / "home/out"
        self.out.mkdir(exist_ok=True)
        rig.own(self.out)
        self.dump_file = self.out / "vmcore"
        self.taints = rig.taints()
        self.kind = rig.kind

    method = "libvirt"

    def words(self, *more) -> list:
        return ["-c", self.rig.uri, self.rig.name, "--method", self.method, "-o", self.dump_file, *more]

    def dump(self, *words):
        started = time.monotonic()
        code, answer, errors = run_dump(self.rig.command(self.vmcorectl.path), self.words(*words))
        print(f"  {self.kind}: {self.method}: dump {' '.join(map(str, words))}: exit {code}, {time.monotonic() - started:.1f} s, "
              f"pause {answer.get('guest', {}).get('pause_ms')} ms, {answer.get('size')} bytes {errors[:300]}", flush=True)
        return code, answer, errors

    def nothing_held(self, what: str, status: str) -> None:
        what = f"{self.kind}: {self.method}: {what}"
        blocked = self.rig.qmp("query-migrate").get("blocked-reasons", [])
        expect(self.findings, f"{what}: afterwards", [
            ("status", self.rig.status(), status),
            ("dump active", self.rig.qmp("query-dump")["status"] == "active", False),
            ("migration blockers", blocked, []),
            ("job", "None" in self.rig.virsh("domjobinfo", self.rig.name), True),
            ("taints", self.rig.taints(), self.taints)])
        self.dump_file.unlink(missing_ok=True)
        self.findings.check(f"{what}: files", left_in(self.out))

    def one(self, what: str, state: str, status: str, compared: bool) -> None:
        code, answer, _ = self.dump("--verify")
        guest = answer.get("guest", {})
        expect(self.findings, f"{self.kind}: {what}: result", [
            ("exit code", code, 0), ("before", guest.get("state_before"), state), ("after", guest.get("state_after"), state),
            ("method", guest.get("method"), self.method), ("paused", (guest.get("pause_ms") or 0) > 0, state == "running")])
        if code == 0 and compared:
            raw = self.rig.dump_elf(self.folder / "raw")
            self.findings.check(f"{self.kind}: {what}: equals QEMU's own dump, converted",
                                same_as_converted(self.vmcorectl, self.dump_file, raw, self.folder))
            raw.unlink()
        self.nothing_held(what, status)

    def by_each_method(self, *words) -> None:
        for self.method in METHODS:
            self.one(*words)

    def interrupted(self) -> None:
        for delay in (0.1, 0.5, 1.0):
            code, seconds = interrupt(self.rig.command(self.vmcorectl.path, "dump", *NO_LIMIT, *self.words()), SIGINT_TWICE, delay)
            print(f"  {self.kind}: interrupted after {delay} s: exit {code}, {seconds:.2f} s", flush=True)
            finished = self.dump_file.exists()
            expect(self.findings, f"{self.kind}: interrupted", [("exit code", code, 0 if finished else 130)])
            self.nothing_held(f"interrupted after {delay} s", "running")

    def looks(self) -> None:
        for verb, said in (("check", "PASS (running)"), ("dmesg", "Linux version")):
            look = subprocess.run(self.rig.command(self.vmcorectl.path, verb, "-c", self.rig.uri, self.rig.name),
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
            expect(self.findings, f"{self.kind}: {verb}", [("exit code", look.returncode, 0), ("said", said in look.stdout, True)])

    def restarted(self) -> None:
        """The daemon, at random moments of a dump: that ends soon, whole or with an error."""
        for self.method in METHODS * RESTARTS:
            process = subprocess.Popen(self.rig.command(self.vmcorectl.path, "dump", *NO_LIMIT, *self.words()), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            delay = random.uniform(0, 0.4)
            time.sleep(delay)
            self.rig.restart_daemon()
            started = time.monotonic()
            code = process.wait(timeout=60)
            seconds = time.monotonic() - started
            while self.rig.status() != "running" and time.monotonic() - started < 10:
                time.sleep(0.05)
            print(f"  {self.kind}: {self.method}: restarted after {delay:.2f} s: exit {code} {seconds:.2f} s later", flush=True)
            expect(self.findings, f"{self.kind}: restarted", [("exit code", code in (0, 1), True), ("soon", seconds < 5, True)])
            self.nothing_held("restarted", "running")

    def refusals(self) -> None:
        run = lambda *words: run_dump(self.rig.command(self.vmcorectl.path), ["-o", self.dump_file, *words])
        code, _, errors = run("-c", self.rig.uri, "no-such-domain")
        expect(self.findings, f"{self.kind}: an unknown domain", [("exit code", code, 1),
                                                                 ("said", "no-such-domain" in errors, True)])
        code, _, errors = run("--qmp", next(self.rig.folder.rglob("monitor.sock"), "/none"))
        expect(self.findings, f"{self.kind}: libvirt's monitor", [("exit code", code, 1), ("said", "libvirt" in errors, True)])
        code, _, errors = run("-c", "qemu+ssh://far/system", "x")
        expect(self.findings, f"{self.kind}: no connection", [("exit code", code, 1)])
        self.nothing_held("refusals", "running")

    def without_pipe(self) -> None:
        """A vmcorectl in another PID namespace: libvirt cannot see its pipe, and writes a file."""
        away = ["unshare", "--pid", "--fork", "--mount-proc"]
        if os.geteuid() != 0:
            self.findings.skip(f"{self.kind}: without a pipe", "needs root")
            return
        code, _, errors = run_dump(away + self.rig.command(self.vmcorectl.path), self.words("--pause-limit", "none"))
        expect(self.findings, f"{self.kind}: without a pipe, refused", [("exit code", code, 1),
                                                                       ("says how", "--allow-unbounded-pause" in errors, True)])
        self.nothing_held("without a pipe, refused", "running")
        code, answer, errors = run_dump(away + self.rig.command(self.vmcorectl.path),
                                        self.words("--verify", "--allow-unbounded-pause"))
        print(f"  {self.kind}: without a pipe: exit {code}, pause {answer.get('guest', {}).get('pause_ms')} ms {errors[:300]}",
              flush=True)
        expect(self.findings, f"{self.kind}: without a pipe", [("exit code", code, 0)])
        self.nothing_held("without a pipe", "running")

    def all_crashed(self, expected: list, *words) -> None:
        """Into a folder, twice: the second time there is nothing left to dump."""
        folder = self.out / "all"
        folder.mkdir()
        self.rig.own(folder)
        for guests, more in ((expected, words), ([], ())):
            done = subprocess.run(self.rig.command(self.vmcorectl.path, "dump", "-c", self.rig.uri, "--all-crashed", "--output",
                                                   "json", "-o", folder, *more),
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
            print(f"  {self.kind}: --all-crashed: exit {done.returncode}, {os.listdir(folder)} {done.stderr[:300]}", flush=True)
            expect(self.findings, f"{self.kind}: --all-crashed", [
                ("exit code", done.returncode, 0),
                ("guests", [dump["guest"]["name"] for dump in json.loads(done.stdout)], guests),
                ("files", len(os.listdir(folder)), len(expected)),
                ("says why none", "this crash was dumped already: " + str(folder) in done.stderr, guests != expected)])
        shutil.rmtree(folder)

    def planned(self, running: bool) -> None:
        """--dry-run, and the dump that it tells of."""
        before, self.method = self.method, "direct"     # the others know what is kept only in the pause
        code, plan, errors = self.dump("--dry-run")
        _, dump, _ = self.dump()
        guest = plan.get("guest", {})
        expect(self.findings, f"{self.kind}: --dry-run", [
            ("exit code", (code, errors if code else ""), (0, "")), ("file", plan.get("file"), None),
            ("pause", (guest.get("pause_ms"), (guest.get("pause_forecast_ms") or 0) > 0), (None, running)),
            ("pages", 0.5 < plan.get("pages", {}).get("kept", 0) / dump["pages"]["kept"] < 2, True),
            ("names the file", any("the dump would be" in remark["text"] for remark in guest.get("remarks", [])), True)])
        self.dump_file.unlink(missing_ok=True)
        self.method = before

    def then(self) -> None:
        code, answer, _ = self.dump("--then", "reset")
        expect(self.findings, f"{self.kind}: --then reset", [("exit code", code, 0),
                                                             ("done", answer.get("guest", {}).get("then", {}).get("done"), True)])
        self.nothing_held("--then reset", "running")
        self.rig.wait_for_reboot()
        code, answer, _ = self.dump("--then", "destroy")
        expect(self.findings, f"{self.kind}: --then destroy", [
            ("exit code", code, 0), ("domains", self.rig.name in self.rig.virsh("list", "--name"), False)])


def test_kind(vmcorectl, kind: str, findings) -> None:
    with scratch_folder() as scratch, LibvirtRig(kind) as rig:
        case = Case(vmcorectl, rig, findings, Path(scratch))
        case.by_each_method("running", "running", "running", False)
        case.interrupted()
        case.refusals()
        case.all_crashed([])
        case.planned(True)
        if kind == "session":       # an embedded driver would move with it
            case.without_pipe()
            case.restarted()
        rig.virsh("suspend", rig.name)
        case.by_each_method("paused", "paused (user)", "paused", True)
        rig.virsh("resume", rig.name)
        rig.panic()
        case.by_each_method("panicked", "crashed (panicked)", "guest-panicked", True)
        case.planned(False)
        case.all_crashed([rig.name], "--force")
        case.then()


def test_virtqemud(vmcorectl, findings) -> None:
    """libvirt's daemon for QEMU alone, by its own socket."""
    with scratch_folder() as scratch, LibvirtRig("virtqemud") as rig:
        case = Case(vmcorectl, rig, findings, Path(scratch))
        case.looks()
        case.by_each_method("running", "running", "running", False)
        case.restarted()
        rig.panic()
        case.by_each_method("panicked", "crashed (panicked)", "guest-panicked", True)


def test_nodes(vmcorectl, findings) -> None:
    """Which mapping of QEMU holds which of two nodes of one size, QEMU itself tells by some pages, without a taint."""
    with scratch_folder() as scratch, LibvirtRig("session", nodes=2) as rig:
        case = Case(vmcorectl, rig, findings, Path(scratch))
        case.looks()
        case.kind, pauses = "nodes", {}
        for case.method in METHODS:
            case.one("running", "running", "running", False)
        for case.method in ("auto", "libvirt"):
            code, answer, _ = case.dump()
            guest = answer.get("guest", {})
            pauses[guest.get("method")] = guest.get("pause_ms")
            case.nothing_held("nodes", "running")
        print(f"  nodes: pause by method direct {pauses.get('direct')} ms, by method libvirt, the way before, "
              f"{pauses.get('libvirt')} ms", flush=True)
        expect(findings, "nodes: methods", [("methods", sorted(map(str, pauses)), ["direct", "libvirt"])])
        rig.panic()
        case.method = "direct"
        case.one("panicked", "crashed (panicked)", "guest-panicked", True)


def test_unclear(vmcorectl, findings) -> None:
    """Where QEMU has the memory cannot be told: libvirt's own dump is taken, and that is told. The guest runs throughout
    but for the dump."""
    words = ("-machine", "max-ram-below-4g=0x10000000")         # a size in a form that is not read
    with scratch_folder() as scratch, LibvirtRig("session", nodes=2, qemu_words=words) as rig:
        case = Case(vmcorectl, rig, findings, Path(scratch))
        case.method = "auto"
        code, answer, errors = case.dump()
        expect(findings, "unclear: result", [
            ("exit code", code, 0), ("method", answer["guest"]["method"], "libvirt"),
            ("as found", answer["guest"]["as_found"], True)])
        case.nothing_held("unclear", "running")
        case.method = "direct"
        code, answer, errors = case.dump()
        expect(findings, "unclear: direct only", [("exit code", code, 1), ("said", "is not known" in errors, True),
                                                  ("what would", "--allow-taint" in errors, True)])
        case.nothing_held("unclear: direct only", "running")
        test_asking(case, rig, findings)


def test_asking(case, rig, findings) -> None:
    """With --allow-taint QEMU is asked, and what is found there is the same."""
    log = subprocess.run(rig.command(case.vmcorectl.path, "dmesg", "--allow-taint", "-c", rig.uri, rig.name),
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
    expect(findings, "unclear: dmesg, asked", [("exit code", log.returncode, 0), ("log", "Linux version" in log.stdout, True)])
    case.taints = rig.taints()
    expect(findings, "unclear: asked", [("tainted", any("custom-monitor" in line for line in case.taints), True)])
    code, answer, _ = case.dump("--allow-taint", "--verify")
    remarks = [remark["text"] for remark in answer.get("guest", {}).get("remarks", [])]
    expect(findings, "unclear: running, asked", [
        ("exit code", code, 0), ("as found", answer["guest"]["as_found"], True),
        ("told", any("tainted" in text for text in remarks), True)])
    case.nothing_held("unclear: running, asked", "running")
    rig.virsh("suspend", rig.name)
    code, _, _ = case.dump("--allow-taint", "--verify")
    expect(findings, "unclear: paused, asked", [("exit code", code, 0)])
    if code == 0:
        raw = rig.dump_elf(case.folder / "raw")
        findings.check("unclear: asked: equals QEMU's own dump, converted",
                       same_as_converted(case.vmcorectl, case.dump_file, raw, case.folder))
    case.nothing_held("unclear: paused, asked", "paused")


def test(vmcorectl, _, findings) -> None:
    kinds = os.environ.get("VMCORECTL_LIBVIRT", "embed session virtqemud").split()
    for kind in kinds:
        if kind != "virtqemud":
            test_kind(vmcorectl, kind, findings)
        elif daemon_program(kind):
            test_virtqemud(vmcorectl, findings)
        else:
            findings.skip("virtqemud", "it is not installed")
    if "session" in kinds:
        test_nodes(vmcorectl, findings)
        test_unclear(vmcorectl, findings)


if __name__ == "__main__":
    if not available():
        print("SKIPPED: no libvirt with its QEMU driver")
        sys.exit(77)
    sys.exit(run_test(test, [], __doc__))
