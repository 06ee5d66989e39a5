#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast vmcorectl and makedumpfile filter and compress the same dump.

    run.py --vmcorectl build/release/bin/vmcorectl      the default comparison; about ten minutes
    run.py --list                                       images, cases and peers
    run.py --image ramdisk --case d31-lzo --peer all    a part of it; each option may be repeated

The programs take turns on one input file that lies in the page cache, writing to /dev/shm: one warm-up each, then
--runs rounds. The warm-up is the run whose memory is sampled; the others are only timed. A line tells the medians
of wall time, CPU time, output size and peak memory, and the peer's wall and CPU time divided by vmcorectl's: the
medians of the ratios within each round, so that what else the machine does weighs on both.

To repeat it: build a release (`cmake --preset release && cmake --build --preset release`), leave the machine
alone, and run this script with 8 GiB of memory free. It fetches Debian's kernel 6.12 and makedumpfile into the cache
(guests/cache.py), and boots two guests under QEMU, once; nothing is installed. No KVM is needed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import big_guest
from guests import matrix
from guests.cache import cache_dir
from peers import oracle, tools

SAMPLE_SECONDS = 0.005
MIB = 1 << 20

# name -> the raw QEMU dump
IMAGES = {
    "ramdisk": big_guest.dump,
    "big-la57": lambda: matrix.dump_of(matrix.config_of("6.12-big-la57")).raw,
}


@dataclass(frozen=True)
class Case:
    level: int
    codec: str

    @property
    def name(self) -> str:
        return f"d{self.level}-{self.codec}"


CASES = [Case(31, "zlib"), Case(31, "lzo"), Case(31, "zstd"), Case(1, "lzo")]
CODEC_OPTIONS = {"zlib": "-c", "lzo": "-l", "zstd": "-z"}

# name -> (program of peers/tools.py, further options)
PEERS = {
    "makedumpfile": ("makedumpfile", []),
    "makedumpfile --num-threads 1": ("makedumpfile", ["--num-threads", "1"]),
    "makedumpfile --num-threads 2": ("makedumpfile", ["--num-threads", "2"]),
    "makedumpfile 1.7.2": ("makedumpfile-1.7.2", []),
}


@dataclass
class Run:
    wall: float
    cpu: float
    size: int
    memory: int = 0


def family(pid: int) -> list:
    """The process and its descendants."""
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                found += map(int, Path(f"/proc/{parent}/task/{task}/children").read_text().split())
        except OSError:     # it has ended
            pass
    return found


def own_memory(pid: int) -> int:
    """Bytes of memory that would not be there without the process: not mapped files."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in status.splitlines()
               if line.startswith(("RssAnon:", "RssShmem:")))


def sample_memory(pid: int, ended: threading.Event, run: Run) -> None:
    while not ended.wait(SAMPLE_SECONDS):
        run.memory = max(run.memory, sum(own_memory(member) for member in family(pid)))


class Contender:
    """`prints`: what it makes goes to its standard output, not to a file that is its last word."""

    def __init__(self, name: str, command: list, prints: bool = False):
        self.name = name
        self.command = command
        self.prints = prints
        self.failure = None
        self.warm_up = None
        self.runs = []

    def run(self, out: Path, sampled: bool = False) -> None:
        out.unlink(missing_ok=True)
        run = Run(0, 0, 0)
        ended = threading.Event()
        words = self.command if self.prints else [*self.command, str(out)]
        with tempfile.TemporaryFile() as log, open(out if self.prints else os.devnull, "wb") as output:
            started = time.monotonic()
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output if self.prints else log, stderr=log)
            sampler = threading.Thread(target=sample_memory, args=(process.pid, ended, run))
            if sampled:
                sampler.start()
            _, status, usage = os.wait4(process.pid, 0)
            run.wall = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            ended.set()
            if sampled:
                sampler.join()
            if process.returncode != 0:
                log.seek(0)
                self.failure = f"exit {process.returncode}: {log.read().decode(errors='replace').strip()[-300:]}"
                return
        run.cpu = usage.ru_utime + usage.ru_stime
        run.size = out.stat().st_size
        if sampled:
            self.warm_up = run
        else:
            self.runs.append(run)

    def median(self, field: str) -> float:
        return statistics.median(getattr(run, field) for run in self.runs)

    def ratio_to(self, other, field: str) -> float:
        return statistics.median(getattr(mine, field) / getattr(theirs, field)
                                 for mine, theirs in zip(self.runs, other.runs))


def read_into_page_cache(path: Path) -> None:
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(MIB)
        while file.readinto(buffer):
            pass


def contenders(vmcorectl: list, case: Case, peers: list, image: Path) -> list:
    """vmcorectl first."""
    ours = [*vmcorectl, "-d", str(case.level), "--compress", case.codec, str(image)]
    found = [Contender("vmcorectl", ours)]
    for peer in peers:
        program, options = PEERS[peer]
        if case.codec == "zstd" and program == "makedumpfile-1.7.2":
            continue    # built without it
        words = [*tools.command(program), CODEC_OPTIONS[case.codec], "-d", str(case.level), *options, str(image)]
        found.append(Contender(peer, words))
    return found


def line(contender: Contender, ours: Contender) -> str:
    if contender.failure:
        return f"  {contender.name:30} {contender.failure}"
    text = (f"  {contender.name:30} {contender.median('wall'):7.2f} s {contender.median('cpu'):7.2f} s cpu"
            f" {contender.median('size') / MIB:8.1f} MiB  peak {contender.warm_up.memory / MIB:6.1f} MiB")
    if contender is not ours and not ours.failure:
        text += (f"  | wall x{contender.ratio_to(ours, 'wall'):.2f}  cpu x{contender.ratio_to(ours, 'cpu'):.2f}"
                 f"  vmcorectl's size {(ours.median('size') / contender.median('size') - 1) * 100:+.2f} %")
    return text


def measure(name: str, case: Case, found: list, out: Path, runs: int) -> None:
    before = os.getloadavg()[0]
    for number in range(runs + 1):
        for contender in found:
            if not contender.failure:
                contender.run(out, sampled=number == 0)
                out.unlink(missing_ok=True)
    print(f"{name} {case.name}: {runs} rounds, load {before:.1f} to {os.getloadavg()[0]:.1f}")
    for contender in found:
        print(line(contender, found[0]))
    sys.stdout.flush()


def chosen(wanted: list, all_names: list, default: list) -> list:
    return all_names if wanted and "all" in wanted else wanted or default


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmcorectl", default=os.environ.get("VMCORECTL"), help="the program to measure")
    parser.add_argument("--threads", type=int, help="of vmcorectl; otherwise as many as it takes")
    parser.add_argument("--runs", type=int, default=5, help="rounds after the warm-up")
    names = [case.name for case in CASES]
    parser.add_argument("--image", action="append", choices=[*IMAGES, "all"])
    parser.add_argument("--case", action="append", choices=[*names, "all"])
    parser.add_argument("--peer", action="append", choices=[*PEERS, "all"], help="makedumpfile if none is given")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print(f"images: {', '.join(IMAGES)}\ncases: {', '.join(names)}\npeers: {', '.join(PEERS)}")
        return 0
    if not options.vmcorectl:
        parser.error("--vmcorectl or VMCORECTL must name the program to measure")
    vmcorectl = [options.vmcorectl, "convert", "--quiet"]
    if options.threads:
        vmcorectl += ["--threads", str(options.threads)]
    peers = chosen(options.peer, list(PEERS), ["makedumpfile"])
    failed = False
    for image in chosen(options.image, list(IMAGES), list(IMAGES)):
        raw = IMAGES[image]()
        with (tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch,
              tempfile.TemporaryDirectory(dir="/dev/shm") as fast):
            repaired = oracle.repair(raw, Path(scratch) / "repaired")
            read_into_page_cache(repaired)
            for case in CASES:
                if case.name in chosen(options.case, names, names):
                    found = contenders(vmcorectl, case, peers, repaired)
                    measure(image, case, found, Path(fast) / "out", options.runs)
                    failed = failed or any(contender.failure for contender in found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
