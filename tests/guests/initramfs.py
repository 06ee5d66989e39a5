# SPDX-License-Identifier: GPL-2.0-or-later
"""Builds the initramfs of a test guest: busybox, the modules it needs, and the workload."""

import gzip
import hashlib
import os
import shlex
from pathlib import Path

from guests.cache import cache_dir, lock, new_folder
from guests.debian import Suite, run
from guests.kernels import Kernel, module_bytes

HERE = Path(__file__).resolve().parent
MODULES = ["pvpanic", "pvpanic-mmio", "pvpanic-pci", "qemu_fw_cfg", "virtio_pci", "virtio_blk",
           "crc32c_generic", "ext4"]

INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
for module in $(cat /modules/order); do
    insmod /modules/$module || echo "note: $module was not loaded"
done
mount -t ext4 /dev/vda /disk
grep -E ' (__per_cpu_offset|__cpu_possible_mask|nr_cpu_ids)$' /proc/kallsyms | while read address kind name; do
    echo "SYMBOL $name $address"
done
/workload {arguments}
echo "FAILED: the workload ended"
sleep 100000
"""


def busybox() -> Path:
    folder = cache_dir("peers") / "busybox-static"
    with lock("busybox"):
        if not folder.exists():
            with new_folder(folder) as partial:
                Suite("bookworm").fetch("busybox-static", partial)
    return next(path for path in (folder / "bin/busybox", folder / "usr/bin/busybox") if path.exists())


def compiled(name: str) -> Path:
    """A C file beside this one as a static program; again when it changed."""
    source = HERE / name
    binary = cache_dir("workload") / hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    with lock("workload"):
        if not binary.exists():
            partial = binary.with_suffix(".partial")
            run(["gcc", "-static", "-O1", "-Wall", "-Wextra", "-o", partial, source])
            partial.rename(binary)
    return binary


def workload() -> Path:
    return compiled("workload.c")


def disk() -> Path:
    """An empty ext4 file system. A guest writes to it, so each guest gets a copy."""
    image = cache_dir("workload") / "disk-64M.ext4"
    with lock("workload"):
        if not image.exists():
            partial = image.with_suffix(".partial")
            with open(partial, "wb") as new:
                new.truncate(64 << 20)
            path = os.pathsep.join([os.environ.get("PATH", ""), "/sbin", "/usr/sbin"])
            run(["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", partial], env={**os.environ, "PATH": path})
            partial.rename(image)
    return image


class Archive:
    """A cpio archive in the "newc" form that the kernel unpacks."""

    def __init__(self):
        self.data = bytearray()
        self.number = 0

    def add(self, name: str, mode: int, content: bytes = b"") -> None:
        self.number += 1
        named = name.encode() + b"\0"
        fields = [self.number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(named), 0]
        self.data += b"070701" + b"".join(b"%08x" % field for field in fields) + named
        self._align()
        self.data += content
        self._align()

    def finish(self) -> bytes:
        self.add("TRAILER!!!", 0)
        return bytes(self.data)

    def _align(self) -> None:
        self.data += bytes(-len(self.data) % 4)


def build(kernel: Kernel, arguments: list, modules: tuple = ()) -> bytes:
    archive = Archive()
    for folder in ("bin", "proc", "sys", "dev", "tmp", "disk", "modules"):
        archive.add(folder, 0o40755)
    archive.add("bin/busybox", 0o100755, busybox().read_bytes())
    archive.add("workload", 0o100755, workload().read_bytes())
    archive.add("init", 0o100755, INIT.format(arguments=shlex.join(arguments)).encode())
    order = []
    for path in kernel.load_order([*MODULES, *modules]):
        order.append(path.name.split(".ko")[0] + ".ko")
        archive.add(f"modules/{order[-1]}", 0o100644, module_bytes(path))
    archive.add("modules/order", 0o100644, "\n".join(order).encode() + b"\n")
    return gzip.compress(archive.finish(), compresslevel=1)
