# SPDX-License-Identifier: GPL-2.0-or-later
"""Command lines that make no sense end with 2 and do nothing."""

from harness import FAILED, USAGE, Cli, main


class Usage(Cli):
    def misused(self, *words, says=""):
        done = self.run_cli(*words, code=USAGE)
        self.assertFalse(done.stdout)
        self.assertIn(says, done.stderr.decode())
        self.assertEqual(self.names(), [])

    def test_nothing(self):
        self.misused(says="vmcorectl: no verb is given (see: vmcorectl --help)")
        self.misused("", says='vmcorectl: there is no verb "" (see: vmcorectl --help)')
        self.misused("-c", "test:///default", says="no verb is given")

    def test_unknown_verb(self):
        self.misused("dance", says="no verb dance (see: vmcorectl --help)")
        for typo, verb in (("dmup", "dump"), ("chekc", "check"), ("lst", "list")):
            self.misused(typo, "vm1", says=f"no verb {typo}: did you mean {verb}?")
        self.misused("help", "dmup", says="did you mean dump?")

    def test_help_is_a_verb(self):
        for words, option in ((["help"], ["--help"]), (["help", "dump"], ["dump", "--help"])):
            self.assertEqual(self.run_cli(*words).stdout, self.run_cli(*option).stdout)

    def test_options_before_the_verb(self):
        for words in (["-c", "test:///default"], ["--connect=test:///default"], ["-q", "-c", "test:///default"]):
            done = self.run_cli(*words, "check", "nobody", code=FAILED)
            self.assertIn(b'no domain at test:///default has the name, id or UUID "nobody"', done.stdout)
        self.misused("-c", "test:///default", "convert", self.dump(), "out", says="--remote")
        self.run_cli("-d", "0", "--compress", "zlib", "convert", self.dump(), "out")
        (self.folder / "out").unlink()
        done = self.run_cli("--qmp", "none", "dump", code=FAILED)
        self.assertIn(b"none", done.stderr)

    def test_sizes_without_a_unit(self):
        for words in (["dump", "--qmp", "x", "--bandwidth", "50"], ["dump", "--qmp", "x", "--memory-budget", "512"],
                      ["receive", "vm1", "--memory", "4"], ["prune", "--max-size", "20"]):
            self.misused(*words, says=f"{words[-1]} without a unit is {words[-1]} bytes: give a unit, such as {words[-1]}MiB")
        for size in ("-5M", "many"):
            self.misused("convert", self.dump(), "out", "--bandwidth", size, says=f"{size} is no size: give one such as 512MiB")
        self.run_cli("convert", self.dump(), "out", "--bandwidth", "1073741824")
        (self.folder / "out").unlink()

    def test_unknown_option(self):
        self.misused("convert", self.dump(), "out", "--faster",
                     says="vmcorectl: convert: there is no option --faster (see: vmcorectl convert --help)")
        for typo, option in (("--strct", "--strict"), ("--formta=elf", "--format")):
            self.misused("convert", self.dump(), "out", typo, says=f"there is no option {typo.split('=')[0]}: did you mean {option}?")
        self.misused("convert", self.dump(), "out", "--asked-s", says="no option --asked-s (")    # that option is not a user's
        self.misused("--dance", says="there is no option --dance")
        self.misused("convert", self.dump(), "out", "more", says="a word too many: more")
        self.misused("convert", self.dump(), "out", "\33[31m", says=r"\x1b[31m")

    def test_options_that_do_not_go_together(self):
        self.misused("info", self.dump(), "--output", "json", "--output", "text", says="--output is given 2 times: give it once")
        self.misused("dump", "vm1", "--then", "reset", "--then", "resume", says="--then is given 2 times")
        self.misused("dump", "vm1", "--output", says="--output needs a value")
        self.misused("dump", "vm1", "--all-crashed", says="DOMAIN cannot be given with --all-crashed")

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
        for words in (["vm1"], ["--qmp", "x"]):
            self.misused("dump", "--all-crashed", *words, says="--all-crashed")
        for words in (["--all-crashed"], ["vm1", "vm2"]):
            self.misused("dump", *words, "-o", "out", says="give -o a folder")

    def test_what_is_dumped(self):
        self.misused("dump", says="DOMAIN")
        self.misused("dump", "vm1", "--qmp", "x", says="DOMAIN")
        self.misused("dump", "vm1", "vm2", "--crash-guest", "nmi", says="give one DOMAIN")
        for words in (["--then", "reset"], ["--keep"], ["--crash-guest", "nmi"]):
            self.misused("dump", "vm1", "--dry-run", *words, says="--dry-run")

    def test_times(self):
        for limit in ("0", "-1s", "soon", "2h", "", "1e99"):
            self.misused("dump", "--qmp", "nowhere", "--pause-limit", limit, says="--pause-limit")
            self.misused("memory", "--pause", "--qmp", "nowhere", "--pause-limit", limit, says="--pause-limit")
        self.misused("info", "--qmp", "nowhere", "--pause-limit", "2s", says="--pause")

    def test_what_is_checked(self):
        for words in (["vm1", "--qmp", "x"], ["vm1", "--all"], ["--all", "--qmp", "x"]):
            self.misused("check", *words, says="DOMAIN")
        for words in (["--fix"], ["--fix", "--qmp", "x"], ["--fix", "vm1", "--fail-on", "warn"]):
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
