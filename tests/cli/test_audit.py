# SPDX-License-Identifier: GPL-2.0-or-later
"""The records of what was done, as a journal of the test's own receives them."""

import os
import shutil
import socket
import subprocess
import unittest
from pathlib import Path

from fake_qemu import UUID, FakeQemu
from harness import DONE, FAILED, MAKE_DUMP, VMCORECTL, Cli, main

MAKE_STREAM = Path(MAKE_DUMP).with_name("make_stream")
UNSHARE = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
# A /run in which the journal, or syslog, is a socket of the test.
SCRIPT = """mount -t tmpfs none /run && mkdir -p /run/systemd/journal && ln -s "$1" /run/systemd/journal/socket &&
            shift && exec "$@" """


def may_mount() -> bool:
    return shutil.which("unshare") is not None and subprocess.run(
        [*UNSHARE, "mount", "-t", "tmpfs", "none", "/run"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL).returncode == 0


@unittest.skipUnless(may_mount(), "a file system cannot be mounted here, even in a name space of its own")
class Audit(Cli):
    def setUp(self):
        super().setUp()
        self.store = self.folder / "store"
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.journal.close)
        self.journal.bind(str(self.folder / "journal"))
        self.journal.setblocking(False)

    def seen(self, *words, code=DONE, **more) -> list:
        """The records of a vmcorectl, without what each has."""
        self.run_cli(*UNSHARE[1:], "sh", "-c", SCRIPT, "sh", self.folder / "journal", VMCORECTL, *words, code=code,
                     program=UNSHARE[0], **more)
        records = []
        while True:
            try:
                text = self.journal.recv(1 << 20).decode()
            except BlockingIOError:
                return records
            fields = dict(line.split("=", 1) for line in text.splitlines())
            self.assertEqual(len(fields), text.count("\n"))
            self.assertRegex(fields.pop("MESSAGE_ID"), r"^[0-9a-f]{32}$")
            self.assertEqual(fields.pop("SYSLOG_IDENTIFIER"), "vmcorectl")
            fields.pop("VMCORECTL_UID")
            records.append({name.removeprefix("VMCORECTL_"): value for name, value in fields.items()})

    def one(self, *words, **more) -> dict:
        (record,) = self.seen(*words, **more)
        return record

    def guest(self, **more) -> FakeQemu:
        qemu = FakeQemu(self.folder / "qmp", self.dump(), **more)
        self.addCleanup(qemu.close)
        return qemu

    def kept(self) -> str:
        stream = self.dumps / "stream"
        if not stream.exists():
            subprocess.run([MAKE_STREAM, self.dump(), stream], check=True)
        (record,) = self.seen("receive", stream, "--keep", "--store", self.store, "-q")
        self.assertEqual((record["DEED"], record["RESULT"]), ("receive", "done"))
        return Path(record["FILE"]).parent.name

    def test_a_dump(self):
        self.guest(name="vm 1\nMESSAGE=x")
        record, then = self.seen("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "-o", "out", "--then",
                                 "reset")
        self.assertEqual(record["DEED"], "dump")
        self.assertNotIn("\n", record["GUEST"])
        self.assertEqual(record["UUID"], UUID)
        self.assertEqual(record["RESULT"], "done")
        self.assertEqual(record["LEVEL"], "31")
        self.assertEqual(record["FILE"], "out")
        self.assertEqual(record["METHOD"], "qmp")
        self.assertEqual(int(record["BYTES"]), (self.folder / "out").stat().st_size)
        self.assertTrue(record["PAUSE_US"].isdigit())
        self.assertEqual((then["DEED"], then["ACTION"], then["RESULT"]), ("policy", "reset", "done"))

    def test_a_dump_that_fails(self):
        record = self.one("dump", "--qmp", "nowhere", "-o", "out", code=FAILED)
        self.assertEqual((record["DEED"], record["GUEST"], record["PRIORITY"]), ("dump", "nowhere", "4"))
        self.assertIn("nowhere", record["RESULT"])

    def test_a_look(self):
        self.guest()
        for verb in ("info", "dmesg", "report", "memory"):
            # The fake has no memory to read: that is a record, too.
            record = self.one(verb, "--qmp", "qmp", code=FAILED)
            self.assertEqual((record["DEED"], record["OPERATION"]), ("live-read", verb))
            self.assertNotEqual(record["RESULT"], "done")

    def test_files_are_no_deed(self):
        self.assertEqual(self.seen("info", self.dump()), [])
        self.assertEqual(self.seen("info", "no-such-file-or-domain", "-c", "test:///default", code=FAILED)[1:], [])
        self.assertEqual(self.seen("convert", self.dump(), "out"), [])

    def test_stored_crashes(self):
        crash = self.kept()
        self.assertEqual(self.seen("list", "--store", self.store), [])
        self.assertEqual(self.seen("info", crash, "--store", self.store), [])
        record = self.one("hold", crash, "--store", self.store)
        self.assertEqual((record["DEED"], record["ACTION"], record["CRASH"], record["RESULT"]),
                         ("hold", "hold", crash, "done"))
        record = self.one("rm", crash, "--store", self.store, code=FAILED)
        self.assertEqual((record["DEED"], record["CRASH"]), ("remove", crash))
        self.assertIn("held", record["RESULT"])
        self.assertEqual(self.one("hold", "--release", crash, "--store", self.store)["ACTION"], "release")
        record = self.one("export", crash, "copy", "--store", self.store)
        self.assertEqual((record["DEED"], record["CRASH"], record["FILE"]),
                         ("export", crash, str(self.folder / "copy")))
        record = self.one("export", crash, "copy", "--store", self.store, code=FAILED)
        self.assertIn("already exists", record["RESULT"])
        self.assertEqual(self.one("rm", crash, "--store", self.store)["RESULT"], "done")

    def test_pruning(self):
        first, _ = self.kept(), self.kept()
        self.assertEqual(self.seen("prune", "--max-count", "1", "--dry-run", "--store", self.store, code=DONE), [])
        record = self.one("prune", "--max-count", "1", "--store", self.store)
        self.assertEqual((record["DEED"], record["ACTION"], record["CRASH"]), ("remove", "prune", first))

    def test_room(self):
        first, _ = self.kept(), self.kept()
        records = self.seen("receive", self.dumps / "stream", "--keep", "--store", self.store, "-q", "--guest-count", "2")
        self.assertEqual([(each["DEED"], each.get("ACTION"), each.get("CRASH")) for each in records],
                         [("remove", "room", first), ("receive", None, None)])

    def test_a_journal_that_is_not_there(self):
        self.journal.close()
        os.unlink(self.folder / "journal")
        self.guest()
        self.run_cli("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "-o", "out")


if __name__ == "__main__":
    main()
