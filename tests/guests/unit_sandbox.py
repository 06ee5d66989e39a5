#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a program as systemd would run that of a unit, on a machine without systemd: with the unit's system calls, without
memory that can be written and executed, with its capabilities, read-only files and hidden homes. Run it as root.

    unit_sandbox.py UNIT [--show FROM=TO]... -- PROGRAM WORDS...

--show lets the program see the folder FROM at TO, below /opt, /run, /var/lib or /usr/lib/debug, which hold nothing else then.
What is below the unit's folders of state, and what it names as ReadWritePaths=, can be written to.

Devices, cgroups, limits and the host name are not confined.
"""

import argparse
import ctypes
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

ALLOW, REFUSE = 0x7FFF0000, 0x00050000
EQUAL, MASKED_EQUAL = 4, 7
PROT_WRITE, PROT_EXEC, SHM_EXEC = 2, 4, 0o100000
PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP = 38, 24
CLONE_NEWNS = 0x00020000
NAMESPACES = {"cgroup": 0x02000000, "ipc": 0x08000000, "mnt": CLONE_NEWNS, "net": 0x40000000, "pid": 0x20000000, "user": 0x10000000,
              "uts": 0x04000000, "time": 0x80}
FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_VSOCK": 40}
MOUNT_SETATTR, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, 0x8000, 1
EMPTY = ("/opt", "/run", "/var/lib", "/usr/lib/debug", "/tmp")      # each a file system of its own
HOMES = ("/root", "/home")
TUNABLES = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/latency_stats", "/proc/mtrr", "/proc/scsi")

libc = ctypes.CDLL(None, use_errno=True)


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno() or -result, what)


class Filter:
    """A seccomp filter, by libseccomp."""

    def __init__(self, otherwise: int):
        self.library = ctypes.CDLL("libseccomp.so.2")
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.library.seccomp_init(ctypes.c_uint32(otherwise)))

    def add(self, action: int, call: str, *compare: tuple) -> None:
        """A call that this machine does not have is left out."""
        number = self.library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return
        array = (Comparison * max(1, len(compare)))(*(Comparison(*each) for each in compare))
        check(self.library.seccomp_rule_add_array(self.context, ctypes.c_uint32(action), number, len(compare), array), call)

    def load(self) -> None:
        check(self.library.seccomp_load(self.context), "seccomp")


def settings_of(unit: Path) -> dict:
    """Words by setting; what is set several times adds up."""
    found = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.M):
        found.setdefault(name, []).extend(value.split())
    return found


def calls_of(words: list) -> set:
    calls = set()
    for word in words:
        if word.startswith("@"):
            text = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True).stdout
            calls |= calls_of([line.strip() for line in text.splitlines()[1:] if line.strip() and not line.strip().startswith("#")])
        else:
            calls.add(word)
    return calls


def filters_of(settings: dict) -> list:
    """In the order in which they are loaded: the last one has the calls that load filters."""
    special = Filter(ALLOW)
    if settings["MemoryDenyWriteExecute"] == ["yes"]:
        special.add(REFUSE | errno.EPERM, "mmap", (2, MASKED_EQUAL, PROT_EXEC | PROT_WRITE, PROT_EXEC | PROT_WRITE))
        special.add(REFUSE | errno.EPERM, "mprotect", (2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
        special.add(REFUSE | errno.EPERM, "pkey_mprotect", (2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
        special.add(REFUSE | errno.EPERM, "shmat", (2, MASKED_EQUAL, SHM_EXEC, SHM_EXEC))
    for name, flag in NAMESPACES.items():
        if name not in settings["RestrictNamespaces"]:
            special.add(REFUSE | errno.EPERM, "unshare", (0, MASKED_EQUAL, flag, flag))
            special.add(REFUSE | errno.EPERM, "clone", (0, MASKED_EQUAL, flag, flag))
    special.add(REFUSE | errno.ENOSYS, "clone3")
    known = {FAMILIES[name] for name in settings["RestrictAddressFamilies"]}
    for family in set(range(46)) - known:
        special.add(REFUSE | errno.EAFNOSUPPORT, "socket", (0, EQUAL, family, 0))
    calls = Filter(REFUSE | errno.EPERM)
    for call in sorted(calls_of(settings["SystemCallFilter"])):
        calls.add(ALLOW, call)
    return [special, calls]


def drop_capabilities(kept: list) -> None:
    numbers = {name: int(number) for name, number in
               re.findall(r"^#define (CAP_\w+)\s+(\d+)$", Path("/usr/include/linux/capability.h").read_text(), re.M)}
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for name, number in numbers.items():
        if name not in kept and number <= last:
            check(libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0), name)


def mount(*words) -> None:
    subprocess.run(["mount", *map(str, words)], check=True)


def read_only(path: str, whether: bool) -> None:
    flags = ((MOUNT_ATTR_RDONLY, 0) if whether else (0, MOUNT_ATTR_RDONLY))
    attributes = (ctypes.c_uint64 * 4)(*flags, 0, 0)
    check(libc.syscall(MOUNT_SETATTR, -100, path.encode(), AT_RECURSIVE, attributes, ctypes.sizeof(attributes)), f"{path}: read-only")


def arrange_files(settings: dict, shown: list) -> None:
    check(libc.unshare(CLONE_NEWNS), "unshare")
    mount("--make-rprivate", "/")
    shown = [(os.open(source, os.O_PATH), target) for source, target in shown]      # before it is hidden
    for folder in EMPTY:
        mount("-t", "tmpfs", "-o", "mode=1777" if folder == "/tmp" else "mode=0755", "tmpfs", folder)
    for source, target in shown:
        Path(target).mkdir(parents=True, exist_ok=True)
        mount("--bind", f"/proc/{os.getpid()}/fd/{source}", target)
    writable = {word.removeprefix("-") for word in settings["ReadWritePaths"]}
    writable |= {f"/var/lib/{name}" for name in settings["StateDirectory"]} | {f"/run/{name}" for name in settings["RuntimeDirectory"]}
    for path in sorted(writable):
        Path(path).mkdir(parents=True, exist_ok=True)
        mount("--bind", path, path)
    for home in HOMES:
        mount("-t", "tmpfs", "-o", "mode=0000", "tmpfs", home)
    read_only("/", True)
    for path in ("/proc", "/dev", "/tmp", *writable):
        read_only(path, False)
    for source, target, how in (word.split(":") for word in settings["BindReadOnlyPaths"]):
        assert how == "norbind", how
        Path(target).mkdir(parents=True, exist_ok=True)
        mount("--bind", source, target)
        read_only(target, True)
    for path in TUNABLES:
        if os.path.exists(path):
            mount("--bind", path, path)
            read_only(path, True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a program as systemd would run that of a unit.")
    parser.add_argument("unit", type=Path)
    parser.add_argument("--show", action="append", default=[], type=lambda text: tuple(text.split("=", 1)))
    parser.add_argument("words", nargs="+")
    options = parser.parse_args()
    settings = settings_of(options.unit)
    filters = filters_of(settings)
    arrange_files(settings, options.show)
    drop_capabilities(settings["CapabilityBoundingSet"])
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    os.chdir("/")
    os.umask(0o077)
    for each in filters:
        each.load()
    os.execv(options.words[0], options.words)


if __name__ == "__main__":
    sys.exit(main())
