# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the command line share: running vmcorectl, and dumps to run it on."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from peers import schemas  # noqa: E402

VMCORECTL = os.environ["VMCORECTL"]
MAKE_DUMP = os.environ["MAKE_DUMP"]
MAKE_LARGE_DUMP = Path(MAKE_DUMP).with_name("make_large_dump")
SKIP = 77
DONE, FAILED, USAGE, NOT_AS_ASKED, INTERRUPTED = 0, 1, 2, 3, 130


class Cli(unittest.TestCase):
    """Each test has a folder of its own, and shares the dumps of its class."""

    @classmethod
    def setUpClass(cls):
        cls.dumps = Path(tempfile.mkdtemp(prefix="vmcorectl-dumps-"))
        cls.addClassCleanup(shutil.rmtree, cls.dumps)

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="vmcorectl-cli-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def dump(self, kind="elf-6.12") -> Path:
        """The path of a dump of that kind, not to be changed."""
        path = self.dumps / kind
        if not path.exists():
            subprocess.run([MAKE_DUMP, kind, path], check=True)
        return path

    def copy(self, kind="elf-6.12", name="in") -> Path:
        """A dump that may be spoilt."""
        subprocess.run(["cp", "--sparse=always", self.dump(kind), self.folder / name], check=True)
        return self.folder / name

    def large_dump(self, gibibytes: int, frames: int) -> None:
        """"in" in the test's folder, sparse: see large_dump.h."""
        subprocess.run([MAKE_LARGE_DUMP, str(gibibytes), str(frames), self.folder / "in"], check=True)

    def run_cli(self, *words, code=DONE, program=VMCORECTL, of_another=False, **more):
        """Runs vmcorectl in the test's folder; checks how it ends (None: any way), and its document unless that is of another program."""
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 300, **more}
        done = subprocess.run([program, *map(str, words)], cwd=self.folder, stdin=subprocess.DEVNULL, **more)
        if code is not None:
            self.assertEqual(done.returncode, code, f"{words}: {done.stdout!r} {done.stderr!r}")
        if Path(program).name == "vmcorectl" and "json" in map(str, words) and not of_another:
            self.check_documents(done)
        return done

    def check_documents(self, done) -> None:
        """What was printed as JSON, wherever it went, is as its schema says."""
        for text in (done.stdout, done.stderr):
            if text and text.startswith((b"{\n", b"[\n")):
                schemas.check(json.JSONDecoder().raw_decode(text.decode())[0])

    def refused(self, *words, code=FAILED, says=(), **more):
        """A failure: one line that says all of `says`, nothing on standard output, no new file."""
        before = self.names()
        done = self.run_cli(*words, code=code, **more)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 1, lines)
        for part in says:
            self.assertIn(part, lines[0])
        self.assertFalse(done.stdout)
        self.assertEqual(self.names(), before)
        return lines[0]

    def names(self) -> list:
        return sorted(path.name for path in self.folder.iterdir())

    def with_worker(self, script: str, number=0) -> Path:
        """The path of a vmcorectl whose worker is this Python script; `channel` is its socket."""
        folder = self.folder / f"programs{number}"
        folder.mkdir()
        shutil.copy(VMCORECTL, folder)
        (folder / "vmcore-holder").symlink_to(Path(VMCORECTL).with_name("vmcore-holder"))
        worker = folder / "vmcore-worker"
        worker.write_text(f"#!/usr/bin/python3\nimport json, os, socket, time\nchannel = socket.socket(fileno=3)\n"
                          f"request, fds, _, _ = socket.recv_fds(channel, 65536, 4)\n{script}")
        worker.chmod(0o700)
        return folder / "vmcorectl"

    def info(self, path) -> dict:
        return json.loads(self.run_cli("info", path, "--output", "json").stdout)


def main() -> None:
    """Runs the tests; 77 (ctest's skip) where some could not be run here, and the others passed."""
    result = unittest.main(exit=False, verbosity=1).result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIP if result.skipped else 0)
