#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What is learnt of a guest's kernel from its dump alone, beside what the guest said of itself: every symbol of the
kernel and its modules, the types of its BTF, as bpftool reads them from a copy that the guest made, the stacks of its
tasks and of the CPU that panicked."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs
from guests.debian import run
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel

KERNELS = ("5.10", "6.1", "6.12", "newest")
STRUCTS = 1500      # so many of a kernel's are compared, task_struct among them
SHOWN = 5           # of what differs

# The guest's own words, on its disk: 5 MB are too much for a serial line.
INIT = initramfs.INIT.replace("/workload", """echo 0 > /proc/sys/kernel/kptr_restrict
cat /proc/kallsyms > /disk/kallsyms
cat /sys/kernel/btf/vmlinux > /disk/btf
cat /sys/kernel/btf/ext4 > /disk/btf-ext4
for task in /proc/[0-9]*; do
    echo "task $(basename $task) $(cat $task/comm)"
    cat $task/stack
done > /disk/stacks
sync
/workload""")


def initrd(of, path: Path) -> None:
    """A second archive takes the place of the first one's /init."""
    archive = initramfs.Archive()
    archive.add("init", 0o100755, INIT.format(arguments="").encode())
    path.write_bytes(initramfs.build(of, []) + gzip.compress(archive.finish(), compresslevel=1))


def from_disk(disk: Path, name: str, into: Path) -> Path:
    path = os.pathsep.join([os.environ.get("PATH", ""), "/sbin", "/usr/sbin"])
    out = into / name
    run(["debugfs", "-R", f"dump /{name} {out}", disk], env={**os.environ, "PATH": path})
    return out


def panic(guest) -> None:
    """Crashes it and lets it stand still: 5.10 has no driver for pvpanic-pci, so it is not paused by itself."""
    guest.tell("panic 0")
    guest._wait(lambda: guest.status() == "guest-panicked" or "end Kernel panic" in guest.console, "panic", 120)
    if guest.status() == "running":
        guest.qmp("stop")


class Tool:
    """tests/builders/symbols_of.cc on one dump."""

    def __init__(self, dump: Path):
        self.words = [os.environ["SYMBOLS_OF"], str(dump)]

    def ask(self, what: str, lines: list = ()) -> list:
        done = subprocess.run([*self.words, what], input="".join(f"{line}\n" for line in lines), text=True,
                              capture_output=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"symbols_of {what}: exit {done.returncode}: {done.stderr}")
        return done.stdout.splitlines()


def difference(what: str, ours: dict, theirs: dict) -> list:
    """Lines that say in what two tables differ; a count and a few of them."""
    keys = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    if not keys:
        return []
    return [f"{len(keys)} of {len(theirs)} {what} differ"] + [
        f"{key}: {ours.get(key)}, the guest says {theirs.get(key)}" for key in keys[:SHOWN]]


def symbols(lines: list) -> dict:
    """Symbols by (address, name, module); those that are made while the kernel runs (BPF, ftrace, kprobes) left out."""
    found = {}
    for line in lines:
        address, kind, name, *module = line.split()
        # No names of addresses: labels of the assembler (is_mapping_symbol()), and per-CPU variables, of which the list has offsets.
        if module and (name.startswith((".L", "L0")) or kind in "aA"):
            continue
        if not module or module[0] not in ("[bpf]", "[__builtin__ftrace]", "[__builtin__kprobes]"):
            # The kernel capitalises letters of a module by what the module exports, which its table does not tell.
            found[address, name, module[0] if module else ""] = kind.lower() if module else kind
    return found


def named_addresses(lines: list) -> list:
    """(address, what the kernel would call it) in some functions of the kernel and of modules, from its own table."""
    table = sorted({(int(line.split()[0], 16), line.split()[2]) for line in lines
                    if "\t" not in line and line.split()[1] in "tTwW"})
    chosen = []
    for (address, name), (end, _) in zip(table[::97], table[1::97]):
        if end > address + 1:
            chosen.append((address + (end - address) // 2, name, address))
    return chosen


def compare_symbols(tool: Tool, said: list) -> list:
    wrong = difference("symbols", symbols(tool.ask("symbols")), symbols(said))
    chosen = named_addresses(said)
    first = {}
    for line in said:
        first.setdefault(int(line.split()[0], 16), line.split()[2])
    for (address, _, begin), text in zip(chosen, tool.ask("names", [f"{address:x}" for address, _, _ in chosen])):
        if text.split("/")[0] != f"{first[begin]}+{address - begin:#x}":
            wrong.append(f"{address:x} is {text}, not {first[begin]}+{address - begin:#x}")
    return wrong[:2 * SHOWN]


def btf_types(path: Path) -> list:
    bpftool = shutil.which("bpftool") or "/usr/sbin/bpftool"
    return json.loads(run([bpftool, "btf", "dump", "file", path, "-j"]))["types"]


def compare_types(tool: Tool, types: list) -> list:
    by_kind = {}
    for each in types:
        by_kind.setdefault((each["kind"], each["name"]), []).append(each)

    def only(kind: str) -> list:
        """Those whose name no other has, in the order of the BTF."""
        return [found[0] for (of, name), found in by_kind.items()
                if of == kind and name != "(anon)" and len(found) == 1]

    structs = [each for each in only("STRUCT") if ("TYPEDEF", each["name"]) not in by_kind]
    step = max(1, len(structs) // STRUCTS)
    chosen = [each for i, each in enumerate(structs) if i % step == 0 or each["name"] in ("task_struct", "module", "rq")]
    wrong = difference("sizes", dict(zip((each["name"] for each in chosen),
                                         tool.ask("types", [each["name"] for each in chosen]))),
                       {each["name"]: str(each["size"]) for each in chosen})
    members = {f"{each['name']}.{member['name']}": f"{member['bits_offset']} {member.get('bitfield_size', 0)}"
               for each in chosen for member in each["members"] if member["name"] != "(anon)"}
    ours = (" ".join(line.split()[:2]) for line in tool.ask("fields", list(members)))
    wrong += difference("members", dict(zip(members, ours)), members)

    values = {}
    for each in types:
        for value in each.get("values", []):
            values.setdefault(value["name"], value["val"])
    some = dict(list(values.items())[::7])
    # bpftool prints negative ones as unsigned numbers of 32 or 64 bits, and does not tell that they are negative.
    ours = dict(zip(some, tool.ask("values", list(some))))
    theirs = {name: ours[name] if ours[name] in (str(value - (1 << 32)), str(value - (1 << 64))) else str(value)
              for name, value in some.items()}
    wrong += difference("enumerators", ours, theirs)

    by_id = {each["id"]: each for each in types}
    functions = only("FUNC")[::11]
    prototypes = {each["name"]: [parameter["name"] for parameter in by_id[each["type_id"]]["params"]]
                  for each in functions}
    ours = ([("(anon)" if part == "..." else part.split()[-1]) for part in line.split(" | ")[1:]]
            for line in tool.ask("functions", list(prototypes)))
    return wrong + difference("prototypes", dict(zip(prototypes, ours)), prototypes)


def stacks_of(lines: list, begins: tuple) -> dict:
    """The lines that follow one of the form "task PID COMM"."""
    found, current = {}, []
    for line in lines:
        if line.startswith(begins):
            _, number, *comm = line.split()
            current = found.setdefault((int(number), " ".join(comm)), [])
        else:
            current.append(line.removeprefix("[<0>] "))
    return found


def scheduler_functions(said: list) -> set:
    """Those that the kernel leaves out of /proc/PID/stack."""
    place = {line.split()[2]: int(line.split()[0], 16) for line in said if "\t" not in line}
    return {name for name, address in place.items() if place["__sched_text_start"] <= address < place["__sched_text_end"]}


def compare_stacks(tool: Tool, stacks: list, said: list) -> list:
    """All are whole; and those that the guest told of a while ago are the same, but for what has gone on since."""
    scheduler = scheduler_functions(said)
    ours = stacks_of(tool.ask("stacks"), ("task ",))
    theirs = stacks_of(stacks, ("task ",))
    wrong = [f"{key}: {frames}" for key, frames in ours.items()
             if not frames or frames[-1].startswith("!")
             or frames[-1].split("+")[0] not in ("ret_from_fork", "ret_from_fork_asm", "entry_SYSCALL_64_after_hwframe",
                                                 "secondary_startup_64", "secondary_startup_64_no_verify", "common_startup_64")]
    both = [key for key in theirs if theirs[key] and key in ours]
    same = [key for key in both
            if [frame for frame in ours[key] if frame.split("+")[0] not in scheduler] == theirs[key]]
    print(f"{len(ours)} stacks, {len(same)} of {len(both)} as before")
    if len(same) * 4 < len(both) * 3:
        key = next(key for key in both if key not in same)
        wrong.append(f"{len(same)} of {len(both)} stacks are as the guest told: {key}: {ours[key]}, not {theirs[key]}")
    return wrong[:SHOWN]


def compare_panic(tool: Tool, console: str) -> list:
    """From panic() on: the frames before it are those of how it printed."""
    def after_panic(frames: list) -> list:
        names = [frame.split("+")[0] for frame in frames]
        return frames[names.index("panic" if "panic" in names else "vpanic") + 1:]

    trace = console[console.index("Call Trace:"):console.index("RIP: ", console.index("Call Trace:"))]
    theirs = [line.split("] ", 1)[1].strip() for line in trace.splitlines()[1:] if "] " in line]
    theirs = [line for line in theirs if re.match(r"[\w.]+\+0x", line)]
    ours = [frame.removesuffix(" <registers>") for frames in stacks_of(tool.ask("cpus"), ("cpu ",)).values()
            for frame in frames if any("panic+" in each for each in frames)]
    try:
        wrong = after_panic(ours) != after_panic(theirs)
    except ValueError:
        wrong = True
    return [f"the stack is {ours}, the console says {theirs}"] if wrong else []


def test(_vmcorectl, _guests: list, findings) -> None:
    for name in KERNELS:
        with scratch_folder() as scratch:
            folder = Path(scratch)
            initrd(kernel(name), folder / "initrd")
            config = Config(name=f"symbols-{name}", kernel=name, memory_mib=768, words=("-initrd", str(folder / "initrd")))
            with Guest(config) as guest:
                panic(guest)
                dump = guest.dump_elf(folder / "dump.elf")
                said = from_disk(guest.folder / "disk", "kallsyms", folder).read_text().splitlines()
                btf = from_disk(guest.folder / "disk", "btf", folder)
                stacks = from_disk(guest.folder / "disk", "stacks", folder).read_text().splitlines()
                console = guest.console
            tool = Tool(dump)
            findings.check(f"{name}: symbols", compare_symbols(tool, said))
            findings.check(f"{name}: types", compare_types(tool, btf_types(btf)))
            findings.check(f"{name}: stacks of tasks", compare_stacks(tool, stacks, said))
            findings.check(f"{name}: the stack of the panic", compare_panic(tool, console))


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
