#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each number of a real guest's VMCOREINFO is changed by one digit: no page of the kernel is left out unless it is said.

What is left out is compared with the plan of the right numbers, which test_filter_matrix.py compares with other tools.
"""

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.guest import Config
from guests import matrix
from guests.harness import run_test

KERNELS = ("5.10", "6.1", "6.12", "newest")
LEAST = 300     # numbers


def test(_vmcorectl, _guests: list, findings) -> None:
    for name in KERNELS:
        dump = matrix.dump_of(Config(f"{name}-lists", kernel=name, panic_cpu=-1, spin_cpu=1))
        done = subprocess.run([os.environ["WRONG_NUMBERS"], str(dump.raw)], capture_output=True, text=True, timeout=7200)
        lines = [line.split() for line in done.stdout.splitlines()]
        silent = [f"{number}: {lost} pages are left out" for number, level, lost in lines
                  if level == "31" and lost != "0"]
        told = sum(level != "31" for _, level, _ in lines)
        print(f"{name}: {len(lines)} numbers, {told} told, {len(silent)} silent", flush=True)
        few = [] if done.returncode == 0 and len(lines) >= LEAST else [f"{len(lines)} numbers: {done.stderr}"]
        findings.check(f"{name}: wrong numbers", few + silent)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
