# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs that are no dumps, broken, or cut short: what is said, and what is left."""

import os
import struct
import subprocess

from harness import NOT_AS_ASKED, VMCORECTL, Cli, main

READERS = (["convert", "IN", "out"], ["info", "IN"], ["dmesg", "IN"], ["memory", "IN"])


class NoDump(Cli):
    def refused_by_all(self, path, *says, **more):
        for words in READERS:
            line = self.refused(*(path if word == "IN" else word for word in words), says=says, **more)
            self.assertTrue(line.startswith("vmcorectl: "), line)

    def put(self, contents: bytes):
        path = self.folder / "in"
        path.write_bytes(contents)
        return path

    def test_missing_file(self):
        self.refused_by_all(self.folder / "missing", "missing", "No such file")

    def test_empty_file(self):
        self.refused_by_all(self.put(b""), "in: an empty file")

    def test_text(self):
        self.refused_by_all(self.put(b"root:x:0:0\n" * 100), "not a memory dump")

    def test_other_files_are_told(self):
        for start, says in ((b"\x1f\x8b", "gzip"), (b"QEVM", "migration stream"), (b"QFI\xfb", "qcow2"),
                            (b"LibvirtQemudSave", "save image")):
            self.refused_by_all(self.put(start + bytes(5000)), says)

    def test_folder(self):
        self.refused_by_all(self.folder, "is a folder")

    def test_fifo(self):
        os.mkfifo(self.folder / "in")
        self.refused_by_all(self.folder / "in", "save the dump into a file first")

    def test_device(self):
        self.refused_by_all("/dev/null", "save the dump into a file first")

    def test_unreadable(self):
        path = self.copy()
        path.chmod(0)
        nobody = {}
        if os.geteuid() == 0:       # root reads everything
            self.folder.chmod(0o755)
            nobody = {"user": 65534, "group": 65534, "extra_groups": []}
            try:
                self.run_cli("--version", **nobody)
            except PermissionError:
                self.skipTest("only root can run the program where it lies")
        self.refused_by_all(path, "Permission denied", **nobody)

    def test_names_cannot_steer_the_terminal(self):
        path = self.folder / "bad\n\x1b[2Jname"
        path.write_bytes(b"text")
        line = self.refused("info", path)
        self.assertIn("\\x0a\\x1b[2J", line)


class BrokenHeaders(Cli):
    def spoilt(self, kind, offset, fmt, value):
        path = self.copy(kind)
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(struct.pack(fmt, value))
        return path

    def refused_by_all(self, path, *says):
        for words in READERS:
            self.refused(*(path if word == "IN" else word for word in words), says=says)

    def test_elf_cut_in_its_headers(self):
        for size in (20, 63, 70, 130, 400):
            path = self.copy()
            os.truncate(path, size)
            self.refused_by_all(path, "past the end of the file", str(size))

    def test_kdump_cut_in_its_headers(self):
        for size in (100, 4096, 4200, 8192):
            path = self.copy("kdump-6.12")
            os.truncate(path, size)
            self.refused_by_all(path, "in: ", str(size))

    def test_elf_headers_that_cannot_be(self):
        for offset, fmt, value, says in ((32, "<Q", 1 << 60, "program headers"),  # e_phoff
                                         (54, "<H", 57, "program headers of 57"),  # e_phentsize
                                         (120 + 24, "<Q", 1 << 63, "program header 1"),  # p_paddr
                                         (120 + 32, "<Q", 1 << 62, "program header 1"),  # p_filesz
                                         (64 + 32, "<Q", 1 << 50, "notes")):  # p_filesz of the notes
            self.refused_by_all(self.spoilt("elf-6.12", offset, fmt, value), says)

    def test_one_kdump_field_that_cannot_be(self):
        """The rest of the file tells what it should be."""
        for offset, fmt, value, says in ((8, "<i", 77, "version 77"),
                                         (428, "<I", 12345, "blocks of 12345"),
                                         (436, "<I", 0xffff_fffe, "bitmap_blocks"),
                                         (4096 + 96, "<Q", 1 << 60, "max_mapnr_64")):
            path = self.spoilt("kdump-6.12", offset, fmt, value)
            found = self.info(path)
            self.assertFalse(found["incomplete"])
            self.assertIn(says, str(found["remarks"]))
            self.run_cli("convert", path, "out", "--force", "--verify")

    def test_names_in_a_kdump_header(self):
        """QEMU 10 and later do not name the machine; another one's name is refused."""
        path = self.spoilt("kdump-6.12", 12 + 4 * 65, "<8s", b"Unknown")
        self.assertEqual(self.info(path)["machine"], "x86_64")
        self.run_cli("convert", path, "out")
        self.assertEqual((self.folder / "out").read_bytes()[12 + 4 * 65:][:7], b"x86_64\0")

    def test_other_machines_have_names(self):
        self.refused_by_all(self.spoilt("bare-6.12", 18, "<H", 183), "machine aarch64")

    def test_a_file_that_claims_far_more_memory_than_it_has(self):
        """Its size costs neither memory nor room."""
        path = self.copy("bare-6.12")
        with open(path, "r+b") as file:
            file.truncate(200_000)
            file.seek(120 + 32)
            file.write(struct.pack("<QQ", 256 << 30, 256 << 30))  # p_filesz, p_memsz
        limited = ["prlimit", "--as=2000000000", VMCORECTL, "convert", path, "out", "--threads", "1"]
        done = subprocess.run(limited, cwd=self.folder, capture_output=True, timeout=300, check=False)
        self.assertEqual(done.returncode, NOT_AS_ASKED, done.stderr)
        out = (self.folder / "out.incomplete").stat()
        self.assertLess(out.st_blocks * 512, 16 << 20)
        self.assertLess(out.st_size, 32 << 20)  # two bitmaps, and no descriptor of a lost page


class CutInMemory(Cli):
    """A dump that ends early is converted as far as it goes."""

    def cut(self, kind="elf-6.12", size=40 << 20):
        path = self.copy(kind)
        os.truncate(path, size)
        return path

    def test_what_is_there_is_kept_as_incomplete(self):
        path = self.cut()
        for form in ("kdump", "elf"):
            with self.subTest(form=form):
                done = self.run_cli("convert", path, "out", "--format", form, "--verify",
                                    code=NOT_AS_ASKED)
                self.assertIn("written       out.incomplete (", done.stdout.decode())
                self.assertIn("pages of memory behind its end are lost", done.stderr.decode())
                self.assertIn("could not be read and are missing", done.stderr.decode())
                self.assertEqual(self.names(), ["in", "out.incomplete"])
                self.assertTrue(self.info(self.folder / "out.incomplete")["incomplete"])
                (self.folder / "out.incomplete").unlink()

    def test_how_much_is_missing(self):
        done = self.run_cli("convert", self.cut(), "out", "-d", "0", "--output", "json", code=NOT_AS_ASKED)
        self.assertIn(b'"incomplete": true', done.stdout)
        self.assertRegex(done.stdout, rb'"lost": (6144|6145)\b')  # 24 of 64 MiB, and half a page

    def test_a_second_incomplete_dump_does_not_replace_the_first(self):
        path = self.cut()
        self.run_cli("convert", path, "out", code=NOT_AS_ASKED)
        first = (self.folder / "out.incomplete").read_bytes()
        for number, words in ((1, []), (2, ["--force"])):
            done = self.run_cli("convert", path, "out", "-d", "0", *words, code=NOT_AS_ASKED)
            self.assertIn(f"written       out.incomplete.{number} (", done.stdout.decode())
        self.assertEqual(self.names(), ["in", "out.incomplete", "out.incomplete.1", "out.incomplete.2"])
        self.assertEqual((self.folder / "out.incomplete").read_bytes(), first)

    def changed(self, change):
        """A kdump file in which change(bytes, offset of the second bitmap, of the descriptors, their number) was done."""
        path = self.copy("kdump-6.12")
        data = bytearray(path.read_bytes())
        sub_blocks, bitmap_blocks = struct.unpack_from("<II", data, 432)
        descs = (1 + sub_blocks + bitmap_blocks) * 4096
        kept = descs - bitmap_blocks // 2 * 4096
        change(data, kept, descs, sum(bin(byte).count("1") for byte in data[kept:descs]))
        path.write_bytes(data)
        return path

    def told_alike(self, path, says):
        """info, --dry-run and convert agree that pages are missing."""
        found = self.info(path)
        self.assertTrue(found["incomplete"])
        self.assertIn(says, str(found["remarks"]))
        self.assertEqual(found["kernel"]["release"], "6.12.0-test")
        for words in (["--dry-run"], ["out"]):
            done = self.run_cli("convert", path, *words, "--output", "json", code=NOT_AS_ASKED)
            self.assertIn(b'"incomplete": true', done.stdout)

    def test_a_writer_that_was_killed(self):
        def kill(data, _, descs, count):
            data[descs + 24 * (count * 6 // 10):descs + 24 * count] = bytes(24 * (count - count * 6 // 10))
        self.told_alike(self.changed(kill), "were never written")

    def test_a_wrong_bit_of_the_bitmap(self):
        def flip(data, kept, *_):
            data[kept + 700] ^= 1
        self.told_alike(self.changed(flip), "contents of their neighbours")

    def test_strict_keeps_nothing(self):
        self.refused("convert", self.cut(), "out", "--strict", says=["--strict", "pages are missing"])

    def test_info_says_so(self):
        path = self.cut()
        self.assertTrue(self.info(path)["incomplete"])
        self.assertIn("pages are missing", self.run_cli("info", path).stdout.decode())

    def test_an_incomplete_dump_stays_incomplete(self):
        self.run_cli("convert", self.cut(), "out", code=NOT_AS_ASKED)
        self.run_cli("convert", "out.incomplete", "again", code=NOT_AS_ASKED)
        self.assertEqual(self.names(), ["again.incomplete", "in", "out.incomplete"])


class NoKernel(Cli):
    """Without knowledge of the kernel only zero pages go, and the file says what it may hold."""

    def test_convert(self):
        done = self.run_cli("convert", self.dump("bare-6.12"), "out", code=NOT_AS_ASKED)
        self.assertIn("may contain user data", done.stderr.decode())
        self.assertEqual(self.names(), ["out"])
        info = self.info("out")
        self.assertEqual(info["level"], {"asked": 31, "reached": 1})
        self.assertTrue(any("may contain user data" in remark["text"] for remark in info["remarks"]))

    def test_strict_keeps_nothing(self):
        self.refused("convert", self.dump("bare-6.12"), "out", "--strict", says=["level 31 was asked, level 1 was reached"])

    def test_low_levels_are_as_asked(self):
        for level in (0, 1):
            self.run_cli("convert", self.dump("bare-6.12"), f"out{level}", "-d", level)

    def test_dmesg_has_nothing_to_read(self):
        self.refused("dmesg", self.dump("bare-6.12"), says=["kernel was not found"])


if __name__ == "__main__":
    main()
