# SPDX-License-Identifier: GPL-2.0-or-later
"""report --html: one page that loads nothing, and in which the guest's texts are texts."""

import html.parser
import json
import os
from pathlib import Path

from harness import NOT_AS_ASKED, USAGE, VMCORECTL, Cli, main

# Elements that have no end tag.
VOID = {"meta", "link", "input"}
HOSTILE_LOG = """\
[    1.000000] Linux version 6.12.0-<script>alert(1)</script> (x@y) #1 SMP
[    2.000000] "><img src=//x onerror=alert(1)> </pre></body> \x1b[2J\u202e
[    3.000000] BUG: kernel NULL pointer dereference, address: 0000000000000000
[    3.000001] Oops: 0002 [#1] PREEMPT SMP
[    3.000002] CPU: 0 PID: 7 Comm: <b>sh</b> Not tainted 6.12.0-<i> #1
[    3.000003] RIP: 0010:write_to_null+0x1/0x10
[    3.000004] Call Trace:
[    3.000005]  <TASK>
[    3.000006]  do_init+0x1/0x10
[    3.000007]  </TASK>
[    3.000008] Kernel panic - not syncing: Fatal exception <svg/onload=alert(2)>
"""


class Page(html.parser.HTMLParser):
    """A page whose elements nest; with the elements, attributes and text in them."""

    def __init__(self, page: bytes):
        super().__init__()
        self.open, self.elements, self.attributes, self.text = [], [], [], {}
        self.feed(page.decode())
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        self.text[inside] = self.text.get(inside, "") + data

    def values(self, name: str) -> list:
        return [value for key, value in self.attributes if key == name]


class ReportPage(Cli):
    def page(self, *words, code=0) -> Page:
        return Page(self.run_cli("report", *words, "--html", "-", code=code).stdout)

    def loads_nothing(self, page: Page):
        self.assertEqual(page.elements.count("script"), 1)
        self.assertFalse(page.values("src"))
        self.assertFalse([key for key, _ in page.attributes if key.startswith("on")])
        self.assertTrue(all(value == "data:," or value.startswith("#") for value in page.values("href")))
        self.assertIn("default-src 'none'", "".join(page.values("content")))
        self.assertNotIn("url(", page.text["style"])
        self.assertNotIn("@import", page.text["style"])

    def test_a_dump(self):
        for kind in ("elf-6.1", "kdump-6.12", "elf-7.1"):
            with self.subTest(kind):
                page = self.page(self.dump(kind))
                self.loads_nothing(page)
                self.assertIn("svg", page.elements)
                self.assertIn(kind.split("-")[1] + ".0-test", page.text["dd"])
                self.assertIn("Kernel panic - not syncing: test", page.text["span"])

    def test_links_lead_somewhere(self):
        page = self.page(self.dump())
        there = set(page.values("id"))
        self.assertEqual({value[1:] for value in page.values("href") if value.startswith("#")} - there, set())
        self.assertEqual(len(there), len(page.values("id")))

    def test_a_hostile_log(self):
        (self.folder / "console").write_text(HOSTILE_LOG)
        page = self.page("--log", "console")
        self.loads_nothing(page)
        self.assertNotIn("img", page.elements)
        self.assertNotIn("svg", page.elements)
        self.assertNotIn("b", page.elements)
        self.assertIn("<img src=//x onerror=alert(1)>", page.text["span"])
        self.assertNotIn("\x1b", page.text["span"])
        self.assertIn("no picture of memory: a log has none", page.text["p"])

    def test_a_hostile_name(self):
        page = self.page(self.copy(name="<script>alert(1)<\u2215script>"))
        self.loads_nothing(page)
        self.assertIn("<script>alert(1)", page.text["title"])

    def test_a_cut_off_file(self):
        path = self.copy("elf-6.12", "cut")
        os.truncate(path, path.stat().st_size - (4 << 20))
        self.assertIn("NO: parts are missing", self.page(path, code=NOT_AS_ASKED).text["dd"])

    def test_a_dump_is_read_once(self):
        program = self.with_worker("")
        worker = program.with_name("vmcore-worker")
        worker.write_text(f"#!/bin/sh\necho >> {self.folder}/starts\nexec {Path(VMCORECTL).with_name('vmcore-worker')} \"$@\"\n")
        page = Page(self.run_cli("report", self.dump(), "--html", "-", program=program).stdout)
        self.assertIn("svg", page.elements)
        self.assertEqual((self.folder / "starts").read_text(), "\n")

    def test_in_a_file(self):
        self.assertFalse(self.run_cli("report", self.dump(), "--html", "out.html").stdout)
        first = (self.folder / "out.html").read_bytes()
        self.assertEqual((self.folder / "out.html").stat().st_mode & 0o777, 0o600)
        self.refused("report", self.dump("elf-6.1"), "--html", "out.html", says=["out.html", "--force"])
        self.assertEqual((self.folder / "out.html").read_bytes(), first)
        self.run_cli("report", self.dump("elf-6.1"), "--html", "out.html", "--force")
        self.assertIn(b"6.1.0-test", (self.folder / "out.html").read_bytes())

    def test_json_beside_a_page(self):
        done = self.run_cli("report", self.dump(), "--html", "out.html", "--output", "json")
        self.assertEqual(json.loads(done.stdout)["panic"]["message"], "test")
        self.assertTrue((self.folder / "out.html").exists())
        self.refused("report", self.dump(), "--html", "-", "--output", "json", code=USAGE, says=["--html"])


if __name__ == "__main__":
    main()
