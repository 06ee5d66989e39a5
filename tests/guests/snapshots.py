# SPDX-License-Identifier: GPL-2.0-or-later
"""Snapshots of one guest by `vmcorectl dump --consistency snapshot`, and how QEMU is left by them."""

import contextlib
import os
import random
import signal
import struct
import subprocess
import time
from pathlib import Path

from guests.dump_checks import expect, left_in, pair_in, run_dump, same_as_converted
from guests.qmp_proxy import RunningProxy
from guests.standing import Standing

MOST_PAUSE_MS = 300
KILLS = 6


def notes_of(path: Path) -> list:
    """(name, type, contents) of an ELF dump, without our own."""
    data = path.read_bytes()[:1 << 20]
    offset, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    notes = []
    for number in range(count):
        kind, _, at, _, _, size = struct.unpack_from("<IIQQQQ", data, offset + 56 * number)
        end = at + size
        while kind == 4 and at < end:
            name_size, size, note = struct.unpack_from("<III", data, at)
            name = data[at + 12:at + 12 + name_size].rstrip(b"\0").decode()
            begin = at + 12 + (name_size + 3) // 4 * 4
            notes.append((name, note, data[begin:begin + size]))
            at = begin + (size + 3) // 4 * 4
    return [note for note in notes if note[0] in ("CORE", "QEMU", "VMCOREINFO")]


class Case(Standing):
    def __init__(self, vmcorectl, guest, findings, folder: Path):
        super().__init__(vmcorectl, guest, findings, folder)
        self.before = self.settings()

    def settings(self) -> tuple:
        on = [entry["capability"] for entry in self.guest.qmp("query-migrate-capabilities") if entry["state"]]
        return on, self.guest.qmp("query-migrate-parameters")

    def spools(self) -> list:
        """Files of ours that QEMU has open: the disk has their room for as long."""
        links = []
        for path in Path(f"/proc/{self.guest.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):    # closed meanwhile
                links.append(os.readlink(path))
        return [link for link in links if "/.vmcorectl-" in link]

    def as_before(self, what: str) -> None:
        expect(self.findings, f"{self.name}: {what}: afterwards", [
            ("status", self.guest.status(), "running"), ("migration settings", self.settings(), self.before),
            ("migration blockers", self.guest.qmp("query-migrate").get("blocked-reasons", []), []),
            ("spools that QEMU holds", self.spools(), [])])
        self.dump_file.unlink(missing_ok=True)
        self.findings.check(f"{self.name}: {what}: files", left_in(self.out))

    def same_as_qemu(self) -> None:
        """A guest that stands still, so that QEMU's own dump shows the same moment."""
        self.guest.qmp("stop")
        raw = self.guest.dump_elf(self.folder / "raw")
        with RunningProxy(self.guest.qmp_socket, self.guest.folder / "proxy.sock") as proxy:
            code, answer = self.dump("--consistency", "snapshot", monitor=proxy.path)
        expect(self.findings, f"{self.name}: result", [("exit code", code, 0),
                                                       ("method", answer.get("guest", {}).get("method"), "snapshot")])
        if code == 0:
            self.findings.check(f"{self.name}: equals QEMU's own dump, converted",
                                same_as_converted(self.vmcorectl, self.dump_file, raw, self.folder))
            elf = [self.folder / "ours.elf", self.folder / "qemu.elf"]
            for source, target in zip((self.dump_file, raw), elf):
                self.vmcorectl.run("convert", "--format", "elf", source, target)
            ours, theirs = map(notes_of, elf)
            differing = [f"note {number}: {one[:2]} and {other[:2]}"
                         for number, (one, other) in enumerate(zip(ours, theirs)) if one != other]
            self.findings.check(f"{self.name}: registers are those of QEMU's dump", differing + (
                [] if len(ours) == len(theirs) > 2 * self.guest.config.cpus else [f"{len(ours)}, {len(theirs)} notes"]))
            for path in elf:
                path.unlink()
        raw.unlink()
        if self.guest.status() != "running":
            self.guest.qmp("cont")
        self.as_before("equal")

    def running(self, times: int = 5) -> None:
        for _ in range(times):
            code, answer = self.dump("-d", "17", "--compress", "zlib", "--consistency", "snapshot")
            guest = answer.get("guest", {})
            pause = guest.get("pause_ms") or 0
            expect(self.findings, f"{self.name}: result", [
                ("exit code", code, 0), ("after", guest.get("state_after"), "running"),
                (f"pause of {pause} ms", 0 < pause < MOST_PAUSE_MS, True)])
            lock, first, second = pair_in(self.dump_file, self.guest.console)
            print(f"  {self.name}: lock {lock}, counters {first} and {second - first:+}", flush=True)
            self.findings.check(f"{self.name}: one moment",
                                [] if first - second in ((0, 1) if lock else (0,)) else [f"{lock} {first} {second}"])
            self.as_before("running")
        code, answer = self.dump("--consistency", "snapshot")
        expect(self.findings, f"{self.name}: level 31", [
            ("exit code", code, 0), ("small", answer.get("size", 1 << 40) < 64 << 20, True)])
        self.as_before("level 31")

    def said(self, what: str, expected: str, words=("--consistency", "snapshot")) -> None:
        code, answer, errors = run_dump([self.vmcorectl.path], self.command(*words))
        text = answer.get("error", {}).get("text", "") + errors
        expect(self.findings, f"{self.name}: {what}", [("exit code", code != 0, True), (text, expected in text, True)])

    def refused(self, capabilities=("xbzrle", "background-snapshot")) -> None:
        """Nothing is touched, and it says why."""
        self.guest.qmp("stop")
        self.said("standing still", "--consistency pause")
        self.guest.qmp("cont")
        self.said("another method", "--method", ("--consistency", "snapshot", "--method", "qmp"))
        for name in capabilities:
            self.guest.qmp("migrate-set-capabilities", capabilities=[{"capability": name, "state": True}])
            self.said(f"with {name} on", name)
            self.guest.qmp("migrate-set-capabilities", capabilities=[{"capability": name, "state": False}])
        self.as_before("refused")

    def interrupted(self) -> None:
        """The guest's snapshot is waited for, and everything is as before."""
        process = subprocess.Popen([self.vmcorectl.path, "dump", *map(str, self.command("--consistency", "snapshot"))],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
        expect(self.findings, f"{self.name}: interrupted", [("exit code", code, 130)])
        self.as_before("interrupted")

    def killed(self) -> None:
        mended = 0
        for number in range(KILLS):
            process = subprocess.Popen([self.vmcorectl.path, "dump", *map(str, self.command("--consistency", "snapshot"))],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            delay = random.uniform(0, 2)
            time.sleep(delay)
            process.kill()
            process.wait()
            while self.guest.qmp("query-migrate").get("status") in ("setup", "active"):
                time.sleep(0.05)
            left = self.settings() != self.before
            self.dump_file.unlink(missing_ok=True)      # where it was through before
            code, answer, errors = run_dump([self.vmcorectl.path], self.command("--method", "qmp"))
            said = any("was killed" in remark["text"] for remark in answer.get("guest", {}).get("remarks", []))
            print(f"  {self.name}: killed after {delay:.2f} s: settings left {left}, said {said}", flush=True)
            mended += left
            expect(self.findings, f"{self.name}: kill {number} {errors}", [("exit code", code, 0), ("said", said, left)])
            self.as_before(f"kill {number}")
        self.findings.check(f"{self.name}: a killed snapshot leaves something to mend", [] if mended else ["never"])


class Userfaultfd:
    """with Userfaultfd(1): whether QEMU without privilege may have it; as before afterwards"""

    SETTING = Path("/proc/sys/vm/unprivileged_userfaultfd")

    def __init__(self, value: int):
        self.value = value

    def __enter__(self):
        self.before = self.SETTING.read_text()
        self.SETTING.write_text(str(self.value))

    def __exit__(self, *_):
        self.SETTING.write_text(self.before)
