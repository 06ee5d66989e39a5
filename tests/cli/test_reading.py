# SPDX-License-Identifier: GPL-2.0-or-later
"""info and dmesg on every format."""

import json
import os
import resource
import unittest

from harness import DONE, FAILED, NOT_AS_ASKED, Cli, main

KINDS = ("elf-5.4", "elf-6.1", "elf-6.12", "elf-7.1", "qemu-6.12", "kdump-6.12", "flattened-6.12")


class Reading(Cli):
    def test_dmesg(self):
        for kind in KINDS:
            done = self.run_cli("dmesg", self.dump(kind))
            self.assertEqual(done.stdout.decode().splitlines(),
                             ["[    0.000000] Linux version test",
                              "[    1.500000] Kernel panic - not syncing: test"], kind)

    def test_dmesg_json(self):
        told = json.loads(self.run_cli("dmesg", self.dump(), "--output", "json").stdout)
        self.assertEqual(told["release"], "6.12.0-test")
        self.assertIn("Kernel panic", told["log"])
        self.assertFalse(told["incomplete"])

    def test_dmesg_shows_who_wrote_a_line(self):
        for kind in KINDS:
            old = kind == "elf-5.4"     # without CONFIG_PRINTK_CALLER
            done = self.run_cli("dmesg", "--show-caller", self.dump(kind), code=NOT_AS_ASKED if old else DONE)
            self.assertEqual(done.stdout.decode().splitlines()[1],
                             "[    1.500000] " + ("" if old else "[    T1] ") + "Kernel panic - not syncing: test", kind)
            self.assertEqual(b"who wrote each line is not known" in done.stderr, old, kind)
            done = self.run_cli("dmesg", "--show-caller", self.dump(kind), "--output", "json", code=done.returncode)
            self.assertEqual(json.loads(done.stdout)["callers"], not old)

    def test_dmesg_of_what_we_wrote(self):
        for words in (["--format", "elf"], ["--format", "kdump"]):
            self.run_cli("convert", self.dump(), "out", "--force", *words)
            self.assertIn("Kernel panic", self.run_cli("dmesg", "out").stdout.decode())

    def test_info(self):
        for kind in KINDS:
            info = self.info(self.dump(kind))
            self.assertEqual(info["kernel"]["release"], kind.split("-")[1] + ".0-test")
            self.assertEqual(info["pages"]["ram"], 0x4000)
            self.assertEqual(info["pages"]["excluded"], 0)
            self.assertEqual(info["pages"]["by_class"]["free"], 512)
            self.assertEqual(len(info["cpus"]), 1)
            self.assertEqual(info["last_log_stamp"], 1.5)
            self.assertFalse(info["incomplete"])

    def test_info_for_people(self):
        text = self.run_cli("info", self.dump("kdump-6.12")).stdout.decode()
        for part in ("kdump-compressed v6", "x86_64", "6.12.0-test", "64.0 MiB", "CPUs", "rip", "1.500 s after boot"):
            self.assertIn(part, text)

    def test_info_of_what_we_wrote(self):
        for form in ("kdump", "elf"):
            self.run_cli("convert", self.dump(), form, "--format", form)
            self.assertEqual(self.info(form)["level"], {"asked": 31, "reached": 31})
            self.assertIn("31 reached, 31 asked", self.run_cli("info", form).stdout.decode())

    def test_what_was_cut_off_shows_its_kernel_and_its_log(self):
        self.run_cli("convert", self.dump(), "out", "--compress", "none")
        whole = (self.folder / "out").read_bytes()
        log = self.run_cli("dmesg", "out").stdout
        for size in (len(whole) * 9 // 10, len(whole) * 7 // 10):
            (self.folder / "cut").write_bytes(whole[:size])
            self.assertEqual(self.run_cli("dmesg", "cut").stdout, log)
            self.assertEqual(self.info("cut")["kernel"]["release"], "6.12.0-test")
            self.run_cli("convert", "cut", "again", code=NOT_AS_ASKED)
            self.assertEqual(self.run_cli("dmesg", "again.incomplete").stdout, log)
            (self.folder / "again.incomplete").unlink()

    def test_a_reader_that_has_seen_enough(self):
        """As of `dmesg FILE | head`: nothing is said, and it is no success."""
        ours, theirs = os.pipe()
        os.close(ours)
        with open(theirs, "wb") as closed:
            for words in (["info", self.dump()], ["dmesg", self.dump()]):
                self.assertEqual(self.run_cli(*words, code=FAILED, stdout=closed).stderr, b"")

    def test_a_folder_is_no_dump(self):
        """A guest may have a folder that is called like it."""
        (self.folder / "vm1").mkdir()
        for verb in ("dmesg", "info", "memory", "report"):
            done = self.run_cli(verb, "vm1", code=FAILED, env={**os.environ, "LIBVIRT_DEFAULT_URI": "test:///default"})
            self.assertIn(b"vm1 is not a file here; as a domain: no domain at test:///default has the name", done.stderr)
            self.assertIn(b"vm1 is a folder", self.run_cli(verb, "./vm1", code=FAILED).stderr)
        done = self.run_cli("receive", "vm1", code=FAILED, env={**os.environ, "LIBVIRT_DEFAULT_URI": "test:///default"})
        self.assertIn(b"no domain at test:///default", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "only root's worker has a user of its own, who has no other thread")
    def test_no_more_threads(self):
        done = self.run_cli("info", self.dump(), code=FAILED,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NPROC, (1, 1)))
        self.assertIn(b"no thread can be started: Resource temporarily unavailable", done.stderr)

    def test_a_full_standard_output_is_a_failure(self):
        for words in (["info", self.dump()], ["dmesg", self.dump()]):
            with open("/dev/full", "wb") as full:
                done = self.run_cli(*words, code=FAILED, stdout=full)
            self.assertIn("standard output", done.stderr.decode())


if __name__ == "__main__":
    main()
