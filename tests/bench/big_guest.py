#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest of which level 31 keeps more than 1 GiB: most of its memory is a ramdisk, whose pages are the kernel's own.

    big_guest.py        make its raw dump, if the cache has none, and print where it is
"""

import gzip
import hashlib
import shlex
import sys
import time
from pathlib import Path
from unittest import mock

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs, matrix
from guests.cache import cache_dir, lock
from guests.debian import run
from guests.guest import Config, Guest
from guests.kernels import Kernel, kernel, module_bytes

HERE = Path(__file__).resolve().parent
CONFIG = Config("bench-ramdisk", kernel="6.12", memory_mib=3072)
RAMDISK_MIB = 1280
# What the ramdisk is filled from: some 40 MiB of the kernel's own code and data.
CONTENTS = ["btrfs", "xfs", "ext4", "f2fs", "ocfs2", "cifs", "nfsd", "kvm", "mac80211", "cfg80211", "bluetooth",
            "mlx5_core", "ice", "bnx2x", "lpfc", "qla2xxx", "radeon"]
FILL = """insmod /ramdisk/brd.ko rd_nr=1 rd_size={size} || echo FAILED
/ramdisk/fill /dev/ram0 {mib} /bin/busybox /ramdisk/contents/* || echo FAILED
/workload"""


def build_initramfs(used: Kernel, arguments: list, without_ramdisk) -> bytes:
    """The tests' initramfs and a second archive after it: the kernel unpacks both, the later /init wins."""
    archive = initramfs.Archive()
    archive.add("ramdisk", 0o40755)
    archive.add("ramdisk/contents", 0o40755)
    archive.add("ramdisk/fill", 0o100755, compiled().read_bytes())
    for path in used.load_order(["brd"]):
        archive.add("ramdisk/brd.ko", 0o100644, module_bytes(path))
    for path in used.modules.rglob("*.ko*"):
        name = path.name.split(".ko")[0]
        if name in CONTENTS:
            archive.add(f"ramdisk/contents/{name}", 0o100644, module_bytes(path))
    fill = FILL.format(size=RAMDISK_MIB * 1024, mib=RAMDISK_MIB)
    init = initramfs.INIT.replace("/workload", fill).format(arguments=shlex.join(arguments))
    archive.add("init", 0o100755, init.encode())
    return without_ramdisk(used, arguments) + gzip.compress(archive.finish(), compresslevel=1)


def compiled() -> Path:
    binary = cache_dir("workload") / f"ramdisk-{own_hash()}"
    if not binary.exists():
        partial = binary.with_suffix(".partial")
        run(["gcc", "-static", "-O2", "-Wall", "-Wextra", "-o", partial, HERE / "ramdisk.c"])
        partial.rename(binary)
    return binary


def own_hash() -> str:
    digest = hashlib.sha256(matrix.rig_hash(CONFIG, kernel(CONFIG.kernel).release).encode())
    for name in ("ramdisk.c", "big_guest.py"):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:12]


def dump() -> Path:
    """The guest's raw dump; the guest is run if the cache has none."""
    raw = cache_dir("dumps") / f"{CONFIG.name}-{own_hash()}.elf"
    with lock("dumps"):
        if not raw.exists():
            for stale in raw.parent.glob(f"{CONFIG.name}-????????????.*"):
                stale.unlink()
            make_dump(raw)
    return raw


def make_dump(raw: Path) -> None:
    started = time.monotonic()
    without_ramdisk = initramfs.build

    def build(used: Kernel, arguments: list, modules: tuple = ()) -> bytes:
        return build_initramfs(used, arguments, lambda *given: without_ramdisk(*given, modules))

    partial = raw.with_suffix(".partial")
    # The rig's files stay as they are: they are the key of its cached dumps.
    with mock.patch.object(initramfs, "build", build), Guest(CONFIG) as guest:
        guest.finish()
        guest.dump_elf(partial)
    partial.rename(raw)
    print(f"{CONFIG.name}: run and dumped in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    print(dump())
