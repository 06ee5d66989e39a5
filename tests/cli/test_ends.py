# SPDX-License-Identifier: GPL-2.0-or-later
"""Ends that nobody asked for: a killed worker, Ctrl-C, a killed vmcorectl."""

import os
import signal
import subprocess
import time
from pathlib import Path

from harness import FAILED, INTERRUPTED, VMCORECTL, Cli, main

SLOWLY = ["--compress", "zstd", "--compress-level", "19"]


def children_of(pid) -> list:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def runs(pid) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except (FileNotFoundError, ProcessLookupError):     # the latter: it goes as it is read
        return False


class Ends(Cli):
    def begin(self, *words):
        """A conversion that takes long, caught while its worker works."""
        process = subprocess.Popen([VMCORECTL, "convert", self.dump("slow-6.12"), *words, *SLOWLY], cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 60
        while not children_of(process.pid):
            self.assertLess(time.monotonic(), deadline, "no worker was started")
            self.assertIsNone(process.poll(), "it ended before it was interrupted")
            time.sleep(0.02)
        time.sleep(0.5)
        return process, children_of(process.pid)[0]

    def expect_gone(self, pid):
        deadline = time.monotonic() + 20
        while runs(pid):
            self.assertLess(time.monotonic(), deadline, "the worker still runs")
            time.sleep(0.05)

    def test_a_killed_worker(self):
        process, worker = self.begin("out")
        os.kill(worker, signal.SIGKILL)
        out, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, FAILED)
        self.assertIn("vmcore-worker was killed by signal 9", said.decode())
        self.assertEqual((len(said.splitlines()), out), (1, b""))
        self.assertEqual(self.names(), [])

    def test_interrupts(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for out in ("out", "-"):
                with self.subTest(signal=number, out=out):
                    process, worker = self.begin(out)
                    process.send_signal(number)
                    process.communicate(timeout=60)
                    self.assertEqual(process.returncode, INTERRUPTED)
                    self.assertEqual(self.names(), [])
                    self.expect_gone(worker)

    def test_the_worker_goes_with_a_killed_vmcorectl(self):
        process, worker = self.begin("out")
        process.kill()
        process.communicate(timeout=60)
        self.expect_gone(worker)
        self.assertEqual(self.names(), [])


if __name__ == "__main__":
    main()
