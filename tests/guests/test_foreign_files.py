#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Dump files of QEMU and makedumpfile open, whatever their headers call the machine, and show the guest's own pages.
A short part of test_foreign_matrix.py."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.foreign_files import MAKEDUMPFILE, Files
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder


def test(vmcorectl, _, findings) -> None:
    config = Config(name="files/10.0", qemu="qemu-10.0", kernel="6.1", memory_mib=192, cpus=1)
    with scratch_folder() as scratch, Guest(config) as guest:
        guest.panic()
        files = Files(vmcorectl, guest, findings, Path(scratch))
        files.of_qemu()
        for name in ("makedumpfile-1.7.2", "makedumpfile"):
            files.of_makedumpfile(name, MAKEDUMPFILE)
        files.close()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
