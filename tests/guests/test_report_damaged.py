#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What report says of a dump in which the kernel's own tables (kallsyms, BTF, ORC) are damaged, empty, or of another kernel:
less than of the whole dump, and nothing else: no other frame, task, CPU or class.

    test_report_damaged.py --trials 200     of each table and kernel; VMCORECTL_KERNELS="6.1 6.12" chooses kernels
"""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.crash_dumps import dump_of
from guests.debian import run
from guests.harness import run_test, scratch_folder
from guests.kernels import fetch_debuginfo
from guests.test_report import run_report
from peers.kdumpfile import PAGE, ElfFile
from peers.memmap import KERNEL_MAP, Memmap
from peers.stacks import tasks_of

KERNELS = ("5.10", "6.1", "6.12", "newest")
WAY = "null"
TABLES = {
    "kallsyms": (("kallsyms_offsets", "kallsyms_token_index"),),    # the last two are of no length that symbols tell
    "BTF": (("__start_BTF", "__stop_BTF"),),
    "ORC": (("__start_orc_unwind_ip", "__stop_orc_unwind_ip"), ("__start_orc_unwind", "__stop_orc_unwind")),
}
FLIPS = (1, 16, 256, 4096)  # bytes that are changed in one trial
SHOWN = 5


class Tables:
    """Where they lie in the raw dump, by the symbols of the vmlinux."""

    def __init__(self, dump):
        self.raw = ElfFile(dump.raw)
        info = Memmap(self.raw).info
        nm = {name: int(address, 16) for address, _, name in (line.split() for line in run(["nm", fetch_debuginfo(dump.kernel)]).splitlines())}
        moved = int(info["SYMBOL(_stext)"], 16) - nm["_stext"] - KERNEL_MAP + int(info["NUMBER(phys_base)"], 0)
        self.physical = {name: address + moved for name, address in nm.items()}

    def pieces(self, table: str) -> list:
        """(offset in the file, size) of each piece of the table."""
        found = []
        for names in TABLES[table]:
            begin, end = sorted(self.physical[name] for name in names)
            found.append((self.raw.offset_of(begin), end - begin))
        return found


def damage(file, pieces: list, how, chance: random.Random) -> list:
    """Changes some bytes of the table; [(offset, what was there)]."""
    before = []

    def put(at: int, data: bytes) -> None:
        file.seek(at)
        before.append((at, file.read(len(data))))
        file.seek(at)
        file.write(data)

    if how == "page":
        at, size = chance.choice(pieces)
        put(at + chance.randrange(size) // PAGE * PAGE, chance.choice((bytes(PAGE), chance.randbytes(PAGE))))
    else:
        for _ in range(how):
            at, size = chance.choices(pieces, [size for _, size in pieces])[0]
            put(at + chance.randrange(size), chance.randbytes(1))
    file.flush()
    return before


def mend(file, before: list) -> None:
    for at, data in reversed(before):
        file.seek(at)
        file.write(data)
    file.flush()


@dataclass
class Wrong:
    """What a report says that the report of the whole dump does not."""
    lines: list = field(default_factory=list)
    frames: int = 0

    def add(self, what: str, ours, known) -> None:
        if ours is not None and ours != known:
            self.lines.append(f"{what}: {ours}, not {known}")


def words_of(frame: dict) -> tuple:
    return frame.get("function"), frame.get("offset"), frame.get("module")


def compare_stack(what: str, ours: list, known: list, wrong: Wrong) -> None:
    """Every frame that is said for sure is one of the whole stack, by address and name, in its order."""
    left = iter(known)
    for frame in ours:
        wrong.frames += 1
        if frame.get("guessed"):
            break
        same = next((each for each in left if each["address"] == frame["address"]), None)
        if same is None:
            wrong.lines.append(f"{what}: {frame['address']} {words_of(frame)} is no frame of it, or not there")
            break
        if "function" in frame and words_of(frame) != words_of(same):
            wrong.lines.append(f"{what}: {words_of(frame)}, not {words_of(same)}")


def compare(report: dict, whole: dict) -> Wrong:
    wrong = Wrong()
    for key in ("release", "build_id"):
        wrong.add(key, report["kernel"].get(key), whole["kernel"].get(key))
    ours, known = report["panic"], whole["panic"]
    for key in ("class", "cpu"):
        wrong.add(key, ours.get(key), known.get(key))
    for key in ("pid", "comm"):
        wrong.add(f"task's {key}", ours.get("task", {}).get(key), known.get("task", {}).get(key))
    tasks = tasks_of(whole)
    for key, task in tasks_of(report).items():
        same = tasks.get(key)
        if same is None:
            wrong.lines.append(f"no such task: {task}")
            continue
        for what in ("comm", "state"):
            wrong.add(f"task {same['pid']} {what}", task.get(what), same.get(what))
        if "stack" in task and "stack" in same:
            compare_stack(f"task {same['pid']}", report["stacks"][task["stack"]]["frames"], whole["stacks"][same["stack"]]["frames"], wrong)
    for module in report["modules"].get("list", []):
        if module["name"] not in {each["name"] for each in whole["modules"]["list"]}:
            wrong.lines.append(f"no such module: {module['name']}")
    return wrong


def try_one(vmcorectl, dump: Path, whole: dict, what: str) -> list:
    done = subprocess.run([vmcorectl.path, "report", dump, "--output", "json", "--quiet"], capture_output=True, timeout=120)
    if done.returncode not in (0, 3):
        return [f"{what}: exit {done.returncode}: {done.stderr.decode()[-500:]}"]
    report = json.loads(done.stdout)
    wrong = compare(report, whole)
    return [f"{what}: {line}" for line in wrong.lines[:SHOWN]]


def test_kernel(vmcorectl, name: str, trials: int, folder: Path, findings) -> None:
    dump = dump_of(name, WAY)
    copy = folder / "dump.elf"
    run(["cp", "--sparse=always", dump.raw, copy])
    whole = run_report(vmcorectl, copy)
    tables = Tables(dump)
    with open(copy, "r+b", buffering=0) as file:
        for table in TABLES:
            wrong, hit = [], 0
            for number in range(trials):
                how = (*FLIPS, "page")[number % (len(FLIPS) + 1)]
                before = damage(file, tables.pieces(table), how, random.Random(f"{name} {table} {number}"))
                said = try_one(vmcorectl, copy, whole, f"trial {number} ({how})")
                mend(file, before)
                wrong += said
                hit += bool(said)
            print(f"{name}: {table}: {trials} trials, {hit} with something wrong", flush=True)
            findings.check(f"{name}: {table}", wrong)


def test(vmcorectl, trials: int, findings) -> None:
    for name in os.environ.get("VMCORECTL_KERNELS", "").split() or KERNELS:
        with scratch_folder() as scratch:
            test_kernel(vmcorectl, name, trials, Path(scratch), findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__, trials=200))
