#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What report says of guests that panicked, beside what these guests said themselves: the panic, its CPU, task and stack,
taint, modules, mounts, and all tasks; which lock, page or buffer a task waits for; who is in the run queues; the sockets of the
task that crashed; and that less is said of a dump that lacks pages."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import crasher, initramfs
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel
from guests.test_symbols import from_disk
from peers import schemas, waits

SECONDS = 1.0       # that a report may take
KTHREADD = "2"      # the parent of the kernel's threads
MOST_ENDED = 2      # of these, other than workers: ext4lazyinit ends when it has nothing to do

# The guest's own words. A task that ends meanwhile has no stat any more.
TOLD = """{before}
for task in /proc/[0-9]*/task/[0-9]*; do
    cat $task/stat
done > /disk/tasks 2> /dev/null
cat /proc/modules > /disk/modules
cat /proc/mounts > /disk/mounts
cat /proc/slabinfo > /disk/slabinfo
cat /proc/sys/kernel/tainted > /disk/tainted
sync
{after}
/workload"""


def initrd(of, path: Path, before: str = "", after: str = "", files: dict = {}) -> None:
    archive = initramfs.Archive()
    for name, content in files.items():
        archive.add(name, 0o100644, content)
    init = initramfs.INIT.replace("/workload", TOLD.format(before=before, after=after))
    archive.add("init", 0o100755, init.replace("{arguments}", "").encode())
    path.write_bytes(initramfs.build(of, []) + gzip.compress(archive.finish(), compresslevel=1))


class Told:
    """What a guest wrote on its disk before it panicked."""

    def __init__(self, disk: Path, into: Path):
        def read(name: str) -> str:
            return from_disk(disk, name, into).read_text(errors="replace")

        self.tasks = {}
        self.threads = set()    # of the kernel, by pid
        for line in read("tasks").splitlines():
            found = re.match(r"(\d+) \((.*)\) (\S) (\d+)", line)
            self.tasks[int(found[1])] = (found[2], found[3])
            if found[4] == KTHREADD:
                self.threads.add(int(found[1]))
        self.modules = {line.split()[0]: int(line.split()[1]) for line in read("modules").splitlines()}
        self.mounts = {(line.split()[1], line.split()[2]) for line in read("mounts").splitlines()}
        self.taint = int(read("tainted"))
        # "NAME ACTIVE OBJECTS SIZE OBJECTS-PER-SLAB PAGES-PER-SLAB : tunables ... : slabdata ACTIVE SLABS SHARED", in bytes
        self.slabs = {words[0]: int(words[5]) * int(words[14]) * 4096 for words in map(str.split, read("slabinfo").splitlines()[2:])}


def console_trace(console: str, after: str) -> list:
    """The reliable frames of the first call trace behind that text."""
    text = console[console.index(after):]
    trace = text[text.index("Call Trace:"):]
    frames = []
    for line in trace.splitlines()[1:]:
        words = line.split("] ", 1)[-1].strip()
        if re.match(r"[\w.]+\+0x", words):
            frames.append(words)
        elif "RIP: " in words or "---[" in words:
            break
    return frames


def text_of(frame: dict) -> str:
    text = f"{frame.get('function', '')}+{frame.get('offset', 0):#x}/{frame.get('size', 0):#x}"
    return f"{text} [{frame['module']}]" if "module" in frame else text


def run_report(vmcorectl, dump: Path, *words, code=0) -> dict:
    begin = time.monotonic()
    done = subprocess.run([vmcorectl.path, "report", dump, "--output", "json", *words], capture_output=True, timeout=120)
    seconds = time.monotonic() - begin
    if done.returncode != code:
        raise RuntimeError(f"report: exit {done.returncode}: {done.stderr.decode()}")
    report = json.loads(done.stdout)
    schemas.check(report)
    print(f"{dump.name}: {seconds:.2f} s, {len(done.stdout) >> 10} KiB")
    return {**report, "seconds": seconds}


def differ(what: str, ours, theirs) -> list:
    return [] if ours == theirs else [f"{what}: {ours}, the guest says {theirs}"]


def behind(frames: list, names: tuple) -> list:
    """The frames behind the last one of these functions."""
    last = max((i for i, frame in enumerate(frames) if frame.split("+")[0] in names), default=-1)
    return frames[last + 1:]


def compare_tasks(report: dict, told: Told) -> list:
    """Lines about tasks that the guest listed and the report lacks. This shell's children and a few threads of the kernel end meanwhile."""
    ours = {task["pid"]: task for task in report["tasks"]["list"] if task["pid"]}
    gone = {pid: name for pid, (name, _) in told.tasks.items()
            if pid not in ours and not name.startswith(("kworker", "cat", "sleep"))}
    if told.threads >= gone.keys() and len(gone) <= MOST_ENDED:
        gone = {}
    # proc shows of a worker its work, too.
    named = [f"{pid}: {ours[pid]['comm']}, not {name}" for pid, (name, _) in told.tasks.items()
             if pid in ours and not name.startswith(("kworker", "init")) and ours[pid]["comm"] != name[:15]]
    broken = [task["comm"] for task in ours.values()
              if "stack" in task and not task.get("on_cpu") and "broken" in report["stacks"][task["stack"]]]
    return ([f"tasks are missing: {gone}"] if gone else []) + named[:5] + (
        [f"stacks are not whole: {broken}"] if broken else [])


def compare_state(report: dict, told: Told) -> list:
    modules = {module["name"]: module["size"] for module in report["modules"]["list"]}
    # The initial part of a module is freed when it is loaded; /proc/modules counts it no more.
    wrong = differ("modules", set(modules), set(told.modules) | (set(modules) & {"crasher"}))
    # nullfs lies beneath the roots of all processes, so /proc/mounts leaves it out (7.2 has it).
    mounts = {(mount["point"], mount["type"]) for mount in report["mounts"]["list"] if mount["type"] != "nullfs"}
    wrong += differ("mounts", mounts, told.mounts)
    return wrong


def compare_slabs(report: dict, told: Told) -> list:
    """The biggest caches; some grow or shrink until the panic."""
    ours = {slab["name"]: slab["bytes"] for slab in report["memory"]["slabs"][:10]}
    alike = [name for name, size in ours.items() if abs(size - told.slabs.get(name, 0)) <= size / 4]
    return [] if len(ours) == 10 and len(alike) >= 8 else [f"{ours}, /proc/slabinfo says { {name: told.slabs.get(name) for name in ours} }"]


def test_panic(vmcorectl, name: str, folder: Path, findings) -> None:
    initrd(kernel(name), folder / "initrd")
    config = Config(name=f"report-{name}", kernel=name, memory_mib=768, cpus=2,
                    words=("-initrd", str(folder / "initrd")))
    with Guest(config) as guest:
        guest.tell("panic 1")
        guest._wait(lambda: guest.status() == "guest-panicked" or "end Kernel panic" in guest.console, "panic", 120)
        if guest.status() == "running":
            guest.qmp("stop")
        raw = guest.dump_elf(folder / "raw.elf")
        told = Told(guest.folder / "disk", folder)
        console = guest.console
    dump = folder / f"{name}.kdump"
    subprocess.run([vmcorectl.path, "convert", raw, dump], check=True, capture_output=True)
    report = run_report(vmcorectl, dump)
    panic = report["panic"]
    findings.check(f"{name}: the panic", differ("class", panic["class"], "sysrq")
                   + differ("message", panic["message"], "sysrq triggered crash")
                   + differ("CPU", panic["cpu"], 1) + differ("task", panic["task"]["comm"], "workload")
                   + differ("evidence", set(panic["evidence"]), {"log", "stack", "panic_cpu"})
                   + differ("taint", int(report["kernel"]["taint"]["mask"], 16) & ~told.taint, 0))
    cpu = next(cpu for cpu in report["cpus"]["list"] if cpu["number"] == 1)
    ours = behind([text_of(frame) for frame in report["stacks"][cpu["stack"]]["frames"]], ("panic", "vpanic"))
    theirs = behind(console_trace(console, "Kernel panic - not syncing"), ("panic", "vpanic"))
    findings.check(f"{name}: the stack of the panic", differ("stack", ours, theirs))
    findings.check(f"{name}: tasks", compare_tasks(report, told))
    findings.check(f"{name}: modules and mounts", compare_state(report, told))
    findings.check(f"{name}: slabs", compare_slabs(report, told))
    findings.check(f"{name}: in time", [] if report["seconds"] < SECONDS else [f"{report['seconds']:.2f} s"])
    test_less(vmcorectl, name, raw, report, findings)


def test_less(vmcorectl, name: str, raw: Path, whole: dict, findings) -> None:
    """Of a dump that is cut off: what is said is what the whole one says."""
    size = raw.stat().st_size
    wrong = []
    for tenths in (9, 5, 2):
        cut = raw.with_name(f"cut-{tenths}.elf")
        subprocess.run(["cp", "--sparse=always", raw, cut], check=True)
        os.truncate(cut, size * tenths // 10)
        report = run_report(vmcorectl, cut, code=3)
        cut.unlink()
        if not report["incomplete"]:
            wrong.append(f"{tenths} tenths: not incomplete")
        for section in ("kernel", "panic"):
            for key in ("release", "class", "cpu", "message"):
                if key in report[section] and report[section][key] not in (whole[section][key], "panic"):
                    wrong.append(f"{tenths} tenths: {key} is {report[section][key]}, not {whole[section][key]}")
    findings.check(f"{name}: a cut dump says less", wrong)


def crashed(vmcorectl, folder: Path, way: str, words: tuple, seconds: float) -> tuple:
    """(report, console) of a 6.1 guest that crasher.ko crashed, or in which it waits."""
    initrd(kernel("6.1"), folder / "initrd", after=f"(sleep 2; insmod /crasher.ko how={way})&",
           files={"crasher.ko": crasher.module(kernel("6.1"))})
    config = Config(name=f"report-{way}", memory_mib=512, kernel_words=words, words=("-initrd", str(folder / "initrd")))
    with Guest(config) as guest:
        if words:
            guest._wait(lambda: guest.status() == "guest-panicked" or "end Kernel panic" in guest.console, "panic", seconds)
        else:
            time.sleep(seconds)
        if guest.status() == "running":
            guest.qmp("stop")
        dump = guest.dump_elf(folder / f"{way}.elf")
        return run_report(vmcorectl, dump), guest.console


def test_oops(vmcorectl, folder: Path, findings) -> None:
    report, console = crashed(vmcorectl, folder, "null", ("oops=panic",), 120)
    panic = report["panic"]
    fault = panic.get("fault", {})
    rip = re.search(r"RIP: 0010:(\S+ \[\w+\])", console)[1]
    cpu = next(cpu for cpu in report["cpus"]["list"] if cpu["number"] == panic["cpu"])
    frames = report["stacks"][cpu["stack"]]["frames"]
    faulted = [text_of(frame) for frame in frames if frame.get("exact") and frame.get("function") == fault.get("function")]
    said = dict(re.findall(r"\b(R[A-Z0-9]{2}): ([0-9a-f]{16})\b", console[console.index("RIP: 0010"):]))
    ours = {register["name"].upper(): register["value"] for register in fault.get("registers", [])}
    named = {name: f"{int(value, 16):#x}" for name, value in said.items() if name in ours and name != "RIP"}
    wrong = differ("registers", {name: ours[name] for name in named}, named)
    findings.check("oops: what faulted", differ("class", panic["class"], "null_dereference")
                   + differ("function", faulted, [rip]) + wrong + differ("task", panic["task"]["comm"], "insmod"))
    theirs = console_trace(console, "RIP: 0010")
    ours = [text_of(frame) for frame in frames]
    findings.check("oops: the stack", differ("stack", ours[ours.index(rip) + 1:], theirs) if rip in ours else ["no RIP"])
    crasher_module = next(module for module in report["modules"]["list"] if module["name"] == "crasher")
    findings.check("oops: taint", differ("letters", crasher_module["taints"], "OE") + differ(
        "kernel", {flag["letter"] for flag in report["kernel"]["taint"]["flags"]} >= set("OE"), True))


def test_locks(vmcorectl, folder: Path, findings) -> None:
    for way, kind in (("mutex", "mutex"), ("rwsem", "rw_semaphore")):
        report, _ = crashed(vmcorectl, folder, way, (), 15)
        task = next(task for task in report["tasks"]["list"] if task["comm"] == "insmod")
        lock = task.get("lock", {})
        findings.check(f"{way}: who holds it", differ("state", task["state"], "UN") + differ("kind", lock.get("kind"), kind)
                       + differ("owner", lock.get("owner", {}).get("comm"), "crasher_owner"))


# Three tasks and a real-time one on CPU 1, then a task with sockets that crashes the guest on CPU 0.
BURN = b"#!/bin/sh\nwhile :; do :; done\n"
BUSY = """(
chmod 755 /burn* /sockets
for name in burn1 burn2 burn3; do taskset 2 /$name & done
sleep 1
taskset 1 /sockets /disk/sockets
)&"""


def test_busy(vmcorectl, name: str, folder: Path, findings) -> None:
    burners = ("burn1", "burn2", "burn3", "burn4")      # sockets.c starts the last one, which is real-time
    initrd(kernel(name), folder / "initrd", before=BUSY,
           files={**{burner: BURN for burner in burners[:3]}, "sockets": initramfs.compiled("sockets.c").read_bytes()})
    config = Config(name=f"busy-{name}", kernel=name, memory_mib=512, cpus=2, words=("-initrd", str(folder / "initrd")))
    with Guest(config, boot_seconds=0) as guest:
        guest._wait(guest.qmp_socket.exists, "monitor", 60)
        guest._wait(lambda: guest.status() == "guest-panicked" or "end Kernel panic" in guest.console, "panic", 120)
        if guest.status() == "running":
            guest.qmp("stop")
        dump = guest.dump_elf(folder / f"busy-{name}.elf")
        told = from_disk(guest.folder / "disk", "sockets", folder).read_text()
    report = run_report(vmcorectl, dump)
    findings.check(f"{name}: run queues, by drgn", waits.queues_differ(report, waits.by_drgn(dump, kernel(name))))
    sockets = {}
    for line in told.splitlines():
        number, *rest = line.split("\t")
        sockets[int(number)] = ["" if word == "-" else word for word in rest]
    ours = {file["number"]: [file["socket"].get(key, "") for key in ("family", "type", "state", "local", "remote")]
            for file in report["files"].get("list", []) if "socket" in file and file["number"] in sockets}
    findings.check(f"{name}: sockets", differ("task", report["panic"]["task"]["comm"], "sockets")
                   + [f"socket {number}: {ours.get(number)}, the guest says {words}"
                      for number, words in sockets.items() if ours.get(number) != words])
    queue = next(cpu for cpu in report["cpus"]["list"] if cpu["number"] == 1)["queue"]
    queued = {task["comm"]: task["policy"] for task in queue["tasks"]}
    fair = [task for task in queue["tasks"] if task["policy"] == "fair"]
    wrong = [f"{burner} is not in the queue" for burner in burners
             if queued.get(burner) != ("real-time" if burner == "burn4" else "fair")]
    findings.check(f"{name}: run queue", wrong + differ("broken", queue.get("broken"), None)
                   + differ("real-time", queue["real_time"], 1) + differ("fair", queue["fair"], len(fair)))


# Tasks that wait for a disk that has become slow: for a page, a buffer, and what is written. The first request is let through.
SLOW = """(
mkdir /slow
mount -t ext4 /dev/vdb /slow
mkdir /slow/folder
for i in 1 2 3 4 5 6 7 8 9; do echo > /slow/folder/$i; done
dd if=/dev/zero of=/slow/file bs=64k count=32
sync
echo 3 > /proc/sys/vm/drop_caches
echo INODE $(ls -i /slow/file) > /dev/ttyS0
echo SLOW NOW > /dev/ttyS0
sleep 6
dd if=/dev/vdb of=/dev/null bs=4k skip=8000 count=1 &
sleep 2
cat /slow/file > /dev/null &
ls /slow/folder > /dev/null &
sleep 2
dd if=/dev/zero of=/slow/written bs=4k count=4 conv=fsync &
sleep 4
for name in cat ls dd; do
    for pid in $(pidof $name); do
        echo "STACK $name $(cut -d ' ' -f 3 /proc/$pid/stat)"
        cat /proc/$pid/stack
    done
done > /dev/ttyS0
echo WAITING > /dev/ttyS0
)&"""
NO_LIMIT = {key: 0 for key in ("bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")}


def test_io(vmcorectl, name: str, folder: Path, findings) -> None:
    initrd(kernel(name), folder / "initrd", before=SLOW)
    shutil.copyfile(initramfs.disk(), folder / "slow")
    config = Config(name=f"io-{name}", kernel=name, memory_mib=512, cpus=2, words=(
        "-initrd", str(folder / "initrd"), "-drive", f"file={folder / 'slow'},format=raw,if=none,id=slow,cache=unsafe",
        "-device", "virtio-blk-pci,drive=slow,addr=0x10"))
    with Guest(config, boot_seconds=0) as guest:
        guest._wait(lambda: "SLOW NOW" in guest.console, "SLOW NOW", 120)
        guest.qmp("block_set_io_throttle", device="slow", bps=1, **NO_LIMIT)
        guest._wait(lambda: "WAITING" in guest.console, "WAITING", 120)
        guest.qmp("stop")
        dump = guest.dump_elf(folder / f"io-{name}.elf")
        inode = int(re.search(r"INODE (\d+)", guest.console)[1])
        stacks = guest.console[guest.console.index("STACK "):]
    report = run_report(vmcorectl, dump)
    said = {task["comm"]: task.get("io", {}) for task in report["tasks"]["list"] if task["comm"] in ("cat", "ls", "dd")}
    print(f"{stacks}\n{said}")
    count, wrong = waits.waits_differ(report, waits.by_drgn(dump, kernel(name)))
    findings.check(f"{name}: {count} waits, by drgn", wrong if count else ["drgn knows none"])
    findings.check(f"{name}: a page", differ("kind", said["cat"].get("kind"), "page_lock") + differ(
        "file", [said["cat"].get(key) for key in ("file_system", "device", "inode")], ["ext4", "vdb", inode]))
    findings.check(f"{name}: a buffer", differ("kind", said["ls"].get("kind"), "buffer")
                   + differ("device", said["ls"].get("device"), "vdb"))
    findings.check(f"{name}: what is written", differ("waits", bool(said["dd"]), True))


def test(vmcorectl, _guests: list, findings) -> None:
    for name in ("5.10", "6.1", "6.12", "newest"):
        with scratch_folder() as scratch:
            test_panic(vmcorectl, name, Path(scratch), findings)
        with scratch_folder() as scratch:
            test_busy(vmcorectl, name, Path(scratch), findings)
        with scratch_folder() as scratch:
            test_io(vmcorectl, name, Path(scratch), findings)
    with scratch_folder() as scratch:
        test_oops(vmcorectl, Path(scratch), findings)
        test_locks(vmcorectl, Path(scratch), findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
