#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""report --symbols beside addr2line -i for each frame of each stack, of vmlinux and of modules; beside crash's bt -l for the
task that panicked; the values of arguments beside drgn's; and a vmlinux whose debug information dwz has moved to an alternate file.

    VMCORECTL_SYMBOLS="6.1 dwz"     these parts
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import crash_dumps, crasher, initramfs
from guests.debian import run
from guests.harness import run_test, scratch_folder
from guests.kernels import fetch_debuginfo, fetch_module_debuginfo, kernel
from peers import readers, tools

PARTS = ("6.1", "6.12", "newest", "dwz")
WAYS = ("sysrq", "null", "arguments")
BY_CRASH = ("6.1", "6.12")      # crash 8.0.6 reads them
DRGN = {"6.1": "drgn-trixie", "6.12": "drgn-trixie", "newest": "drgn-newest"}
# The innermost function at each code address of the thread that crashed, with what it knows of the values of its locals.
BY_DRGN = """import json, os
from drgn import sizeof
frames = []
for frame in prog.crashed_thread().stack_trace():
    if frames and frames[-1]["pc"] == frame.pc:
        continue            # into which that was inlined
    known = {}
    for name in frame.locals():
        try:
            value = frame[name]
            known[name] = None if value.absent_ else value.value_() & ((1 << 8 * sizeof(value)) - 1)
        except (TypeError, ValueError, LookupError) as error:
            known[name] = f"{type(error).__name__}: {error}"
    frames.append({"pc": frame.pc, "name": frame.name, "known": known})
with open(os.environ["OUT"], "w") as out:
    json.dump(frames, out)
"""
# Of the way "arguments": crasher.c. The last one is needed no more at the fault, and its register has another value.
FILL = {"where": 0x18, "count": 0x5eed, "step": 3}


def own_cache(folder: Path) -> dict:
    known = {key: value for key, value in os.environ.items() if not key.startswith(("DEBUGINFOD", "XDG_"))}
    return {**known, "HOME": str(folder)}


def report(vmcorectl, folder: Path, dump: Path, files: list) -> dict:
    words = [word for path in files for word in ("--from", str(path))]
    done = subprocess.run([vmcorectl.path, "report", "--symbols", *words, "--output", "json", dump], cwd=folder, env=own_cache(folder),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800)
    if done.returncode not in (0, 3):
        raise RuntimeError(f"report --symbols: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def kaslr_of(vmcorectl, dump: Path) -> int:
    offset = json.loads(run([vmcorectl.path, "info", dump, "--output", "json"]))["kernel"]["kaslr_offset"]
    return int(offset, 16) if isinstance(offset, str) else offset


def place(text: str) -> tuple:
    """What all name of "/build/linux/kernel/panic.c:12 (discriminator 3)": the file alone, and the line."""
    path, _, line = text.strip().split(" ")[0].rpartition(":")
    return Path(path).name, line


def chains(file: Path, addresses: list, section: str = "") -> dict:
    """address -> what addr2line -i says: (function, file, line), the innermost first."""
    addresses, words, found = sorted(set(addresses)), ["-j", section] if section else [], {}
    # With -a the address stands before its chain.
    text = run(["addr2line", "-a", "-i", "-f", *words, "-e", file, *(hex(each) for each in addresses)]) if addresses else ""
    chain, function = [], None
    for line in text.splitlines():
        if re.fullmatch(r"0x[0-9a-f]{16}", line):
            chain = found.setdefault(int(line, 16), [])
            function = None
        elif function is None:
            function = line
        else:
            chain.append((function, *place(line)))
            function = None
    return found


class ModuleFile:
    """The functions of a file that is not linked yet, by section."""

    def __init__(self, path: Path):
        self.path, self.places = path, {}
        for line in run(["objdump", "-t", path]).splitlines():
            if found := re.match(r"([0-9a-f]{16}) .{7} (\.\S+)\t[0-9a-f]{16}(?: \S+)? (\S+)$", line):
                self.places.setdefault(found[3], []).append((found[2], int(found[1], 16)))


def ours_of(frame: dict) -> list:
    return [(line["function"], *place(f"{line['file']}:{line['line']}")) for line in frame.get("lines", [])]


def unlike(frame: dict, theirs: list) -> list:
    """The linker's name of a part of a function is no name in DWARF; of what has no line both say nothing."""
    ours = ours_of(frame)
    nothing = not ours and all(line in ("?", "0") for _, _, line in theirs)
    return [] if ours == theirs or nothing else [f"{frame.get('module', 'vmlinux')}: {frame['function']}+{frame['offset']:#x}: {ours}, "
                                                 f"addr2line {theirs}"]


def call_before(frame: dict) -> int:
    return 0 if frame.get("exact") else 1


def by_addr2line(frames: list, files: dict, kaslr: int) -> tuple:
    """Lines of what differs, and how many frames of each file were compared."""
    wrong, counts = [], {}
    of_kernel = [frame for frame in frames if "module" not in frame]
    chain_of = chains(files[""], [int(frame["address"], 16) - kaslr - call_before(frame) for frame in of_kernel])
    for frame in of_kernel:
        wrong += unlike(frame, chain_of[int(frame["address"], 16) - kaslr - call_before(frame)])
    counts["vmlinux"] = len(of_kernel)
    for module in sorted({frame["module"] for frame in frames if "module" in frame}):
        if module not in files:
            continue
        file = ModuleFile(files[module])
        for frame in (frame for frame in frames if frame.get("module") == module):
            at = file.places.get(frame["function"], [])
            if len(at) == 1:     # of several functions with one name this does not know which is meant
                (section, begin), = at
                address = begin + frame["offset"] - call_before(frame)
                wrong += unlike(frame, chains(file.path, [address], section)[address])
                counts[module] = counts.get(module, 0) + 1
    return wrong, counts


def lines_behind(frame: dict, files: dict, kaslr: int) -> list:
    """Where the code behind the frame's call is, by addr2line."""
    if "module" not in frame:
        address = int(frame["address"], 16) - kaslr
        found = chains(files[""], [address])[address]
    else:
        file = ModuleFile(files[frame["module"]])
        section, begin = file.places[frame["function"]][0]
        address = begin + frame["offset"]
        found = chains(file.path, [address], section)[address] + rows_at(file.path, address)
    return [(file, line) for _, file, line in found]


def rows_at(path: Path, address: int) -> list:
    """Several lines may begin at one address; gdb, and so crash, takes another one of these than addr2line."""
    rows = re.findall(rf"^(\S+) +(\d+) +{address:#x}\b", run(["readelf", "-wL", path]), re.M)
    return [("", Path(file).name, line) for file, line in rows]


def by_crash(frames: list, dump: Path, of, files: dict, kaslr: int) -> tuple:
    """The same of the task that panicked by crash. It names the line behind the call of a return address, or that of the call,
    and of inlined functions only one."""
    loads = [f"mod -s {name} {path}" for name, path in files.items() if name and any(frame.get("module") == name for frame in frames)]
    text = readers.crash(dump, of, (*loads, "bt -l"))["bt -l"]
    said = {int(at, 16): place(line) for at, line in re.findall(r"^ *#\d+ \[[0-9a-f]+\] \S+ at ([0-9a-f]+)(?: \[\S+\])?\n +(/\S+: \d+|\S+:\d+.*)$",
                                                                text.replace(".c: ", ".c:").replace(".S: ", ".S:").replace(".h: ", ".h:"), re.M)}
    wrong, same, behind = [], 0, 0
    for frame in frames:
        address = int(frame["address"], 16)
        ours = [where for _, *where in map(list, ours_of(frame))]
        if address not in said:
            continue
        if list(said[address]) in ours:
            same += 1
        elif said[address] in lines_behind(frame, files, kaslr):
            behind += 1
        else:
            wrong.append(f"{frame['function']}: {ours}, crash {said[address]}")
    print(f"bt -l: {len(said)} lines, {same} are lines of the frame, {behind} the line behind its call\n{text}", flush=True)
    return wrong, same + behind


def arguments_of(told: dict) -> dict:
    """Other frames may have arguments whose location is a constant."""
    found = [frame["arguments"] for stack in told["stacks"] for frame in stack["frames"] if frame.get("function") == "fill" and frame.get("arguments")]
    return {each["name"]: (each["type"], number(each["value"])) for each in (found[0] if found else [])}


def number(value) -> int:
    return int(value, 16) if isinstance(value, str) else value


def stack_of(told: dict) -> list:
    stack = told["panic"].get("stack")
    if stack is None:
        stack = next(cpu["stack"] for cpu in told["cpus"]["list"] if cpu["number"] == told["panic"]["cpu"])
    return [frame for frame in told["stacks"][stack]["frames"] if "function" in frame]


def one_kernel(vmcorectl, name: str, folder: Path, findings) -> None:
    of = kernel(name)
    foreign = folder / "crasher.ko"
    foreign.unlink(missing_ok=True)
    shutil.copy(crasher.file(of), foreign)
    modules = fetch_module_debuginfo(of, initramfs.MODULES)
    files = {"": fetch_debuginfo(of), "crasher": foreign, **{path.name.split(".ko")[0].replace("-", "_"): path for path in modules}}
    said = 0
    for way in WAYS:
        what, dump = f"{name} {way}", crash_dumps.dump_of(name, way).raw
        told, kaslr = report(vmcorectl, folder, dump, list(files.values())), kaslr_of(vmcorectl, dump)
        everywhere = {(frame["address"], bool(frame.get("exact"))): frame
                      for stack in told["stacks"] for frame in stack["frames"] if "function" in frame}
        wrong, counts = by_addr2line(list(everywhere.values()), files, kaslr)
        inlined = sum(max(0, len(frame.get("lines", [])) - 1) for frame in everywhere.values())
        print(f"{what}: {sum(counts.values())} frames ({counts}), {inlined} inlined, {len(wrong)} unlike addr2line", flush=True)
        of_modules = sum(counts.values()) - counts["vmlinux"]
        findings.check(f"{what}: lines", wrong if counts["vmlinux"] > 50 and of_modules > (0 if way == "sysrq" else 1)
                       else [*wrong, f"only {counts}"])
        panic = stack_of(told)
        findings.check(f"{what}: each frame of the panic has a line", [frame["function"] for frame in panic if not frame.get("lines")])
        if name in BY_CRASH:
            wrong, count = by_crash(panic, dump, of, files, kaslr)
            said += count
            findings.check(f"{what}: bt -l", wrong)
        check_values(panic, dump, name, what, folder, files, findings)
        if way == "arguments":
            check_arguments(told, what, findings)
    # crash 8.0.6 leaves most frames of some stacks out: of one it showed panic() alone.
    if name in BY_CRASH:
        findings.check(f"{name}: bt -l tells enough", [] if said >= 5 * len(WAYS) else [f"only {said}"])


def by_drgn(dump: Path, name: str, folder: Path, files: dict) -> list:
    script, out = folder / "values.py", folder / "values.json"
    script.write_text(BY_DRGN)
    out.unlink(missing_ok=True)
    symbols = [word for path in files.values() for word in ("-s", str(path))]
    done = subprocess.run([*tools.command(DRGN[name]), "-m", "drgn", "--no-default-symbols", "-c", dump, *symbols, script],
                          env={**tools.environment(DRGN[name]), "OUT": str(out)}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
    if not out.exists():
        raise RuntimeError(f"drgn: exit {done.returncode}: {done.stderr}")
    return json.loads(out.read_text())


def check_values(panic: list, dump: Path, name: str, what: str, folder: Path, files: dict, findings) -> None:
    """Each value that we tell is drgn's. What drgn alone knows is counted."""
    theirs, wrong, same, more, alone = by_drgn(dump, name, folder, files), [], 0, 0, []
    for frame in panic:
        known = next((each["known"] for each in theirs if each["pc"] == int(frame["address"], 16)), None)
        if known is None:
            continue
        ours = {each["name"]: number(each["value"]) for each in frame.get("arguments", [])}
        for argument, value in ours.items():
            if known.get(argument) == value:
                same += 1
            elif known.get(argument) is None and argument in known:
                alone.append(f"{frame['function']}({argument}={value:#x})")
            else:
                wrong.append(f"{frame['function']}: {argument}={value:#x}, drgn {known.get(argument)}")
        more += sum(1 for local, value in known.items() if isinstance(value, int) and local not in ours)
    print(f"{what}: {same} values as drgn's, {len(alone)} that drgn does not know: {alone}; drgn knows {more} more locals", flush=True)
    findings.check(f"{what}: values", wrong + alone if same else [*wrong, *alone, "there is none"])


def check_arguments(told: dict, what: str, findings) -> None:
    found = arguments_of(told)
    print(f"{what}: by location {found}, by register {told['panic'].get('fault', {}).get('arguments')}", flush=True)
    wrong = [f"{name}: {found.get(name)}, wanted {value:#x}" for name, value in FILL.items() if name not in found or found[name][1] != value]
    findings.check(f"{what}: arguments", wrong if set(found) <= {*FILL, "tag"} else [*wrong, str(found)])


# --- dwz ---

# Types that nobody uses: less is not worth an alternate file to dwz.
SHARED = "".join(f"struct unused_{i} {{ struct unused_{i} *next; unsigned long first_word_of_{i}, second_word_of_{i}; }};\n" for i in range(400)) + """
struct inner { struct inner *next; unsigned long words[16]; };
struct outer { struct inner first, second; const char *name; int (*call)(struct inner *, int); };
static inline unsigned long step(struct outer *at, unsigned long x)
{
	__asm__ volatile(".skip 4, 0x90" : "+r"(x) : "r"(at));
	return x;
}
"""


def source(functions: list) -> str:
    """Functions that are larger than those of any kernel, each line of which is an inlined call."""
    text = '#include "shared.h"\n'
    for function in functions:
        text += f"__attribute__((noinline)) unsigned long {function}(struct outer *at, unsigned long x)\n{{\n"
        text += "\tx = step(at, x);\n" * 300 + "\treturn x;\n}\n"
    return text + "int main(void) { return 0; }\n"


def dwz_pair(folder: Path, functions: list, build_id: str) -> Path:
    """A program that says it is the kernel with the build-id and has its functions; what it shares with another one is in
    an alternate file."""
    (folder / "shared.h").write_text(SHARED)
    for name, text, number in (("vmlinux", source(functions), build_id), ("other", source(["something"]), "00" * 20)):
        (folder / f"{name}.c").write_text(text)
        run(["gcc", "-g", "-O2", "-fno-eliminate-unused-debug-types", "-no-pie", "-nostdlib", "-Wl,-e,main", f"-Wl,--build-id=0x{number}", "-o", folder / name, folder / f"{name}.c"])
    shutil.copy(folder / "vmlinux", folder / "before")
    run(["dwz", "-m", folder / "alternate", folder / "vmlinux", folder / "other"])
    if ".gnu_debugaltlink" not in run(["readelf", "-SW", folder / "vmlinux"]):
        raise RuntimeError("dwz has moved nothing")
    return folder / "vmlinux"


def dwz(vmcorectl, folder: Path, findings) -> None:
    if not shutil.which("dwz"):
        findings.skip("dwz", "dwz is not installed")
        return
    dump = crash_dumps.dump_of("6.1", "sysrq").raw
    plain = json.loads(subprocess.run([vmcorectl.path, "report", "--output", "json", dump], capture_output=True, text=True).stdout)
    functions = sorted({frame["function"] for frame in stack_of(plain) if "module" not in frame and frame["function"].isidentifier()})
    file = dwz_pair(folder, functions, plain["kernel"]["build_id"])
    found = json.loads(subprocess.run([vmcorectl.path, "debuginfo", dump, "--from", file, "--output", "json"], env=own_cache(folder), cwd=folder,
                                      capture_output=True, text=True).stdout)
    findings.check("dwz: debuginfo", [] if (found["vmlinux"] or {}).get("alternate") == str(folder / "alternate") and not found["remarks"]
                   else [str(found["vmlinux"]), str(found["remarks"])])
    # addr2line does not follow the names in an alternate file: of the program before dwz it knows all.
    wrong, count, places = [], 0, ModuleFile(file).places
    for frame in stack_of(report(vmcorectl, folder, dump, [file])):
        if frame["function"] in functions:
            at = places[frame["function"]][0][1] + frame["offset"] - call_before(frame)
            theirs = chains(folder / "before", [at])[at]
            wrong += unlike(frame, theirs) + ([] if len(theirs) == 2 else [f"{theirs} is not two functions"])
            count += 1
    print(f"dwz: {count} frames, {len(wrong)} unlike addr2line", flush=True)
    findings.check("dwz: report --symbols", wrong if count > 5 else [*wrong, f"only {count}"])
    (folder / "alternate").rename(folder / "gone")
    told = report(vmcorectl, folder, dump, [file])
    remarks = [remark["text"] for remark in told["remarks"]]
    findings.check("dwz: without the alternate file", [] if any("alternate file" in text for text in remarks) else remarks)


def test(vmcorectl, _guests: list, findings) -> None:
    parts = os.environ.get("VMCORECTL_SYMBOLS", "").split() or PARTS
    with scratch_folder() as scratch:
        for name in parts:
            if name == "dwz":
                dwz(vmcorectl, Path(scratch), findings)
            else:
                one_kernel(vmcorectl, name, Path(scratch), findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
