# SPDX-License-Identifier: GPL-2.0-or-later
"""What drgn and crash know of a dump by the debuginfo of its kernel, in one form: tasks, their states and stacks.

    facts.py DUMP KERNEL     prints it, KERNEL being a name of guests/kernels.py
"""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.kernels import Kernel, fetch_debuginfo, kernel
from peers import readers, tools

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
    frames: list = field(default_factory=list)      # the innermost one first
    error: str = ""         # why the frames end too early

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


def by_drgn(dump: Path, of: Kernel, more: tuple = ()) -> Facts:
    """`more`: files with debuginfo of modules that are not the kernel's own."""
    name = DRGN.get(of.name, "drgn-trixie")
    symbols = [word for path in (fetch_debuginfo(of), *more) for word in ("-s", path)]
    said = readers.checked(name, "-m", "drgn", "-q", "-c", dump, *symbols, SCRIPT, seconds=600).stdout
    known = json.loads(said)
    tasks = [Task(each["pid"], each["comm"], each["state"],
                  [Frame(address, names) for address, _, names in each["frames"]], each.get("error", ""))
             for each in known["tasks"]]
    return Facts({task.key: task for task in tasks}, set(known["modules"]), known["taint"], known["panic_cpu"])


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
