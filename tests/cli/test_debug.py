# SPDX-License-Identifier: GPL-2.0-or-later
"""debug: which analyzer is started, with which words; a script over many dumps. The analyzers are scripts that tell how
they were called."""

import json
import time
from pathlib import Path

from harness import DONE, FAILED, NOT_AS_ASKED, USAGE, main
from test_debuginfo import RELEASE, DebugFiles

TELLS = 'for word; do echo "$word"; done\n'


class Debug(DebugFiles):
    def setUp(self):
        super().setUp()
        self.programs = self.folder / "programs"
        self.programs.mkdir()
        self.vmlinux = self.make("vmlinux", "mine")

    def program(self, name: str, version: str, does=TELLS) -> Path:
        path = self.programs / name
        path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "{name.split("-")[0]} {version}"; exit; fi\n{does}')
        path.chmod(0o755)
        return path

    def environment(self, **more) -> dict:
        return super().environment(PATH=f"{self.programs}:/usr/bin:/bin", **more)

    def debug(self, *words, code=DONE):
        return self.run_cli("debug", *words, "--from", self.vmlinux, code=code, env=self.environment())

    def words(self, *words) -> list:
        return self.debug(*words).stdout.decode().splitlines()

    def test_crash(self):
        self.program("crash", "8.0.6")
        self.assertEqual(self.words(self.dump()), [str(self.vmlinux), str(self.dump())])

    def test_options_may_stand_first(self):
        self.program("crash", "8.0.6")
        done = self.run_cli("debug", "--from", self.folder / "home", "--from", self.vmlinux, self.dump(), env=self.environment(), code=None)
        self.assertIn(b"home", done.stderr)     # there is no such folder
        done = self.run_cli("debug", "--from", self.vmlinux, self.dump(), env=self.environment())
        self.assertEqual(done.stdout.decode().splitlines()[-1], str(self.dump()))

    def test_words_for_the_analyzer(self):
        self.program("crash", "8.0.6")
        done = self.run_cli("debug", self.dump(), "--from", self.vmlinux, "--", "--hex", "-x", env=self.environment())
        self.assertEqual(done.stdout.decode().splitlines(), ["--hex", "-x", str(self.vmlinux), str(self.dump())])

    def test_the_newest_version_is_taken(self):
        self.program("crash", "8.0.2", "echo old")
        self.program("crash-8.0.10", "8.0.10", "echo new")
        self.program("crash-8.0.6", "8.0.6", "echo between")
        self.program("crash-helper", "99", "echo helper")
        self.assertEqual(self.words(self.dump()), ["new"])

    def test_a_crash_that_is_too_old(self):
        self.program("crash", "8.0.2", "echo crash")
        done = self.debug(self.dump())
        self.assertEqual(done.stdout, b"crash\n")
        self.assertIn(f"crash 8.0.2 is older than Linux {RELEASE}".encode(), done.stderr)
        self.program("drgn", "0.0.31", "echo drgn")
        self.assertEqual(self.words(self.dump()), ["drgn"])
        self.assertEqual(self.words(self.dump(), "--with", "crash"), ["crash"])

    def test_drgn(self):
        self.program("drgn", "0.0.31", TELLS + 'echo "$DRGN_USE_LIBKDUMPFILE_FOR_ELF"\n')
        self.assertEqual(self.words(self.dump(), "--with", "drgn"),
                         ["--no-default-symbols", "-c", str(self.dump()), "-s", str(self.vmlinux), ""])
        self.program("drgn", "0.0.22", 'echo "$DRGN_USE_LIBKDUMPFILE_FOR_ELF"\n')
        self.assertEqual(self.words(self.dump(), "--with", "drgn"), ["1"])

    def test_gdb_reads_elf_alone(self):
        self.program("gdb", "13.1")
        self.assertEqual(self.words(self.dump(), "--with", "gdb"),
                         ["-q", "-ex", f'symbol-file -o 0x0 "{self.vmlinux}"', "-ex", f'core-file "{self.dump()}"'])
        for kind in ("kdump-6.12", "flattened-6.12"):
            self.refused("debug", self.dump(kind), "--with", "gdb", "--from", self.vmlinux, env=self.environment(),
                         says=["no ELF file", "vmcorectl convert"])

    def test_an_incomplete_dump(self):
        self.program("crash", "8.0.6")
        path = self.copy()
        with open(path, "r+b") as dump:
            dump.truncate(path.stat().st_size - (8 << 20))
        self.assertEqual(self.words(path)[0], "--zero_excluded")

    def test_what_is_refused(self):
        self.program("crash", "8.0.6")
        says = [f"no vmlinux of {RELEASE} is found", "--from"]
        self.refused("debug", self.dump(), env=self.environment(), says=says)
        self.refused("debug", self.dump(), "--from", self.make("vmlinux", "wrong", "6.1.9"), env=self.environment(),
                     says=["wrong is of kernel 6.1.9"])
        self.refused("debug", self.dump(), "--with", "drgn", "--from", self.vmlinux, env=self.environment(),
                     says=["drgn is not installed"])
        self.run_cli("debug", code=USAGE)
        self.run_cli("debug", self.dump(), "--jobs", "2", code=USAGE)

    def test_a_domain_is_dumped_first(self):
        """libvirt's test driver has no domain of that name, so the dump fails."""
        self.program("crash", "8.0.6", "echo crash\n")
        done = self.run_cli("debug", "-c", "test:///default", "nobody", code=FAILED, env=self.environment())
        self.assertIn(b"note: nobody is taken as a domain, and dumped to nobody-", done.stderr)
        self.assertIn(b"nobody", done.stderr.splitlines()[-1])
        self.assertEqual(done.stdout, b"")
        self.assertFalse([name for name in self.names() if name.startswith("nobody")])
        self.run_cli("debug", "-c", "test:///default", "nobody", "--self-check", code=USAGE)

    def test_live(self):
        """What needs no guest: guests.debuginfo has the rest."""
        for words in ((), ("--live",), ("--qmp", "nowhere"), ("--live", "vm1", "--run", "x"), ("--live", "vm1", "--self-check"),
                      ("--live", "vm1", "--with", "crash")):
            self.run_cli("debug", *words, code=USAGE, env=self.environment())
        self.refused("debug", "--live", "vm1", env=self.environment(), says=["drgn is not installed"])
        self.program("drgn", "0.0.22")
        self.refused("debug", "--live", "vm1", env=self.environment(), says=["drgn 0.0.22 is too old for --live", "0.0.27"])
        self.program("drgn", "0.0.31")
        self.refused("debug", "--live", self.dump(), env=self.environment(), says=[" is a file, and --live is for guests"])
        self.refused("debug", "--live", "--qmp", self.folder / "nowhere", "--", "script.py", "word", env=self.environment(), says=["nowhere"])
        self.refused("debug", "--live", "--with", "drgn", "-c", "test:///default", "nobody", env=self.environment(), says=["nobody"])

    def runs(self, *words, code=DONE, script="commands.crash") -> list:
        (self.folder / script).write_text("sys\n")
        done = self.debug("--run", script, "--output", "json", *words, code=code)
        return json.loads(done.stdout)["runs"]

    def test_many_dumps(self):
        self.program("crash", "8.0.6", "echo said; echo complained >&2\n")
        for name in ("one", "two"):
            self.copy(name=name)
        self.copy("elf-6.1", "other")       # no vmlinux of it
        (self.folder / "damaged").write_text("no dump")
        runs = self.runs("one", "two", "other", "damaged", code=NOT_AS_ASKED)
        self.assertEqual([run["outcome"] for run in runs], ["done", "done", "no symbols", "unreadable"])
        self.assertEqual([run["release"] for run in runs], [RELEASE, RELEASE, "6.1.0-test", None])
        self.assertEqual((self.folder / "one.commands.crash.txt").read_text(), "said\ncomplained\n")
        self.assertFalse((self.folder / "other.commands.crash.txt").exists())
        done = self.debug("--run", "commands.crash", "one", "other", code=NOT_AS_ASKED)
        head, one, other = done.stdout.decode().splitlines()
        self.assertEqual(head.split(), ["DUMP", "KERNEL", "WITH", "OUTCOME", "SECONDS", "RESULT"])
        self.assertEqual(one.split()[:5], ["one", RELEASE, "crash", "8.0.6", "done"])
        self.assertIn("no vmlinux of 6.1.0-test is found", other)
        self.assertEqual(self.runs("damaged", code=FAILED)[0]["outcome"], "unreadable")

    def test_results_elsewhere(self):
        self.program("drgn", "0.0.31")
        (self.folder / "results").mkdir()
        (run,) = self.runs(self.dump(), "--results", "results", script="look.py")
        self.assertEqual((run["with"], run["result"]), ("drgn 0.0.31", f"results/{self.dump().name}.look.py.txt"))
        self.assertEqual((self.folder / run["result"]).read_text().splitlines()[-1], str(self.folder / "look.py"))

    def test_what_crash_reads(self):
        """Its commands come from standard input, with an end; files by paths that hold in any folder, so where it is confined."""
        self.program("crash", "8.0.6", f'{TELLS}cat\n')
        (run,) = self.runs(self.copy(name="one").name)
        self.assertEqual((self.folder / run["result"]).read_text().splitlines(),
                         ["-s", str(self.vmlinux), str(self.folder / "one"), "sys", "", "quit"])

    def test_confined(self):
        """It sees its own processes alone; a name without a folder will do."""
        self.program("crash", "8.0.6", f'{TELLS}cd /proc && echo *\nhead -c 4 "$3"\n')
        dump = self.copy(name="one")
        (run,) = self.runs("one", "--confined", code=None)
        if run["outcome"] == "not tried":
            self.skipTest(run["why"])
        said = (self.folder / run["result"]).read_bytes().splitlines()
        self.assertEqual(said[:3], [b"-s", str(self.vmlinux).encode(), str(dump).encode()])
        self.assertEqual(said[3:], [b"1 self thread-self", dump.read_bytes()[:4]])

    def test_commands_that_failed(self):
        """crash ends well all the same."""
        for said, outcome, why in (("crash: pipe operation failed", "failed", "crash: pipe operation failed"),
                                   ("KERNEL: x\ncrash: command not found: nonsense\nmore", "failed", "crash: command not found: nonsense"),
                                   ("log: crash: pipe operation failed", "done", None)):
            self.program("crash", "8.0.6", f"cat <<'END'\n{said}\nEND\n")
            (run,) = self.runs(self.dump(), code=None)
            self.assertEqual((run["outcome"], run["why"]), (outcome, why), said)
            self.assertEqual((self.folder / run["result"]).read_text(), f"{said}\n")

    def test_limits(self):
        self.program("crash", "8.0.6", "echo begun\nsleep 100\n")
        self.copy(name="in")
        begin = time.monotonic()
        (run,) = self.runs("in", "--time-limit", "1s", code=FAILED)
        self.assertLess(time.monotonic() - begin, 60)
        self.assertEqual(run["outcome"], "time limit")
        self.assertEqual((self.folder / "in.commands.crash.txt").read_text(), "begun\n")
        self.program("crash", "8.0.6", "exec python3 -c 'bytes(1 << 30)'\n")
        (run,) = self.runs("in", "--memory-limit", "512MiB", code=FAILED)
        self.assertEqual((run["outcome"], "MemoryError" in (self.folder / "in.commands.crash.txt").read_text()), ("failed", True))

    def test_crash_gives_up_and_is_asked_again(self):
        self.program("crash", "8.0.6", '[ "$1" = --zero_excluded ] || { echo "page excluded"; exit 1; }\necho good\n')
        self.copy(name="in")
        (run,) = self.runs("in")
        self.assertIn("--zero_excluded", run["why"])
        self.assertEqual((self.folder / "in.commands.crash.txt").read_text(), "page excluded\ngood\n")


if __name__ == "__main__":
    main()
