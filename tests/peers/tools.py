#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The independent tools that vmcorectl is measured against, as they come from Debian.

Most peers must be newer than Debian 12's: they are unpacked, with their own C library, into the cache
and run there through that library's ld.so. `tools.py NAME...` fetches and prints the version of each.
"""

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.cache import cache_dir, lock, new_folder
from guests.debian import Suite

# name -> (package, suite, program)
ORIGINS = {
    "makedumpfile": ("makedumpfile", "sid", "makedumpfile"),     # 1.7.8: the first that understands 6.12 to 7.0
    "libvirt-newest": ("libvirt-daemon-driver-qemu", "sid", "virtqemud"),
    "makedumpfile-1.7.2": ("makedumpfile", "bookworm", "makedumpfile"),
    "bpftool": ("bpftool", "sid", "bpftool"),
    "chromium": ("chromium-headless-shell", "bookworm", ""),     # run by peers/browser.py
    "crash": ("crash", "trixie", "crash"),                # 8.0.6: knows 6.4's module_memory
    "crash-bookworm": ("crash", "bookworm", "crash"),
    "drgn": ("python3-drgn", "bookworm", "python3"),        # 0.0.22
    "drgn-trixie": ("python3-drgn", "trixie", "python3"),   # 0.0.31
    "drgn-newest": ("python3-drgn", "sid", "python3"),
    "guest-agent": ("qemu-guest-agent", "bookworm", "qemu-ga"),     # what runs in a guest
    "kexec": ("kexec-tools", "bookworm", "kexec"),
    "libkdumpfile": ("python3-libkdumpfile", "bookworm", "python3"),
    "ovmf": ("ovmf", "bookworm", ""),       # firmware, which QEMU runs
    "qemu-5.2": ("qemu-system-x86", "bullseye", "qemu-system-x86_64"),
    "qemu-10.0": ("qemu-system-x86", "trixie", "qemu-system-x86_64"),
    "qemu-newest": ("qemu-system-x86", "sid", "qemu-system-x86_64"),
}
LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")


def root(name: str) -> Path:
    """The folder that holds a peer and all it needs; fetched if the cache has none."""
    package, suite, _ = ORIGINS[name]
    folder = cache_dir("peers") / f"{package}-{suite}"
    with lock(f"peer-{folder.name}"):
        if not folder.exists():
            with new_folder(folder) as partial:
                Suite(suite).update()
                Suite(suite).fetch_with_dependencies(partial, package)
    return folder


def command(name: str) -> list:
    """The words that run a peer's program: its own loader, its own libraries."""
    folder = root(name)
    program = ORIGINS[name][2]
    binary = next(path for path in (folder / "usr/sbin" / program, folder / "usr/bin" / program, folder / "sbin" / program)
                  if path.exists())
    loader = next(path for base in ("lib64", "usr/lib64", "lib/x86_64-linux-gnu")
                  for path in [folder / base / "ld-linux-x86-64.so.2"] if path.exists())
    libraries = ":".join(str(folder / base) for base in LIBRARIES)
    return [str(loader), "--library-path", libraries, str(binary)]


def environment(name: str) -> dict:
    """Python peers must find their own standard library."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "dumb", "PYTHONHOME": str(root(name) / "usr"),
            "PYTHONPATH": str(root(name) / "usr/lib/python3/dist-packages"), "DEBUGINFOD_URLS": ""}


def run(name: str, *words, seconds: float = 300) -> subprocess.CompletedProcess:
    """Runs a peer without input. The caller judges its exit code."""
    return subprocess.run([*command(name), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=seconds, env=environment(name))


def main() -> int:
    for name in sys.argv[1:] or ["makedumpfile"]:
        print(f"{name}: {' '.join(command(name))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
