#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are reset or kexec into another kernel are dumped at moments of the boot: the dump is of what their vCPUs
run, or has everything. A few moments; test_reboots_long.py has ten, of each kernel."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import reboots
from guests.harness import run_test


def test(vmcorectl, _, findings) -> None:
    reboots.reset(vmcorectl, findings, "6.12", kaslr=False, count=4)
    reboots.kexec(vmcorectl, findings, "6.1", kaslr=True, count=3)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
