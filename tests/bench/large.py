#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long guests of 4, 16 and 64 GiB wait for their dump, freshly booted and with fragmented memory.

    large.py --vmcorectl build/release/bin/vmcorectl [--memory 4096,16384,65536] [--runs 5] [--only fresh|fragmented]
             [--peer ANOTHER/vmcorectl]
    large.py --model    what larger guests and hosts would take, by what was measured of one thread

A guest of 64 GiB takes 2 GiB of the host, fragmented 3 GiB: nothing writes to most of its pages. "Fragmented" is 90 % of
memory, each other page of it in the page cache of a file, the others free (fragment.c): no block is larger than a page.

A line tells the medians: milliseconds between the guest's STOP and RESUME as a witness on a second monitor sees them,
seconds of the whole dump, processor time of all our processes, MiB written, and the ratio of the pause to its floor. The floor
stands behind them, with as many threads as there are processors: what memcpy takes for as many bytes as the guest has
struct pages, into memory that is there, and what judging its own struct pages takes in memory (bench/judging.cc, beside
vmcorectl). All that is kept is copied in the pause, not the struct pages alone, and out of another process: what memcpy and
process_vm_readv(2) take for that is told, too, and what judging takes where the processor's caches have the struct pages.
--peer dumps the same guests by another program, in turn.
"""

import argparse
import ctypes
import hashlib
import json
import mmap
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from unittest import mock

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import crasher, initramfs
from guests.cache import cache_dir, lock
from guests.guest import Config, Guest
from guests.kernels import Kernel, kernel
from guests.witness import Witness

SOURCE = Path(__file__).resolve().parent / "fragment.c"
FRAGMENT = "insmod /fragment.ko percent=90 || echo FAILED\n/workload"
BOOT_SECONDS = 1200     # TCG on a busy host; fragmenting 64 GiB takes some minutes of it
MIB, PAGE, STRUCT_PAGE = 1 << 20, 4096, 64


# Of one thread, by processor time (AMD EPYC of family 26): bytes a second that process_vm_readv(2) copies out of 2 MiB
# pages; seconds to judge a struct page of fragmented memory; and seconds a page that no second thread shortens: sets of
# pages are merged, subtracted and counted.
COPIED, JUDGED, ALONE = 18e9, 6e-9, 0.5e-9
AROUND = 0.010      # QEMU's beginning of its dump, where its memory lies, the kernel, and QEMU's end


def model(gibibytes: int, cores: int, bandwidth: float, fragmented: bool) -> float:
    """Seconds of pause. Copying reads and writes, so that it takes half of the memory's bandwidth (bytes a second)."""
    pages = gibibytes << 18
    kept = pages * 64 + (256 << 20) + (gibibytes << 20)    # struct pages, the kernel, and some MiB a GiB of its tables
    return (AROUND + kept / min(cores * COPIED, bandwidth / 2) + (pages * JUDGED / cores if fragmented else 0)
            + pages * ALONE)


def print_model() -> None:
    for gibibytes in (64, 1024):
        for cores, bandwidth in ((2, 40e9), (16, 150e9), (64, 300e9)):
            fresh, fragmented = (model(gibibytes, cores, bandwidth, each) * 1000 for each in (False, True))
            print(f"{gibibytes:5} GiB, {cores:2} processors, {bandwidth / 1e9:.0f} GB/s: {fresh:7.0f} ms freshly booted, "
                  f"{fragmented:7.0f} ms fragmented")


def fragment(of: Kernel) -> bytes:
    """fragment.ko for that kernel; built again when its source changed."""
    source = SOURCE.read_bytes()
    binary = cache_dir("workload") / f"fragment-{of.release}-{hashlib.sha256(source).hexdigest()[:16]}.ko"
    root = crasher.build_root(of)
    with lock("fragment"):
        if not binary.exists():
            with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch:
                shutil.copy(SOURCE, scratch)
                (Path(scratch) / "Kbuild").write_text("obj-m := fragment.o\n")
                crasher.build(root, of, scratch)
                (Path(scratch) / "fragment.ko").rename(binary)
    return binary.read_bytes()


def with_fragment(plain):
    """initramfs.build, and a second archive after what it builds: the kernel unpacks both, the later /init wins."""
    def build(used: Kernel, arguments: list, modules: tuple = ()) -> bytes:
        archive = initramfs.Archive()
        archive.add("fragment.ko", 0o100644, fragment(used))
        archive.add("init", 0o100755,
                    initramfs.INIT.replace("/workload", FRAGMENT).format(arguments=shlex.join(arguments)).encode())
        first = plain(used, arguments, modules)
        return first + bytes(-len(first) % 4) + archive.finish()
    return build


def config_of(memory_mib: int, fragmented: bool) -> Config:
    return Config(name=f"large-{memory_mib}", kernel="6.12", memory_mib=memory_mib, backend="ram-unreserved",
                  kernel_words=("init_on_alloc=0",) if fragmented else ())


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


def copying_floor(size: int, by_the_kernel: bool = False) -> float:
    """Seconds for that many bytes, from memory that was written into memory that was written; the best of 5. By memcpy, or by
    process_vm_readv out of pages of 2 MiB, as QEMU's are (of this process: the kernel does the same for another)."""
    threads, portion = os.cpu_count(), 2 * MIB
    libc = ctypes.CDLL(None)
    source = mmap.mmap(-1, size, flags=(mmap.MAP_PRIVATE if by_the_kernel else mmap.MAP_SHARED) | mmap.MAP_ANONYMOUS)
    if by_the_kernel:
        source.madvise(mmap.MADV_HUGEPAGE)
    target = mmap.mmap(-1, size)
    at = [ctypes.addressof(ctypes.c_char.from_buffer(each)) for each in (source, target)]
    for address in at:
        libc.memset(ctypes.c_void_p(address), 1, ctypes.c_size_t(size))

    def copy(offset: int, count: int) -> None:
        if by_the_kernel:
            to, of = Iovec(at[1] + offset, count), Iovec(at[0] + offset, count)
            one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
            libc.process_vm_readv(os.getpid(), ctypes.byref(to), one, ctypes.byref(of), one, zero)
        else:
            libc.memcpy(ctypes.c_void_p(at[1] + offset), ctypes.c_void_p(at[0] + offset), ctypes.c_size_t(count))

    def work(first: int) -> None:
        for offset in range(first * portion, size, threads * portion):
            copy(offset, min(portion, size - offset))

    best = float("inf")
    for _ in range(5):
        workers = [threading.Thread(target=work, args=(i,)) for i in range(threads)]
        started = time.monotonic()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        best = min(best, time.monotonic() - started)
    return best


def judging_times(program: Path, dump: Path) -> dict:
    """Milliseconds that judging the struct pages of a dump takes (bench/judging.cc)."""
    told = subprocess.run([program.with_name("judging"), dump, str(os.cpu_count())], check=True, stdout=subprocess.PIPE)
    return json.loads(told.stdout)


class Dumps:
    """The dumps of one guest by one program."""

    def __init__(self, program: Path):
        self.program = program
        self.pauses, self.walls, self.cpus = [], [], []
        self.size = self.kept = 0

    def run(self, guest: Guest, witness: Witness, out: Path) -> None:
        out.unlink(missing_ok=True)
        witness.paused()
        before, started = os.times(), time.monotonic()
        subprocess.run([self.program, "dump", "-q", "--pause-limit", "none", "--qmp", guest.qmp_socket, "-o", out],
                       check=True, stdin=subprocess.DEVNULL)
        self.walls.append(time.monotonic() - started)
        after = os.times()
        self.cpus.append(after.children_user + after.children_system - before.children_user - before.children_system)
        self.pauses.append(witness.paused() * 1000)
        self.size = out.stat().st_size
        info = subprocess.run([self.program, "info", "--output", "json", out], check=True, capture_output=True).stdout
        self.kept = json.loads(info)["pages"]["in_file"] * PAGE

    def tell(self, name: str, floor: float) -> None:
        pause = statistics.median(self.pauses)
        print(f"  {name:10} {pause:8.1f} ms paused (least {min(self.pauses):.1f}), ratio {pause / floor:.2f}; "
              f"{statistics.median(self.walls):.2f} s, {statistics.median(self.cpus):.2f} s cpu, "
              f"{self.size / MIB:.1f} MiB written", flush=True)


def bench(programs: list, memory_mib: int, fragmented: bool, runs: int, folder: Path) -> None:
    patched = mock.patch.object(initramfs, "build", with_fragment(initramfs.build) if fragmented else initramfs.build)
    with patched, Guest(config_of(memory_mib, fragmented), BOOT_SECONDS) as guest:
        witness = Witness(guest.folder / "witness.sock")
        dumps = [Dumps(program) for program in programs]
        for _ in range(runs):
            for each in dumps:
                each.run(guest, witness, folder / "out")
        memmap, kept = memory_mib * MIB // PAGE * STRUCT_PAGE, dumps[0].kept
        copying, copying_all = (copying_floor(size) * 1000 for size in (memmap, kept))
        reading_all = copying_floor(kept, by_the_kernel=True) * 1000
        judging = judging_times(programs[0], folder / "out")
        print(f"{memory_mib} MiB, {'fragmented' if fragmented else 'fresh'}, load {os.getloadavg()[0]:.1f}", flush=True)
        for name, each in zip(("vmcorectl", "peer"), dumps):
            each.tell(name, copying + judging["judging"])
        portions = f"{judging['from memory']:.1f} ms in portions of 2 MiB, {judging['from the cache']:.1f} from the cache"
        print(f"  floor      {copying:.1f} ms to copy {memmap // MIB} MiB of struct pages, {judging['judging']:.1f} ms to judge "
              f"them ({portions}); {copying_all:.1f} ms to copy all {kept // MIB} MiB that are kept, {reading_all:.1f} ms by "
              "process_vm_readv", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmcorectl", default=os.environ.get("VMCORECTL"))
    parser.add_argument("--peer", help="another vmcorectl")
    parser.add_argument("--memory", default="4096,16384,65536", help="MiB of the guests")
    parser.add_argument("--only", choices=("fresh", "fragmented"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--model", action="store_true")
    options = parser.parse_args()
    if options.model:
        print_model()
        return 0
    if not options.vmcorectl:
        parser.error("--vmcorectl is missing")
    programs = [Path(program).resolve() for program in (options.vmcorectl, options.peer) if program]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for memory_mib in map(int, options.memory.split(",")):
            for kind in [options.only] if options.only else ["fresh", "fragmented"]:
                bench(programs, memory_mib, kind == "fragmented", options.runs, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
