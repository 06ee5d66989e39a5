# SPDX-License-Identifier: GPL-2.0-or-later
"""convert: formats, levels, and what is said of them."""

import json
import resource

from harness import Cli, main

CODECS = ("zstd", "zlib", "lzo", "snappy", "none")
LAYOUTS = ("5.4", "5.15", "6.1", "6.6", "6.12", "7.1")


class Convert(Cli):
    def test_every_codec_and_format_is_verified(self):
        for codec in CODECS:
            self.run_cli("convert", self.dump(), codec, "--compress", codec, "--verify")
        self.run_cli("convert", self.dump(), "elf", "--format", "elf", "--verify")
        kept = {name: self.info(name)["pages"]["in_file"] for name in self.names()}
        self.assertEqual(len(set(kept.values())), 1, kept)

    def test_every_input(self):
        kept = set()
        for kind in ("elf", "qemu", "kdump", "flattened"):
            done = self.run_cli("convert", self.dump(f"{kind}-6.12"), kind, "--output", "json", "--verify")
            kept.add(json.loads(done.stdout)["pages"]["kept"])
        self.assertEqual(len(kept), 1)

    def test_every_layout(self):
        for layout in LAYOUTS:
            done = json.loads(self.run_cli("convert", self.dump(f"elf-{layout}"), layout, "--output", "json").stdout)
            self.assertTrue(done["as_asked"])
            self.assertEqual(done["release"], f"{layout}.0-test")
            classes = done["pages"]["by_class"]
            self.assertEqual((classes["free"], classes["user"], classes["cache"], classes["private_cache"]),
                             (512, 16 + 1 + 512, 1 + 1 + 8, 1))
            self.assertEqual(done["pages"]["ram"] - done["pages"]["kept"], 512 + 529 + 10 + 1)

    def test_levels(self):
        dropped = {0: 0, 1: 0, 2: 10, 4: 11, 8: 529, 16: 512, 31: 1052}
        for level, pages in dropped.items():
            done = json.loads(self.run_cli("convert", self.dump(), f"out{level}", "-d", level, "--output",
                                           "json").stdout)
            self.assertEqual(done["pages"]["ram"] - done["pages"]["kept"], pages, level)
            self.assertEqual(self.info(f"out{level}")["level"]["reached"], level)

    def test_zstd_has_faster_levels(self):
        sizes = []
        for level in (-7, -1, 1):
            self.run_cli("convert", self.dump(), f"out{level}", "--compress-level", level, "--verify")
            sizes.append((self.folder / f"out{level}").stat().st_size)
        self.assertGreater(sizes[0], sizes[2])

    def test_filtering_again(self):
        self.run_cli("convert", self.dump(), "users", "-d", "8")
        self.run_cli("convert", "users", "both", "-d", "16")
        self.assertEqual(self.info("both")["level"]["reached"], 24)
        self.run_cli("convert", self.dump(), "at-once", "-d", "24")
        self.assertEqual(self.info("both")["pages"]["in_file"], self.info("at-once")["pages"]["in_file"])

    def test_threads_make_no_difference(self):
        for threads in (1, 2, 7):
            self.run_cli("convert", self.dump(), f"out{threads}", "--threads", threads, "--verify")
        self.assertEqual(len({self.info(name)["pages"]["in_file"] for name in self.names()}), 1)

    def test_a_plan_for_a_large_guest(self):
        self.large_dump(64, 4)
        done = json.loads(self.run_cli("convert", "in", "--dry-run", "--output", "json").stdout)
        self.assertTrue(done["as_asked"])
        sections = 64 * 8 - 1   # each with 8 times what large_dump.cc describes, the kernel's own with nothing
        classes = {name: pages / sections / 8 for name, pages in done["pages"]["by_class"].items() if name != "kernel"}
        self.assertEqual((classes["free"], classes["user"], classes["cache"], classes["private_cache"]),
                         (512 + 256, 512 + 512 + 103, 512, 171))

    def test_a_dry_run_writes_nothing(self):
        for words in ([], ["out"]):
            done = self.run_cli("convert", self.dump(), *words, "--dry-run")
            self.assertIn("nothing was written", done.stdout.decode())
            self.assertEqual(self.names(), [])

    def test_what_is_told(self):
        done = self.run_cli("convert", self.dump(), "out")
        text = done.stdout.decode()
        for part in ("6.12.0-test", "64.0 MiB", "free", "level         31", "written       out"):
            self.assertIn(part, text)
        self.assertFalse(done.stderr)

    def test_quiet(self):
        done = self.run_cli("convert", self.dump(), "out", "-q")
        self.assertEqual((done.stdout, done.stderr), (b"", b""))

    def test_json_of_a_failure(self):
        done = self.run_cli("convert", "missing", "out", "--output", "json", code=1)
        self.assertEqual(json.loads(done.stdout)["error"]["code"], "not_found")
        self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_a_file_size_limit(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))  # noqa: E731
        self.refused("convert", self.dump(), "out", "-d", "0", "--compress", "none", preexec_fn=limit,
                     says=["for this process (ulimit -f)"])


if __name__ == "__main__":
    main()
