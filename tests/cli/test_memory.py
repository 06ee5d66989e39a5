# SPDX-License-Identifier: GPL-2.0-or-later
"""memory: the table, the numbers, and the picture as a whole."""

import json
import os
import xml.etree.ElementTree as ElementTree

from harness import FAILED, USAGE, Cli, main

KINDS = ("elf-5.4", "elf-6.1", "elf-6.12", "elf-7.1", "qemu-6.12", "kdump-6.12", "flattened-6.12")
SVG = "{http://www.w3.org/2000/svg}"
MOST_BYTES = 2 << 20


def texts(root) -> list:
    return [element.text for element in root.iter(f"{SVG}text")]


class Memory(Cli):
    def memory(self, path) -> dict:
        return json.loads(self.run_cli("memory", path, "--output", "json").stdout)

    def picture(self, path, *words):
        done = self.run_cli("memory", path, "--svg", "-", *words)
        self.assertLess(len(done.stdout), MOST_BYTES)
        return ElementTree.fromstring(done.stdout)

    def test_classes_are_those_of_info_and_convert(self):
        for kind in KINDS:
            memory = self.memory(self.dump(kind))
            self.assertEqual(memory["release"], kind.split("-")[1] + ".0-test")
            self.assertFalse(memory["torn"] or memory["incomplete"])
            classes = {entry["name"]: entry["pages"] for entry in memory["classes"]}
            self.assertEqual(classes, self.info(self.dump(kind))["pages"]["by_class"], kind)
            self.assertEqual(memory["memory"], {"pages": 0x4000, "bytes": 64 << 20})
            planned = json.loads(self.run_cli("convert", self.dump(kind), "--dry-run", "--output", "json").stdout)
            self.assertEqual(memory["kept_at_31"]["pages"], planned["pages"]["kept"])

    def test_bins_add_up(self):
        for kind in ("elf-6.12", "kdump-6.12"):
            memory = self.memory(self.dump(kind))
            bins = memory["map"]["bins"]
            self.assertLessEqual(len(bins), 4096 + 128)
            for entry in memory["classes"]:
                self.assertEqual(sum(each["pages"].get(entry["name"], 0) for each in bins), entry["pages"])
            self.assertEqual(sum(each.get("free_zero", 0) for each in bins), memory["free_zero"]["pages"])
            self.assertTrue(all(0 not in each["pages"].values() for each in bins))
            size = memory["map"]["bin_size"]
            starts = [int(each["start"], 16) for each in bins]
            self.assertEqual(starts, sorted(set(starts)))
            self.assertTrue(all(start % size == 0 for start in starts))

    def test_where_pages_are(self):
        memory = self.memory(self.dump())
        at = {int(each["start"], 16): each["pages"] for each in memory["map"]["bins"]}
        pages = memory["map"]["bin_size"] // 4096
        self.assertEqual(at[0x2000 * 4096], {"free": pages})
        self.assertEqual(at[0x2400 * 4096], {"user": pages})
        self.assertEqual(at[0x2600 * 4096], {"cache": pages})

    def test_table(self):
        text = self.run_cli("memory", self.dump()).stdout.decode()
        for part in ("6.12.0-test", "free                                 2.0 MiB    3.1%", "user (anonymous, hugetlb)",
                     "64.0 MiB  100.0%", "a dump at level 31 keeps 59.9 MiB (93.6%)"):
            self.assertIn(part, text)
        self.assertNotIn("not in the file", text)

    def test_quiet(self):
        self.assertFalse(self.run_cli("memory", "-q", self.dump(), "--svg", "out.svg").stdout)
        self.assertEqual(self.names(), ["out.svg"])

    def test_a_filtered_file(self):
        before = self.memory(self.dump())
        self.run_cli("convert", self.dump(), "small")
        memory = self.memory("small")
        self.assertEqual(memory["classes"], before["classes"])
        self.assertEqual(memory["kept_at_31"], before["kept_at_31"])
        self.assertEqual(memory["excluded_before"]["pages"], 0x4000 - before["kept_at_31"]["pages"])
        self.assertIn("not in the file: 4.1 MiB (6.4%)", self.run_cli("memory", "small").stdout.decode())
        self.assertIn("not in the file", texts(self.picture("small")))

    def test_a_filtered_elf_file(self):
        """It shows what was left out as holes."""
        self.run_cli("convert", self.dump(), "small", "--format", "elf")
        memory = self.memory("small")
        self.assertEqual(memory["memory"], self.memory(self.dump())["kept_at_31"])
        self.assertIn("only the pages in the file are counted", self.run_cli("memory", "small").stdout.decode())
        self.assertIn("hole of 2.0 MiB from 0x2000000", texts(self.picture("small")))

    def test_a_cut_off_file(self):
        path = self.copy("elf-6.12", "cut")
        os.truncate(path, path.stat().st_size - (4 << 20))
        self.assertTrue(self.memory(path)["incomplete"])
        self.assertIn("NO: pages are missing", self.run_cli("memory", path).stdout.decode())
        self.assertTrue(any("INCOMPLETE" in text for text in texts(self.picture(path))))

    def test_without_a_kernel(self):
        for words in ([], ["--svg", "out.svg"], ["--svg", "-"]):
            self.refused("memory", self.dump("bare-6.12"), *words, says=["kernel was not found"])

    def test_picture(self):
        for kind in KINDS:
            root = self.picture(self.dump(kind))
            words = texts(root)
            self.assertEqual(words[0], kind)
            self.assertTrue(any(kind.split("-")[1] + ".0-test" in text for text in words))
            for part in ("kernel slab", "page cache", "free", "a dump at level 31 keeps", "64.0 MiB", "0x3f00000"):
                self.assertIn(part, words)
            self.assertEqual(len(list(root.iter(f"{SVG}title"))), 1 + 4096)
            self.assertFalse(any("TORN" in text or text.startswith("hole of") for text in words))

    def test_a_hostile_name(self):
        for name in ("<script>alert('1')&amp;</script>", "\"><image href='x'/>", "a\n\x1b[2J", "]]>", "x" * 200):
            root = self.picture(self.copy(name=name.replace("/", "\u2215")))
            kinds = {element.tag.removeprefix(SVG) for element in root.iter()}
            self.assertEqual(kinds, {"svg", "title", "rect", "text", "path", "g"})
            shown = texts(root)[0]
            self.assertEqual(shown[:1], name[:1])
            self.assertLessEqual(len(shown), 121)
            self.assertTrue(all(c >= " " for c in shown), shown)

    def test_a_name_that_is_no_text(self):
        path = os.fsencode(self.folder) + b"/\xff\xfe"
        os.link(self.copy(), path)
        root = ElementTree.fromstring(self.run_cli("memory", os.fsdecode(path), "--svg", "-").stdout)
        self.assertEqual(texts(root)[0], "\ufffd\ufffd")

    def test_picture_in_a_file(self):
        done = self.run_cli("memory", self.dump(), "--svg", "out.svg")
        self.assertIn("a dump at level 31", done.stdout.decode())
        first = (self.folder / "out.svg").read_bytes()
        ElementTree.fromstring(first)
        self.refused("memory", self.dump("elf-6.1"), "--svg", "out.svg", says=["out.svg", "--force"])
        self.assertEqual((self.folder / "out.svg").read_bytes(), first)
        self.run_cli("memory", self.dump("elf-6.1"), "--svg", "out.svg", "--force")
        self.assertIn(b"6.1.0-test", (self.folder / "out.svg").read_bytes())
        self.refused("memory", self.dump(), "--svg", "nowhere/out.svg", says=["nowhere"])

    def test_json_beside_a_picture(self):
        done = self.run_cli("memory", self.dump(), "--svg", "out.svg", "--output", "json")
        self.assertEqual(json.loads(done.stdout)["release"], "6.12.0-test")
        self.assertEqual(self.names(), ["out.svg"])
        self.refused("memory", self.dump(), "--svg", "-", "--output", "json", code=USAGE, says=["standard output"])

    def test_a_full_standard_output_is_a_failure(self):
        for words in ([], ["--svg", "-"]):
            with open("/dev/full", "wb") as full:
                done = self.run_cli("memory", self.dump(), *words, code=FAILED, stdout=full)
            self.assertIn("standard output", done.stderr.decode())

    def test_a_worker_that_lies(self):
        for number, answer in enumerate(('{}', '[', '{"release": 1}')):
            program = self.with_worker(
                f"os.write(fds[-1], {answer!r}.encode())\n"
                "channel.send(json.dumps({'type': 'done', 'release': '', 'build_id': '', 'level_asked': 0, 'level_reached': 0, "
                "'incomplete': False, 'callers': False, 'ram_pages': 0, 'kept_pages': 0, 'lost_pages': 0, 'crashed': False, "
                "'classes': [], 'remarks': []}).encode())\n", number)
            done = self.run_cli("memory", self.dump(), "--svg", "out.svg", program=program, code=FAILED)
            self.assertIn("vmcore-worker's answer", done.stderr.decode())
            self.assertFalse(done.stdout)
            self.assertNotIn("out.svg", self.names())


if __name__ == "__main__":
    main()
