# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines that make no sense end with 2 and do nothing."""

from harness import USAGE, Cli, main


class Usage(Cli):
    def misused(self, *words, says=""):
        done = self.run_cli(*words, code=USAGE)
        self.assertFalse(done.stdout)
        self.assertIn(says, done.stderr.decode())
        self.assertEqual(self.names(), [])

    def test_nothing(self):
        self.misused()

    def test_unknown_verb(self):
        self.misused("dance")

    def test_unknown_option(self):
        self.misused("convert", self.dump(), "out", "--faster", says="--faster")

    def test_missing_arguments(self):
        self.misused("convert", says="IN")
        self.misused("convert", self.dump(), says="OUT")
        self.misused("info", says="FILE")
        self.misused("dmesg", says="FILE")
        self.misused("memory", says="FILE")
        self.misused("memory", self.dump(), "--svg")

    def test_levels(self):
        for level in ("32", "-1", "all", ""):
            self.misused("convert", self.dump(), "out", "-d", level, says="--dump-level")

    def test_formats_codecs_and_threads(self):
        for option, value in (("--format", "elf32"), ("--compress", "rar"), ("--threads", "0"),
                              ("--threads", "257"), ("--output", "xml")):
            self.misused("convert", self.dump(), "out", option, value, says=option)

    def test_compression_that_cannot_be(self):
        for words in (["--compress-level", "20"], ["--compress", "zlib", "--compress-level", "13"],
                      ["--compress", "lzo", "--compress-level", "1"], ["--compress-level", "0"], ["--compress-level", "-8"],
                      ["--compress", "zlib", "--compress-level", "-1"],
                      ["--format", "elf", "--compress", "zstd"], ["--format", "elf", "--compress-level", "3"]):
            self.misused("convert", self.dump(), "out", *words, says="--compress")

    def test_all_crashed_names_its_dumps(self):
        for words in (["vm1"], ["--qmp", "x"], ["-o", "out"]):
            self.misused("dump", "--all-crashed", *words, says="--all-crashed")

    def test_times(self):
        for limit in ("0", "-1s", "soon", "2h", "", "1e99"):
            self.misused("dump", "--qmp", "nowhere", "--pause-limit", limit, says="--pause-limit")
            self.misused("memory", "--pause", "--qmp", "nowhere", "--pause-limit", limit, says="--pause-limit")
        self.misused("info", "--qmp", "nowhere", "--pause-limit", "2s", says="--pause")

    def test_what_is_checked(self):
        for words in (["vm1", "--qmp", "x"], ["vm1", "--all"], ["--all", "--qmp", "x"]):
            self.misused("check", *words, says="DOMAIN")
        for words in (["--fix"], ["--fix", "--all"], ["--fix", "--qmp", "x"]):
            self.misused("check", *words, says="--fix")
        self.misused("check", "--dry-run", "vm1", says="--fix")
        self.misused("check", "vm1", "--folder", "none", says="--folder")

    def test_snapshots_that_cannot_be(self):
        self.misused("dump", "--qmp", "/none", "--consistency", "snapshot", "--method", "qmp", says="--method")
        self.misused("dump", "domain", "--consistency", "snapshot", says="--allow-taint")

    def test_help_and_version(self):
        for words in (["--help"], ["check", "--help"], ["convert", "--help"], ["info", "--help"], ["dmesg", "--help"],
                      ["memory", "--help"], ["dump", "--help"], ["--version"]):
            done = self.run_cli(*words)
            self.assertTrue(done.stdout)
            self.assertFalse(done.stderr)


if __name__ == "__main__":
    main()
