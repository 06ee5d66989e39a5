# SPDX-License-Identifier: GPL-2.0-or-later
"""A module that crashes its kernel in ways that nothing in a Debian guest can (crasher.c): their kernels have no lkdtm.

It is built against the headers of the kernel's own packages, by the compiler that these depend on, in a root folder of
its own: the programs of later packages need a later C library than this machine's.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from guests.cache import cache_dir, lock, new_folder
from guests.debian import Suite, run
from guests.kernels import SUITES, Kernel

SOURCE = Path(__file__).resolve().parent / "crasher.c"
# Beside the headers, which bring their compiler.
TOOLS = ("make", "dash", "coreutils", "sed", "grep", "findutils", "mawk", "libc6-dev")
WAYS = ("null", "paging", "gpf", "divide", "bug", "warn", "overflow", "call", "hung", "softlockup", "timer", "irqsoff",
        "arguments")


def build_root(of: Kernel) -> Path:
    """A root folder with the kernel's headers and what building a module takes."""
    folder = cache_dir("headers") / f"root-{of.release}"
    with lock(f"headers-{of.release}"):
        if not folder.exists():
            with new_folder(folder) as partial:
                Suite(SUITES[of.name]).fetch_with_dependencies(partial, f"linux-headers-{of.release}", *TOOLS)
                complete(partial)
    return folder


def complete(root: Path) -> None:
    """What packages leave to their scripts, and where a build needs something of this machine."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")     # as all are since bookworm
    for name, target in (("bin/sh", "dash"), ("usr/bin/awk", "mawk")):
        if not (root / name).exists():
            (root / name).symlink_to(target)
    for name in ("proc", "dev", "module"):
        (root / name).mkdir(exist_ok=True)
    (root / "dev/null").touch()


def module(of: Kernel) -> bytes:
    return file(of).read_bytes()


def file(of: Kernel) -> Path:
    """crasher.ko for that kernel, with its debuginfo; built again when its source changed."""
    source = SOURCE.read_bytes()
    binary = cache_dir("workload") / f"crasher-{of.release}-{hashlib.sha256(source).hexdigest()[:16]}.ko"
    root = build_root(of)
    with lock("crasher"):
        if not binary.exists():
            with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch:
                shutil.copy(SOURCE, scratch)
                (Path(scratch) / "Kbuild").write_text("obj-m := crasher.o\n")
                build(root, of, scratch)
                (Path(scratch) / "crasher.ko").rename(binary)
    return binary


def build(root: Path, of: Kernel, folder: str) -> None:
    """In namespaces of its own, so that this machine sees no mount."""
    mounts = f"mount --rbind /proc {root}/proc && mount --bind /dev/null {root}/dev/null && mount --bind {folder} {root}/module"
    make = f"/usr/bin/env -i PATH=/usr/bin:/bin make -C /usr/src/linux-headers-{of.release} M=/module modules"
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    run(["unshare", "--mount", *as_root, "sh", "-c", f"{mounts} && exec chroot {root} {make}"])
