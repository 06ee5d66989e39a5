# SPDX-License-Identifier: GPL-2.0-or-later
"""The processes of a dump under way, found from outside: vmcorectl's own, and libvirt's helper."""

import os
import signal
from pathlib import Path


def processes() -> list:
    """(pid, parent, name, command line) of all."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                parent = int((path / "stat").read_text().rsplit(")", 1)[1].split()[1])
                found.append((int(path.name), parent, (path / "comm").read_text().strip(),
                              (path / "cmdline").read_bytes()))
            except (OSError, IndexError, ValueError):
                pass
    return found


def role(process, vmcorectl: int) -> str:
    pid, parent, name, line = process
    if pid == vmcorectl:
        return "vmcorectl"
    if name in ("vmcore-worker", "vmcore-holder") and parent == vmcorectl:
        return name.removeprefix("vmcore-")
    return "helper" if name.startswith("libvirt_iohelp") and b"/proc/%d/fd/" % vmcorectl in line else ""


def living(vmcorectl: int) -> list:
    """The pids of its job."""
    return [process[0] for process in processes() if role(process, vmcorectl) in ("vmcorectl", "worker", "holder")]


def kill(roles: tuple, vmcorectl: int, number: int = signal.SIGKILL) -> list:
    """Sends those that are there a signal, in that order; their roles."""
    by_role = {}
    for process in processes():
        by_role.setdefault(role(process, vmcorectl), []).append(process[0])
    killed = []
    for name in roles:
        for pid in by_role.get(name, []):
            try:
                os.kill(pid, number)
                killed.append(name)
            except ProcessLookupError:
                pass
    return killed
