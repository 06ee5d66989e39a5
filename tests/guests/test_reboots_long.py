#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of each kernel that are reset or kexec into another kernel, dumped at ten moments of the boot."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import reboots
from guests.harness import run_test

MOMENTS = 10


def test(vmcorectl, _, findings) -> None:
    for kernel in ("newest", "6.12", "6.1"):
        for kaslr in (True, False):
            reboots.reset(vmcorectl, findings, kernel, kaslr, MOMENTS)
            reboots.kexec(vmcorectl, findings, kernel, kaslr, MOMENTS)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
