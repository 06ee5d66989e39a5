# SPDX-License-Identifier: GPL-2.0-or-later
"""A dump knows whose it is; what it says of itself has a severity and a schema."""

import json
import os
import time

from fake_qemu import UUID, FakeQemu
from harness import Cli, main
from peers import schemas


class Whose(Cli):
    def setUp(self):
        super().setUp()
        self.began = int(time.time())
        qemu = FakeQemu(self.folder / "qmp", self.dump())
        self.addCleanup(qemu.close)

    def dumped(self, *words):
        done = self.run_cli("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "10s", "-o", "out",
                            "--output", "json", *words)
        return json.loads(done.stdout)

    def expect(self, guest, capture):
        self.assertEqual({name: guest.get(name) for name in ("name", "uuid", "host", "qemu")},
                         {"name": "vm1", "uuid": UUID, "host": os.uname().nodename, "qemu": "7.2.22"})
        self.assertLessEqual(self.began, capture["time"])
        self.assertLessEqual(capture["time"], time.time())
        self.assertGreater(capture["pause_forecast_ms"], 0)
        self.assertGreaterEqual(capture["pause_ms"], 0)
        self.assertGreaterEqual(capture["duration_ms"], capture["pause_ms"])

    def test_what_dump_and_info_tell(self):
        guest = self.dumped()["guest"]
        self.expect(guest, guest)
        capture = self.info("out")["capture"]
        self.expect(capture["guest"], capture)
        text = self.run_cli("info", "out").stdout.decode()
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(capture["time"]))
        self.assertIn(f"guest           vm1 ({UUID}) on {os.uname().nodename}, QEMU 7.2.22, captured {when}\n", text)

    def test_another_conversion_keeps_it(self):
        self.dumped("--format", "elf")
        before = self.info("out")["capture"]
        self.run_cli("convert", "out", "again")
        self.assertEqual(self.info("again")["capture"], before)

    def test_a_file_of_others_has_none(self):
        self.run_cli("convert", self.dump(), "converted")
        self.assertNotIn("capture", self.info("converted"))

    def test_a_hostile_name_steers_no_terminal(self):
        self.dumped("--format", "elf")
        path = self.folder / "out"
        contents = path.read_bytes()
        at = contents.index(b"GUEST=vm1\n")
        path.write_bytes(contents[:at] + b"GUEST=\x1b[1\n" + contents[at + 10:])
        self.assertIn(b"guest           \\x1b[1 (", self.run_cli("info", path).stdout)
        self.assertEqual(self.info(path)["capture"]["guest"]["name"], "\x1b[1")


class Newer(Cli):
    def test_the_note_of_a_newer_vmcorectl(self):
        self.run_cli("convert", self.dump(), "out", "--format", "elf")
        path = self.folder / "out"
        self.assertEqual(self.info(path)["level"]["reached"], 31)
        contents = path.read_bytes()
        path.write_bytes(contents.replace(b"NOTE_VERSION=1\n", b"NOTE_VERSION=9\n"))
        newer = self.info(path)
        self.assertEqual(newer["level"]["reached"], 0)
        self.assertEqual([remark["severity"] for remark in newer["remarks"] if "version 9" in remark["text"]], ["warning"])
        done = self.run_cli("convert", path, "again")
        self.assertIn(b"vmcorectl: warning: the file's own note is of version 9", done.stderr)


class Schemas(Cli):
    def test_each_is_one(self):
        if schemas.jsonschema is None:
            self.skipTest("python3-jsonschema is not there")
        for path in schemas.FOLDER.glob("*.json"):
            schemas.validator(path.stem)

    def test_a_member_that_is_not_in_the_schema_is_noticed(self):
        if schemas.jsonschema is None:
            self.skipTest("python3-jsonschema is not there")
        document = self.info(self.dump())
        schemas.check(document)
        for changed in ({**document, "new": 1}, {name: document[name] for name in document if name != "pages"},
                        {**document, "incomplete": "no"}):
            with self.assertRaises(schemas.jsonschema.ValidationError):
                schemas.check(changed)


if __name__ == "__main__":
    main()
