# SPDX-License-Identifier: GPL-2.0-or-later
"""report: what happened, for people and as JSON; which of its texts the guest wrote; what it says of what it cannot know."""

import json
import re
import struct
from pathlib import Path

from harness import FAILED, NOT_AS_ASKED, USAGE, Cli, main

SCHEMA = Path(__file__).resolve().parents[2] / "docs/schema/report.json"


def guest_texts(schema: dict, node: dict, place: str = "") -> set:
    """The places of texts with "x-guest", as "guest_text" of a document names them."""
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].split("/")[-1]]
    if node.get("x-guest"):
        return {place}
    found = set()
    for choice in node.get("oneOf", []):
        found |= guest_texts(schema, choice, place)
    for name, member in node.get("properties", {}).items():
        found |= guest_texts(schema, member, f"{place}.{name}".lstrip("."))
    if "items" in node:
        found |= guest_texts(schema, node["items"], place + "[]")
    return found


class Report(Cli):
    def report(self, path, **more) -> dict:
        return json.loads(self.run_cli("report", path, "--output", "json", **more).stdout)

    def test_a_panic(self):
        for kind in ("elf-5.4", "elf-6.1", "qemu-6.12", "kdump-6.12", "elf-7.1"):
            with self.subTest(kind):
                report = self.report(self.dump(kind))
                self.assertEqual(report["kernel"]["release"], kind.split("-")[1] + ".0-test")
                self.assertEqual(report["panic"]["message"], "test")
                self.assertEqual(report["panic"]["class"], "panic")
                self.assertIn("log", report["panic"]["evidence"])
                self.assertTrue(report["log"]["lines"][-1].endswith("Kernel panic - not syncing: test"))
                self.assertFalse(report["incomplete"])

    def test_what_is_not_known_says_why(self):
        report = self.report(self.dump())
        for section in ("tasks", "modules", "memory", "mounts"):    # these guests have no BTF
            self.assertEqual(list(report[section]), ["not_known"], section)
            self.assertTrue(report[section]["not_known"])

    def test_the_screen(self):
        out = self.run_cli("report", self.dump()).stdout.decode()
        for words in ("crash ", "message     test", "kernel      6.12.0-test", "CPU 0", "end of the log"):
            self.assertIn(words, out)
        self.assertLess(len(out.splitlines()), 50)
        full = self.run_cli("report", "--full", self.dump()).stdout.decode()
        self.assertIn(out, full)
        self.assertIn("last lines of the log", full)

    def test_texts_of_the_guest_are_marked(self):
        schema = json.loads(SCHEMA.read_text())
        self.assertEqual(set(self.report(self.dump())["guest_text"]), guest_texts(schema, schema))

    def test_no_kernel(self):
        report = self.report(self.dump("bare-6.12"), code=NOT_AS_ASKED)
        self.assertIn("was not found", report["kernel"]["not_known"])
        out = self.run_cli("report", self.dump("bare-6.12"), code=NOT_AS_ASKED).stdout.decode()
        self.assertTrue(re.search("^kernel +not known: ", out, re.M), out)

    def test_a_kernel_that_died_before_it_described_itself(self):
        """Its log is in memory: blocks of an id and a text, as printk's ring has them."""
        path = self.copy("bare-6.12")
        first = 2 ** 62 - 8192
        ring = b""
        for number, text in enumerate((b"Linux version 6.1.9 (x)", b"Command line: a", b"Kernel panic - not syncing: no timer")):
            ring += struct.pack("<Q", first + number) + text + bytes(-len(text) % 8)
        with open(path, "r+b") as dump:
            header = dump.read(64)
            dump.seek(struct.unpack_from("<Q", header, 32)[0])
            programs = [dump.read(56) for _ in range(struct.unpack_from("<H", header, 56)[0])]
            offset, _, _, size = max((struct.unpack_from("<QQQQ", each, 8) for each in programs), key=lambda each: each[3])
            dump.seek(offset + size // 2 // 4096 * 4096)
            dump.write(ring)
        report = self.report(path, code=NOT_AS_ASKED)
        self.assertEqual(report["kernel"], {"release": "6.1.9", "banner": "Linux version 6.1.9 (x)"})
        self.assertEqual((report["panic"]["message"], report["panic"]["class"]), ("no timer", "panic"))
        self.assertIn("Kernel panic - not syncing: no timer", report["log"]["lines"][-1])
        self.assertIn("VMCOREINFO", report["tasks"]["not_known"])
        self.assertTrue(any("may be of an earlier boot" in remark["text"] for remark in report["remarks"]))
        out = self.run_cli("report", path, code=NOT_AS_ASKED).stdout.decode()
        for words in ("message     no timer", "kernel      6.1.9", "NO: parts are missing"):
            self.assertIn(words, out)
        log = self.run_cli("dmesg", "--show-caller", path, code=NOT_AS_ASKED)
        self.assertIn(b"who wrote each line is not known", log.stderr)     # there is no table of struct printk_info

    def test_a_cut_dump_says_so(self):
        path = self.copy()
        with open(path, "r+b") as dump:
            dump.truncate(path.stat().st_size - (8 << 20))
        report = self.report(path, code=NOT_AS_ASKED)
        self.assertTrue(report["incomplete"])

    def test_what_is_refused(self):
        self.assertIn(b"give a dump FILE, a stored crash, a DOMAIN or --qmp SOCKET", self.run_cli("report", code=USAGE).stderr)
        (self.folder / "text").write_text("no dump")
        self.refused("report", "./text", code=FAILED, says=["text"])
        self.refused("report", "--pause", self.dump(), code=FAILED, says=["--pause is for guests"])


if __name__ == "__main__":
    main()
