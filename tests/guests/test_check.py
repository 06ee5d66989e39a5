#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcorectl check`: what it says of guests that are well, and of those that are not; that it touches none; whether
its prediction comes true; and `--fix`, on domains of a libvirt of the test's own."""

import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect, left_in, run_dump
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.libvirt_rig import LibvirtRig, available
from guests.witness import Witness
from peers import schemas

# Never started: it need not boot.
PLAIN = """<domain type='qemu'>
  <name>{name}</name>{metadata}<memory unit='MiB'>64</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices><emulator>{emulator}</emulator>
    <graphics type='vnc' passwd='secret'/></devices>
</domain>"""
NOVA = "<metadata><nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'/></metadata>"


def by(rig: LibvirtRig) -> str:
    """How the commands that are handed out name the libvirt that was asked."""
    return f"-c {shlex.quote(rig.uri)}"


class Checked:
    """One run of `vmcorectl check`."""

    def __init__(self, command: list, folder: Path, words: tuple):
        done = subprocess.run([*command, "check", *map(str, words)], cwd=folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
        self.code, self.text, self.errors = done.returncode, done.stdout, done.stderr.strip()
        try:
            self.list = json.loads(done.stdout)
            schemas.check(self.list)
        except ValueError:
            self.list = []
        self.by_id = {entry["id"]: entry for entry in self.list if isinstance(entry, dict) and "id" in entry}

    def result(self, what: str) -> str:
        return self.by_id.get(what, {}).get("result", "none")

    def says(self, what: str, text: str) -> bool:
        entry = self.by_id.get(what, {})
        return text in entry.get("hint", "") + entry.get("value", "")


def megabytes_told(checked: Checked) -> int:
    told = re.match(r"about (\d+) MiB", checked.by_id.get("room", {}).get("value", ""))
    return int(told.group(1)) if told else 0


class Case:
    """Checks of guests by one program, in a folder of its own."""

    def __init__(self, findings, kind: str, command: list, folder: Path, monitor: Path):
        self.findings, self.kind, self.command, self.folder = findings, kind, command, folder
        self.witness = Witness(monitor)

    def run(self, *words) -> Checked:
        checked = Checked(self.command, self.folder, words)
        print(f"  {self.kind}: check {' '.join(map(str, words))}: exit {checked.code} {checked.errors[:300]}", flush=True)
        return checked

    def json(self, *words) -> Checked:
        return self.run("--output", "json", *words)

    def expect(self, what: str, *pairs) -> None:
        expect(self.findings, f"{self.kind}: {what}", list(pairs))

    def results(self, what: str, checked: Checked, code: int, **results) -> None:
        self.expect(what, ("exit code", checked.code, code),
                    *((name, checked.result(name.replace("__", ".")), wanted) for name, wanted in results.items()))

    def untouched(self) -> None:
        """Once: the monitor is given back."""
        self.witness.paused()
        self.expect("the guest ran throughout", ("events", self.witness.seen, []))
        self.witness.socket.shutdown(socket.SHUT_RDWR)

    def prediction(self, checked: Checked, *guest) -> None:
        """Told and true size of a dump, within a factor of three of each other."""
        out = self.folder / "vmcore"
        code, answer, errors = run_dump(self.command, [*guest, "-o", out])
        told, size = megabytes_told(checked), (answer.get("size") or 0) / (1 << 20)
        pause = answer.get("guest", {}).get("pause_ms")
        print(f"  {self.kind}: told {told} MiB, {checked.by_id.get('pause', {}).get('value')}; was {size:.1f} MiB, {pause} ms", flush=True)
        self.expect("prediction", ("dump", (code, errors if code else ""), (0, "")),
                    ("within a factor of three", size / 3 < told < size * 3, True))
        out.unlink(missing_ok=True)


def test_raw(vmcorectl, findings) -> None:
    with scratch_folder() as scratch, Guest(Config(name="raw", backend="memfd")) as guest:
        folder = Path(scratch)
        case = Case(findings, "qmp", [vmcorectl.path], folder, guest.folder / "witness.sock")
        raw = ("--qmp", guest.qmp_socket)
        good = case.json(*raw)
        case.results("a good guest", good, 0, state="PASS", encryption="PASS", idle="PASS", method__direct="PASS",
                     method__qmp="PASS", kernel="PASS", pause="PASS", room="PASS", memory="PASS", panic="PASS",
                     on_crash="NOTE", vmcoreinfo="PASS", leftovers="PASS")
        case.expect("what it lies in", ("memory", good.by_id["memory"]["value"], "memfd, shared"))
        *lines, summary = case.run(*raw).text.splitlines()
        notes = [line for line in lines if re.match(r"raw: Checking \S.*: NOTE", line)]
        case.expect("lines", ("one a check", len(lines), len(good.list)),
                    ("of that form", [line for line in lines if not re.match(r"raw: Checking \S.*: (PASS|NOTE)", line)], []),
                    ("summary", summary, f"{len(lines) - len(notes)} PASS, {len(notes)} NOTE, 0 WARN, 0 FAIL"))
        case.expect("quiet", ("says what is not PASS", case.run("-q", *raw).text.splitlines(), notes))
        numbers = {name: value for entry in good.list for name, value in entry["numbers"].items()}
        case.expect("numbers", ("names", set(numbers) >= {"pause_ms", "time_most_ms", "likely_bytes", "free_bytes"}, True),
                    ("a pause in milliseconds", 0 < numbers.get("pause_ms", 0) < 60_000, True))
        case.untouched()
        case.prediction(good, *raw)
        (folder / "raw-20261121T093000Z.vmcore.incomplete").touch()
        case.results("a leftover", case.json(*raw), 0, leftovers="WARN")
        if os.geteuid() == 0:   # QEMU's user, but without the capability that QEMU itself has
            case.command = ["setpriv", "--bounding-set", "-sys_ptrace", *case.command]
            denied = case.json(*raw)
            case.results("without ptrace", denied, 0, method__direct="WARN", method__qmp="PASS", kernel="NOTE",
                         pause="WARN", memory="WARN")
            case.expect("without ptrace", ("names it", denied.says("method.direct", "without CAP_SYS_PTRACE"), True))
            del case.command[:3]
        else:
            findings.skip("without ptrace", "only root has it to give away")
        guest.panic()
        panicked = case.json(*raw)
        case.results("panicked", panicked, 0, state="WARN", pause="PASS", method__direct="PASS")
        case.expect("panicked", ("still", guest.status(), "guest-panicked"),
                    ("told", panicked.says("state", f"it crashed: vmcorectl dump --qmp {guest.qmp_socket}"), True),
                    ("monitoring", case.run("--fail-on", "warn", "-q", *raw).code, 1))


def test_running(case: Case, rig: LibvirtRig) -> None:
    domain = ("-c", rig.uri, rig.name)
    taints = rig.taints()
    good = case.json(*domain)
    case.results("a good guest", good, 0, state="PASS", idle="PASS", method__direct="PASS", method__libvirt="PASS",
                 kernel="PASS", pause="PASS", room="PASS", panic="PASS", on_crash="PASS", vmcoreinfo="PASS")
    every = case.json("-c", rig.uri, "--all")
    case.expect("--all", ("guests", {entry["guest"] for entry in every.list}, {rig.name}))
    rig.virsh("set-lifecycle-action", rig.name, "crash", "destroy", "--live")
    lost = case.json(*domain)
    case.results("destroyed when it crashes", lost, 0, on_crash="WARN")
    remedy = f"virsh {by(rig)} set-lifecycle-action {rig.name} crash preserve --live"
    case.expect("destroyed when it crashes", ("remedy", lost.says("on_crash", remedy), True))
    rig.virsh("set-lifecycle-action", rig.name, "crash", "preserve", "--live")
    fixed = case.run("--fix", *domain)
    case.expect("a transient domain", ("exit code", fixed.code, 1), ("said", "transient" in fixed.errors, True))
    case.untouched()
    case.expect("taints", ("taints", rig.taints(), taints), ("state", rig.status(), "running"))
    case.prediction(good, *domain)


def test_not_there(case: Case, rig: LibvirtRig) -> None:
    case.results("no such domain", case.json("-c", rig.uri, "nobody"), 1, state="FAIL")
    remote = case.json("-c", "qemu+ssh://far/system", "x")
    case.results("on another host", remote, 1, state="FAIL")
    case.expect("on another host", ("says", remote.says("state", "run vmcorectl there"), True))
    case.results("no socket", case.json("--qmp", "/none"), 1, state="FAIL")
    host = case.json("-c", rig.uri)
    case.results("the host", host, 0, host__worker="PASS", host__libvirt="PASS")


def define(rig: LibvirtRig, name: str, metadata: str = "") -> None:
    path = rig.folder / f"{name}.xml"
    path.write_text(PLAIN.format(name=name, metadata=metadata, emulator=shutil.which("qemu-system-x86_64")))
    path.chmod(0o644)
    rig.virsh("define", path)


def test_fix(case: Case, rig: LibvirtRig) -> None:
    define(rig, "plain")
    plain = ("-c", rig.uri, "plain")
    inactive = lambda: rig.virsh("dumpxml", "--inactive", "--security-info", "plain")
    off = case.json(*plain)
    case.results("shut off", off, 1, state="FAIL", panic="WARN", vmcoreinfo="WARN", on_crash="NOTE", room="none")
    before = inactive()
    every = case.json("-c", rig.uri, "--all")
    case.expect("--all, with what is off", ("guests", list(dict.fromkeys(entry["guest"] for entry in every.list)),
                                            sorted([rig.name, "plain"])), ("exit code", every.code, 0))
    dry = case.run("--fix", "--dry-run", *plain)
    added = [line for line in dry.text.splitlines() if re.match(r"[+-] ", line)]
    case.expect("--dry-run", ("exit code", dry.code, 3), ("unchanged", inactive(), before), ("files", left_in(case.folder), []),
                ("diff", [line.replace(" ", "") for line in added if "features" not in line],
                 ["-<on_crash>destroy</on_crash>", "+<on_crash>preserve</on_crash>", "+<panicmodel='isa'/>",
                  "+<channeltype='unix'>", "+<targettype='virtio'name='org.vmcorectl.dump.0'/>", "+</channel>",
                  "+<vmcoreinfostate='on'/>"]),
                ("passwords shown", "secret" in dry.text, False))
    fixed = case.run("--fix", *plain)
    saved = sorted(backups(rig).glob("plain-*.xml"))[0] if backups(rig).exists() else Path("none")
    case.expect("--fix", ("files here", left_in(case.folder), []),
                ("a private folder", backups(rig).exists() and stat.S_IMODE(backups(rig).stat().st_mode), 0o700), ("exit code", fixed.code, 0), ("tells when", "takes effect" in fixed.text, True),
                ("defined", [text in inactive() for text in ("<panic model='isa'", "<vmcoreinfo state='on'/>",
                                                             "<on_crash>preserve</on_crash>", "passwd='secret'")], [True] * 4),
                ("saved", saved.exists() and saved.read_text().strip(), before.strip()),
                ("mode", saved.exists() and stat.S_IMODE(saved.stat().st_mode), 0o600))
    after = inactive()
    again = case.run("--fix", *plain)
    case.expect("--fix again", ("exit code", again.code, 0), ("said", "nothing to do" in again.text, True),
                ("unchanged", inactive(), after),
                ("--dry-run", case.run("--fix", "--dry-run", *plain).code, 0))
    case.results("fixed", case.json(*plain), 1, state="FAIL", panic="PASS", vmcoreinfo="PASS", on_crash="PASS",
                 channel="PASS")
    test_channel(case, rig)
    rig.virsh("define", saved)
    case.expect("the old definition again", ("defined", inactive(), before))
    test_pending(case, rig)
    case.expect("old definitions", ("all of them", len(list(backups(rig).glob("plain-*.xml"))), 2),
                ("the first", saved.read_text().strip(), before.strip()))
    test_several(case, rig)
    define(rig, "cloud", NOVA)
    owned = case.run("--fix", "-c", rig.uri, "cloud")
    case.expect("somebody else's", ("exit code", owned.code, 1), ("said", "OpenStack Nova" in owned.errors, True))


def test_channel(case: Case, rig: LibvirtRig) -> None:
    """The channel that --fix added is the one that receive connects to."""
    words = [*case.command, "receive", "-c", rig.uri, "plain", "-o", "none", "--wait"]
    off = subprocess.run([*words, "1"], cwd=case.folder, capture_output=True, text=True)
    rig.virsh("start", "plain")
    try:
        silent = subprocess.run([*words, "2"], cwd=case.folder, capture_output=True, text=True)
    finally:
        rig.virsh("destroy", "plain")
    case.expect("receive", ("shut off", (off.returncode, "is not running" in off.stderr), (1, True)),
                ("silent", (silent.returncode, "the guest sent nothing within 2 s" in silent.stderr), (1, True)),
                ("files", [name for name in left_in(case.folder) if "xml" not in name], []))


def backups(rig: LibvirtRig) -> Path:
    """Where vmcorectl keeps old definitions of the user that it runs as."""
    return (rig.folder / "home" if os.geteuid() == 0 else Path.home()) / ".local/state/vmcorectl/definitions"


def test_several(case: Case, rig: LibvirtRig) -> None:
    """Two that lack all, one that lacks nothing, and one that runs and is transient."""
    for name in ("more1", "more2"):
        define(rig, name)
    ours = case.folder / "ours"
    ours.mkdir()
    rig.own(ours)
    words = ("--fix", "-c", rig.uri, "--folder", ours, "--output", "json")
    would = case.run(*words, "--all", "--dry-run")
    case.expect("--fix --all --dry-run", ("exit code", would.code, 3), ("files", left_in(ours), []),
                ("would change", [entry["guest"] for entry in would.list if entry["would_change"]], ["more1", "more2"]))
    one = case.run(*words, "more1", "plain")
    case.expect("--fix of two", ("exit code", one.code, 0),
                ("changed", {entry["guest"]: entry["changed"] for entry in one.list}, {"more1": True, "plain": False}),
                ("saved", [Path(entry["saved"]).parent for entry in one.list if entry["saved"]], [ours]))
    every = case.run(*words, "--all")
    case.expect("--fix --all", ("exit code", every.code, 0),
                ("changed", [entry["guest"] for entry in every.list if entry["changed"]], ["more2"]),
                ("left", [entry["guest"] for entry in every.list if entry["skipped"]], [rig.name]))
    again = case.run(*words, "--all", "--dry-run")
    case.expect("--fix --all again", ("exit code", again.code, 0), ("files", len(left_in(ours)), 2))
    for path in [*ours.iterdir()]:
        path.unlink()
    ours.rmdir()


def test_pending(case: Case, rig: LibvirtRig) -> None:
    """A domain that runs without what its definition has by now."""
    plain = ("-c", rig.uri, "plain")
    rig.virsh("start", "plain")
    try:
        running = case.json(*plain)
        case.results("running without", running, 0, state="PASS", kernel="WARN", panic="WARN", vmcoreinfo="WARN")
        case.expect("running without", ("remedy", running.says("panic", f"vmcorectl check --fix {by(rig)} plain"), True))
        fixed = case.run("--fix", *plain)
        case.expect("--fix of one that runs", ("exit code", fixed.code, 0),
                    ("tells how", f"virsh {by(rig)} shutdown plain" in fixed.text, True))
        case.expect("fixed while it runs", ("remedy", case.json(*plain).says("panic", "stop and start the guest"), True))
    finally:
        rig.virsh("destroy", "plain")


def test(vmcorectl, _, findings) -> None:
    vmcorectl.path = str(Path(vmcorectl.path).resolve())    # it is run in folders of its own
    test_raw(vmcorectl, findings)
    if not available():
        findings.skip("domains", "no libvirt with its QEMU driver")
        return
    # An embedded driver of libvirt 9.0 dies now and then, under virsh as well, where its connection is closed at once.
    with LibvirtRig("session") as rig:
        folder = rig.folder / "home/out"
        folder.mkdir()
        rig.own(folder)
        case = Case(findings, "libvirt", rig.command(vmcorectl.path), folder, rig.folder / "witness.sock")
        test_running(case, rig)
        test_not_there(case, rig)
        test_fix(case, rig)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
