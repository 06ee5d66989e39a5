#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What report says of a dump in which the kernel's own tables (kallsyms, BTF, ORC) are damaged, empty, or of another kernel:
less than of the whole dump, and nothing else: no other frame, task, CPU or class.

    test_report_damaged.py --trials 200     of each table and kernel; VMCORECTL_KERNELS="6.1 6.12" chooses kernels
"""

import json
import os
import random
import struct
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
from peers.stacks import frames_of, tasks_of

KERNELS = ("5.10", "6.1", "6.12", "newest")
OTHER = {"5.10": "6.1", "6.1": "5.10", "6.12": "6.1", "newest": "6.12"}
WAY = "null"
EXIT_INCOMPLETE = 3
MOST_NAMES = 20     # in one of so many trials a name may have other letters
KALLSYMS_END = ("kallsyms_relative_base", "kallsyms_seqs_of_names")     # the first one that a kernel has is behind the offsets
TABLES = {
    "kallsyms": (("kallsyms_num_syms", "kallsyms_token_index"), ("kallsyms_offsets", KALLSYMS_END)),
    "BTF": (("__start_BTF", "__stop_BTF"),),
    "structs": (),      # the part of the BTF that matters most
    "ORC": (("__start_orc_unwind_ip", "__stop_orc_unwind_ip"), ("__start_orc_unwind", "__stop_orc_unwind")),
}
STRUCTS = ("task_struct", "signal_struct", "thread_struct", "inactive_task_frame", "list_head")
# What one trial changes: so many bytes; or a page, that is empty or of something else.
DAMAGES = (1, 16, 256, 4096, "page")
SHOWN = 5
STRUCT, KINDS = 4, {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0), 15: (0, 12), 17: (4, 0), 19: (0, 12)}


def struct_places(btf: bytes, names: tuple) -> list:
    """(offset, size) of these structs in a BTF: 12 bytes, then 12 for each member (Documentation/bpf/btf.rst)."""
    _, _, _, header, types, types_size, strings, _ = struct.unpack_from("<HBBIIIII", btf)
    wanted, found = {name.encode() for name in names}, []
    at, end = header + types, header + types + types_size
    while at < end:
        name, info, _ = struct.unpack_from("<III", btf, at)
        kind, count = info >> 24 & 0x7f, info & 0xffffff
        fixed, each = KINDS.get(kind, (0, 0))
        size = 12 + fixed + each * count
        text = header + strings + name
        if kind == STRUCT and btf[text:btf.index(b"\0", text)] in wanted:
            found.append((at, size))
        at += size
    return found


class Tables:
    """Where they lie in the raw dump, by the symbols of the vmlinux."""

    def __init__(self, dump):
        self.raw = ElfFile(dump.raw)
        info = Memmap(self.raw).info
        nm = {name: int(address, 16) for address, _, name in (line.split() for line in run(["nm", fetch_debuginfo(dump.kernel)]).splitlines())}
        moved = int(info["SYMBOL(_stext)"], 16) - nm["_stext"] - KERNEL_MAP + int(info["NUMBER(phys_base)"], 0)
        self.physical = {name: address + moved for name, address in nm.items()}

    def place(self, names) -> int:
        return self.physical[names] if isinstance(names, str) else next(self.physical[name] for name in names if name in self.physical)

    def pieces(self, table: str) -> list:
        """(offset in the file, size) of each piece of the table."""
        if table == "structs":
            at, size = self.pieces("BTF")[0]
            return [(at + offset, length) for offset, length in struct_places(self.raw.bytes_at(at, size), STRUCTS)]
        return [(self.raw.offset_of(self.place(begin)), self.place(end) - self.place(begin)) for begin, end in TABLES[table]]

    def content(self, table: str) -> list:
        return [self.raw.bytes_at(at, size) for at, size in self.pieces(table)]


class Damaged:
    """Within the block the file is changed: [(offset, bytes)]."""

    def __init__(self, file, changes: list):
        self.file, self.changes, self.before = file, changes, []

    def put(self, at: int, data: bytes) -> bytes:
        self.file.seek(at)
        before = self.file.read(len(data))
        self.file.seek(at)
        self.file.write(data)
        return before

    def __enter__(self):
        self.before = [(at, self.put(at, data)) for at, data in self.changes]

    def __exit__(self, *_unused):
        for at, data in reversed(self.before):
            self.put(at, data)


def changes_of(pieces: list, how, chance: random.Random) -> list:
    if how == "page":
        at, size = chance.choice(pieces)
        length = min(PAGE, size)
        return [(at + chance.randrange(size - length + 1), chance.choice((bytes(length), chance.randbytes(length))))]
    chosen = chance.choices(pieces, [size for _, size in pieces], k=min(how, sum(size for _, size in pieces) // 4))
    return [(at + chance.randrange(size), chance.randbytes(1)) for at, size in chosen]


def replaced(pieces: list, contents: list) -> list:
    """All of a table, by something else; what is left over is empty."""
    return [(at, content[:size].ljust(size, b"\0")) for (at, size), content in zip(pieces, contents)]


@dataclass
class Said:
    """What a report says that the report of the whole dump does not say; and what it says."""
    wrong: list = field(default_factory=list)
    names: int = 0      # of frames whose place is right, but whose name has other letters
    frames: int = 0

    def compare(self, what: str, ours, known) -> None:
        if ours is not None and ours != known:
            self.wrong.append(f"{what}: {ours}, not {known}")


def compare_stack(what: str, ours: list, known: list, said: Said) -> None:
    """Every frame that is said for sure is one of the whole stack, in its order. The letters of a name stand in memory once."""
    left = iter(known)
    for frame in ours:
        if frame.get("guessed"):
            return
        said.frames += 1
        same = next((each for each in left if each["address"] == frame["address"]), None)
        if same is None:
            said.wrong.append(f"{what}: {frame['address']} {frame.get('function')} is no frame of it, or not there")
            return
        if "function" in frame:
            said.compare(f"{what}: {frame['function']}", (frame["offset"], frame.get("module")), (same.get("offset"), same.get("module")))
            said.names += frame["function"] != same.get("function")


def compare(report: dict, whole: dict) -> Said:
    said = Said()
    for section, keys in (("kernel", ("release", "build_id")), ("panic", ("class", "message", "cpu"))):
        for key in keys:
            said.compare(key, report[section].get(key), whole[section].get(key))
    for key in ("pid", "comm"):
        said.compare(f"the task's {key}", report["panic"].get("task", {}).get(key), whole["panic"]["task"][key])
    tasks = tasks_of(whole)
    for key, task in tasks_of(report).items():
        if key not in tasks:
            said.wrong.append(f"no such task: {task}")
            continue
        for what in ("comm", "state"):
            said.compare(f"task {task['pid']}: {what}", task.get(what), tasks[key].get(what))
        compare_stack(f"task {task['pid']}", frames_of(report, task), frames_of(whole, tasks[key]), said)
    modules = {each["name"] for each in whole["modules"]["list"]}
    said.wrong += [f"no such module: {each['name']}" for each in report["modules"].get("list", ()) if each["name"] not in modules]
    return said


class Trials:
    """Of one table: what the reports said that the whole one did not."""

    def __init__(self, vmcorectl, dump: Path, whole: dict):
        self.vmcorectl, self.dump, self.whole = vmcorectl, dump, whole
        self.count = self.with_names = self.frames = 0
        self.wrong = []

    def run(self, what: str) -> None:
        done = subprocess.run([self.vmcorectl.path, "report", self.dump, "--output", "json", "--quiet"], capture_output=True, timeout=120)
        self.count += 1
        if done.returncode not in (0, EXIT_INCOMPLETE):
            self.wrong.append(f"{what}: exit {done.returncode}: {done.stderr.decode()[-500:]}")
            return
        said = compare(json.loads(done.stdout), self.whole)
        self.frames += said.frames
        self.with_names += said.names != 0
        self.wrong += [f"{what}: {line}" for line in said.wrong[:SHOWN]]


def test_kernel(vmcorectl, name: str, trials: int, folder: Path, findings) -> None:
    dump, other = dump_of(name, WAY), dump_of(OTHER[name], WAY)
    copy = folder / "dump.elf"
    run(["cp", "--sparse=always", dump.raw, copy])
    whole = run_report(vmcorectl, copy)
    guesses = [frame for stack in whole["stacks"] for frame in stack["frames"] if frame.get("guessed")]
    findings.check(f"{name}: the whole dump", [f"guessed: {guesses[:SHOWN]}"] if guesses else [])
    tables, others = Tables(dump), Tables(other)
    with open(copy, "r+b", buffering=0) as file:
        for table in TABLES:
            pieces, done = tables.pieces(table), Trials(vmcorectl, copy, whole)
            for number in range(trials):
                how, chance = DAMAGES[number % len(DAMAGES)], random.Random(f"{name} {table} {number}")
                with Damaged(file, changes_of(pieces, how, chance)):
                    done.run(f"trial {number} ({how})")
            for what, contents in (("empty", [b""] * len(pieces)), ("noise", [random.Random(0).randbytes(size) for _, size in pieces]),
                                   (f"of {OTHER[name]}", others.content(table))):
                with Damaged(file, replaced(pieces, contents)):
                    done.run(what)
            print(f"{name}: {table}: {done.count} trials, {done.frames} frames said, {len(done.wrong)} things wrong, "
                  f"other letters in a name in {done.with_names}", flush=True)
            many = [f"other letters in {done.with_names} of {done.count}"] if done.with_names * MOST_NAMES > done.count else []
            findings.check(f"{name}: {table}", done.wrong + many)


def test(vmcorectl, trials: int, findings) -> None:
    for name in os.environ.get("VMCORECTL_KERNELS", "").split() or KERNELS:
        with scratch_folder() as scratch:
            test_kernel(vmcorectl, name, trials, Path(scratch), findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__, trials=200))
