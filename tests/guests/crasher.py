# SPDX-License-Identifier: GPL-2.0-or-later
"""A module that crashes its kernel in ways that nothing in a Debian guest can (crasher.c): their kernels have no lkdtm.

It is built against the headers of the kernel's own packages, by this machine's gcc: of 5.10 and 6.1 only, for the
programs of later packages need a later C library.
"""

import hashlib
import shutil
import tempfile
from pathlib import Path

from guests.cache import cache_dir, lock, new_folder
from guests.debian import Suite, run
from guests.kernels import SUITES, Kernel

SOURCE = Path(__file__).resolve().parent / "crasher.c"
WAYS = ("null", "paging", "gpf", "divide", "bug", "warn", "overflow", "call", "hung", "softlockup", "timer")


def headers(of: Kernel) -> Path:
    """Where the packages that modules are built against lie, unpacked: the folder with theirs in it."""
    folder = cache_dir("headers") / of.release
    with lock(f"headers-{of.release}"):
        if not folder.exists():
            with new_folder(folder) as partial:
                suite, package = Suite(SUITES[of.name]), f"linux-headers-{of.release}"
                needed = [name for name in suite.depends(package) if name.startswith(("linux-headers-", "linux-kbuild-"))]
                for name in (package, *needed):
                    suite.fetch(name, partial)
    return folder / "usr/src"


def module(of: Kernel) -> bytes:
    """crasher.ko for that kernel; built again when its source changed."""
    source = SOURCE.read_bytes()
    binary = cache_dir("workload") / f"crasher-{of.release}-{hashlib.sha256(source).hexdigest()[:16]}.ko"
    folder = headers(of)
    with lock("crasher"):
        if not binary.exists():
            with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch:
                shutil.copy(SOURCE, scratch)
                (Path(scratch) / "Kbuild").write_text("obj-m := crasher.o\n")
                common = next(folder.glob("linux-headers-*-common"))
                # Their own Makefile includes the common one where it would be if they were installed.
                run(["make", "-C", folder / f"linux-headers-{of.release}", "-f", common / "Makefile", "CC=gcc", f"M={scratch}", "modules"])
                (Path(scratch) / "crasher.ko").rename(binary)
    return binary.read_bytes()
