#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a plan costs for large guests: seconds and memory of `convert --dry-run` on synthetic dumps.

    plan.py --vmcorectl build/release/bin/vmcorectl [--make build/release/bin/make_large_dump] [--runs 3]

A dump is a sparse file in /dev/shm: a struct page for each page of the guest, nothing in the pages
(tests/builders/large_dump.h). As 1 TiB takes 16 GiB of struct pages, sections of 128 MiB share theirs: FRAMES
times 2 MiB are there in memory, mapped in turn. The sizes whose frames are given twice tell what the sharing does.
A line tells the medians of wall and CPU time and the peak of anonymous memory of all processes, and both divided by
the number of pages.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.run import MIB, Run, sample_memory

SECTIONS_A_GIB = 8
SHARED = 128    # frames: 256 MiB, more than caches hold
# GiB of the guest, frames of struct pages
SIZES = [(4, 4 * SECTIONS_A_GIB), (64, 64 * SECTIONS_A_GIB), (64, SHARED), (256, SHARED), (1024, SHARED)]


def measure(command: list) -> Run:
    run, ended = Run(0, 0, 0), threading.Event()
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    sampler = threading.Thread(target=sample_memory, args=(process.pid, ended, run))
    sampler.start()
    _, status, usage = os.wait4(process.pid, 0)
    run.wall, run.cpu = time.monotonic() - started, usage.ru_utime + usage.ru_stime
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    sampler.join()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {process.returncode}")
    return run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmcorectl", default=os.environ.get("VMCORECTL"), required="VMCORECTL" not in os.environ)
    parser.add_argument("--make", help="make_large_dump; otherwise the one beside vmcorectl")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    make = options.make or Path(options.vmcorectl).with_name("make_large_dump")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        dump = Path(folder) / "dump"
        for gibibytes, frames in SIZES:
            subprocess.run([make, str(gibibytes), str(frames), dump], check=True)
            before = os.getloadavg()[0]
            runs = [measure([options.vmcorectl, "convert", "--dry-run", dump]) for _ in range(options.runs)]
            wall, cpu = (statistics.median(getattr(run, field) for run in runs) for field in ("wall", "cpu"))
            peak, pages = max(run.memory for run in runs), gibibytes << 18
            print(f"{gibibytes:5} GiB, {frames * 2:5} MiB of struct pages: {wall:7.2f} s {cpu:7.2f} s cpu "
                  f"({cpu / pages * 1e9:5.1f} ns a page), peak {peak / MIB:7.1f} MiB ({peak * 8 / pages:5.2f} bits a page), "
                  f"load {before:.1f}", flush=True)
            dump.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
