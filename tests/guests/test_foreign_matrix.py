#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Dump files of QEMU 7.2, 10 and 11 and of makedumpfile 1.7.2 and 1.7.8, in every format that they are built with, of
kernels 6.1, 6.12 and the newest: they open, and show the pages of the same guest's ELF file. What vmcorectl makes of
them opens in crash and drgn."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.foreign_files import MAKEDUMPFILE, MORE_OF_MAKEDUMPFILE, Files
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from peers import readers, tools

QEMUS = ["", "qemu-10.0", "qemu-newest"]
KERNELS = ["6.1", "6.12", "newest"]
# makedumpfile 1.7.2 knows kernels up to 6.0.
PEERS = {"6.1": ("makedumpfile-1.7.2", "makedumpfile"), "6.12": ("makedumpfile",), "newest": ("makedumpfile",)}


def opens_elsewhere(files: Files) -> None:
    """A kdump file of QEMU, converted, in crash and drgn."""
    path, out = files.folder / "theirs", files.folder / "ours"
    files.guest.qmp("dump-guest-memory", paging=False, protocol=f"file:{path}", format="kdump-zlib")
    if files.findings.check(f"{files.name}: for others", files.vmcorectl.convert(path, out, 31, "kdump", "zlib")):
        for what, reader in (("crash", readers.crash_log), ("drgn", readers.drgn)):
            try:
                said = reader(out, files.guest.kernel, name={"drgn": "drgn-trixie"}.get(what, what))
                lines = [] if said else ["nothing"]
            except readers.ReaderError as error:
                lines = [str(error)]
            files.findings.check(f"{files.name}: {what}", lines)
    for leftover in (path, out):
        leftover.unlink(missing_ok=True)


def test(vmcorectl, _, findings) -> None:
    for qemu in QEMUS:
        for kernel in KERNELS:
            config = Config(name=f"files/{qemu or 'qemu'}/{kernel}", qemu=qemu, kernel=kernel, memory_mib=256)
            with scratch_folder() as scratch, Guest(config) as guest:
                version = guest.qmp("query-version")["qemu"]
                print(f"{config.name}: QEMU {version['major']}.{version['minor']}", flush=True)
                guest.panic()
                files = Files(vmcorectl, guest, findings, Path(scratch))
                files.of_qemu()
                for name in PEERS[kernel]:
                    print(tools.run(name, "-v").stdout.splitlines()[0], flush=True)
                    files.of_makedumpfile(name, {**MAKEDUMPFILE, **MORE_OF_MAKEDUMPFILE})
                if kernel != "newest":      # no debuginfo of a kernel that changes each week
                    opens_elsewhere(files)
                files.close()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
