# SPDX-License-Identifier: GPL-2.0-or-later
"""What drgn and crash know of a dump by the debuginfo of its kernel, in one form: tasks, their states and stacks.

    facts.py DUMP KERNEL     prints it, KERNEL being a name of guests/kernels.py
"""

import bisect
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs
from guests.debian import run
from guests.kernels import Kernel, fetch_debuginfo, fetch_module_debuginfo, kernel
from peers import readers

SCRIPT = Path(__file__).resolve().parent / "drgn_facts.py"
# drgn of a suite knows the kernels of that suite, and older ones.
DRGN = {"newest": "drgn-newest"}


@dataclass
class Frame:
    address: int
    names: dict             # name -> offset: functions may have several names

    def __str__(self) -> str:
        return " = ".join(f"{name}+{offset:#x}" for name, offset in self.names.items()) or f"{self.address:#x}"


@dataclass
class Task:
    pid: int
    comm: str
    state: str              # as /proc/PID/stat has it
    frames: list = field(default_factory=list)      # without inlined functions, the innermost one first
    error: str = ""         # why the frames end too early, if they do

    @property
    def key(self) -> tuple:
        """Idle tasks share a pid."""
        return (self.pid, self.comm) if self.pid == 0 else (self.pid, "")


@dataclass
class Facts:
    tasks: dict             # by key
    modules: set
    taint: int
    panic_cpu: int
    log: str                # as dmesg prints it


def by_drgn(dump: Path, of: Kernel, more: tuple = ()) -> Facts:
    """`more`: files with debuginfo of modules that are not the kernel's own."""
    name = DRGN.get(of.name, "drgn-trixie")
    vmlinux = fetch_debuginfo(of)
    files = [word for path in (vmlinux, *fetch_module_debuginfo(of, initramfs.MODULES), *more) for word in ("-s", path)]
    known = json.loads(readers.checked(name, "-m", "drgn", "-q", "-c", dump, *files, SCRIPT, seconds=600).stdout)
    symbols = all_names(vmlinux, known["text"])
    tasks = [Task(each["pid"], each["comm"], each["state"],
                  [Frame(address, {**names, **symbols(address)}) for address, names in each["frames"]], each.get("error", ""))
             for each in known["tasks"]]
    for task in tasks:
        # The initial part of a module, until it is loaded: drgn finds no debuginfo for it, and stops.
        if task.frames and not task.frames[-1].names:
            task.error = f"it does not know {task.frames.pop()}"
    return Facts({task.key: task for task in tasks}, set(known["modules"]), known["taint"], known["panic_cpu"], known["log"])


def all_names(vmlinux: Path, text: int):
    """A function: more names of a frame. drgn leaves out labels, of which the kernel's own traces have some
    (entry_SYSCALL_64_after_hwframe)."""
    table = [line.split() for line in run(["nm", vmlinux]).splitlines()]
    bounds = {name: int(address, 16) for address, _, name in table if name in ("_text", "_end")}
    moved, by_address = text - bounds["_text"], {}
    for address, kind, name in table:
        if kind in "tT":
            by_address.setdefault(int(address, 16) + moved, []).append(name)
    places = sorted(by_address)

    def symbols(address: int) -> dict:
        if not text < address < bounds["_end"] + moved:
            return {}
        place = places[bisect.bisect_left(places, address) - 1]     # of a return address: before it
        return {name: address - place for name in by_address[place]}

    return symbols


def by_crash(dump: Path, of: Kernel) -> dict:
    """The tasks by crash, by key. Its states are those of `ps`."""
    said = readers.crash(dump, of, ("ps", "foreach bt -sx"))
    tasks = {}
    for line in said["ps"].splitlines():
        found = re.match(r"[> ]*(\d+) +\d+ +\d+ +[0-9a-f]{16} +(\w\w) +[\d.]+ +\d+ +\d+ +(.*)", line)
        if found:
            task = Task(int(found[1]), found[3].strip("[]"), found[2])
            tasks[task.key] = task
    task = None
    for line in said["foreach bt -sx"].splitlines():
        if head := re.match(r'PID: (\d+) .*COMMAND: "(.*)"', line):
            pid = int(head[1])
            task = tasks.get((pid, head[2]) if pid == 0 else (pid, ""))
        elif task is not None:
            task.frames += crash_frames(line)
    return tasks


def crash_frames(line: str) -> list:
    if call := re.match(r" *#\d+ \[[0-9a-f]+\] ([\w.]+)\+(?:0x)?([0-9a-f]+) at ([0-9a-f]+)", line):
        return [Frame(int(call[3], 16), {call[1]: int(call[2], 16)})]
    if exception := re.match(r" *\[exception RIP: ([\w.]+)\+(?:0x)?([0-9a-f]+)\]", line):
        return [Frame(0, {exception[1]: int(exception[2], 16)})]
    return []


def main() -> int:
    dump, of = Path(sys.argv[1]), kernel(sys.argv[2])
    for task in by_drgn(dump, of).tasks.values():
        print(f"{task.pid} {task.comm} {task.state} {task.error}")
        for frame in task.frames:
            print(f"    {frame}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
