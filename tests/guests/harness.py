# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest tests share: the vmcorectl under test, the choice of guests, and a list of findings.

A test is a plain script: exit 0 when all is well, 1 with findings, 77 (ctest's skip) where something of it could not
run here: what was not looked at is never shown as passed.
    test_x.py [--vmcorectl PATH] [--guest NAME]...      VMCORECTL=PATH does as well
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from guests import matrix
from guests.cache import cache_dir

SKIP = 77


class Findings:
    """Collects what is wrong, printing it at once."""

    def __init__(self):
        self.count = 0
        self.checks = 0
        self.skips = 0

    def check(self, what: str, lines: list) -> bool:
        """One thing was looked at; `lines` say what is wrong with it, none if nothing is."""
        self.checks += 1
        if lines:
            self.count += 1
            print(f"DIFFERS {what}\n    " + "\n    ".join("\n".join(lines).splitlines()), flush=True)
        return not lines

    def skip(self, what: str, why: str) -> None:
        """One thing cannot be looked at here."""
        self.skips += 1
        print(f"SKIPPED {what}: {why}", flush=True)

    def exit_code(self) -> int:
        print(f"{self.checks} checks, {self.count} with findings, {self.skips} skipped", flush=True)
        if self.count or not (self.checks or self.skips):
            return 1
        return SKIP if self.skips else 0


class Vmcorectl:
    """The program under test."""

    def __init__(self, path: str):
        self.path = path

    def run(self, *words, seconds: float = 300) -> subprocess.CompletedProcess:
        return subprocess.run([self.path, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", timeout=seconds)

    def convert(self, raw, out, level: int, form: str = "kdump", codec: str = "zlib") -> list:
        """Converts; lines that say what went wrong. ELF is not compressed, so it takes no codec."""
        words = ["convert", "-d", level, "--format", form]
        if form == "kdump":
            words += ["--compress", codec]
        done = self.run(*words, raw, out)
        if done.returncode == 0:
            return []
        return [f"vmcorectl {' '.join(map(str, words))}: exit {done.returncode}", done.stdout.strip(), done.stderr.strip()]


def scratch_folder():
    """A folder for large files that go away with it."""
    return tempfile.TemporaryDirectory(dir=cache_dir("scratch"))


def run_test(test, default_guests: list, doc: str, trials: int = -1) -> int:
    """Parses the command line and calls test(vmcorectl, guest names, findings); with `trials`, which says how many
    where nobody else does, test(vmcorectl, number of trials, findings)."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--vmcorectl", default=os.environ.get("VMCORECTL"), help="the program under test")
    parser.add_argument("--guest", action="append", choices=matrix.NAMES, help="only this guest; may be repeated",
                        default=os.environ.get("VMCORECTL_GUESTS", "").split() or None)
    if trials >= 0:
        parser.add_argument("--trials", type=int, default=int(os.environ.get("VMCORECTL_KILL_TRIALS", trials)),
                            help="how many of each kind, at random moments")
    options = parser.parse_args()
    if not options.vmcorectl:
        parser.error("--vmcorectl or VMCORECTL must name the program under test")
    if not Path(options.vmcorectl).exists():
        parser.error(f"{options.vmcorectl} is not there")
    missing = [name for name in ("qemu-system-x86_64", "gcc", "dpkg-deb", "apt-get") if not shutil.which(name)]
    if missing:
        print(f"SKIPPED: real guests need {', '.join(missing)}")
        return SKIP
    findings, started = Findings(), time.monotonic()
    test(Vmcorectl(options.vmcorectl), options.guest or default_guests if trials < 0 else options.trials, findings)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return findings.exit_code()
