#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long `vmcorectl report` takes for a dump of 5 GiB, beside how long crash and drgn take to start with it.

    report.py --vmcorectl build/release/bin/vmcorectl      some minutes, most of them crash's

Both peers need the kernel's debuginfo, which is fetched. The programs take turns on one file in the page cache: one warm-up
each, whose memory is sampled, then --runs rounds. A line has the medians of wall and CPU time, and the peak of memory that
is the processes' own: mapped files are left out. To repeat it, leave the machine alone; the load is printed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.run import Contender, line, read_into_page_cache
from guests import matrix
from guests.cache import cache_dir
from guests.kernels import fetch_debuginfo
from peers import tools

GUEST = "6.12-big-la57"
# The least that drgn does for anybody who looks at a crash.
DRGN = "print(prog['init_uts_ns'].name.release)\n"


def by_peer(name: str, *words) -> list:
    """In the environment in which it finds its own libraries."""
    variables = [f"{key}={value}" for key, value in tools.environment(name).items() if key not in os.environ]
    return ["env", *variables, *tools.command(name), *map(str, words)]


def contenders(vmcorectl: str, dump: Path, vmlinux: Path, scratch: Path) -> list:
    (scratch / "quit").write_text("quit\n")
    (scratch / "script.py").write_text(DRGN)
    found = {
        "vmcorectl report": [vmcorectl, "report", "--quiet", str(dump)],
        "vmcorectl report, JSON": [vmcorectl, "report", "--quiet", "--output", "json", str(dump)],
        "drgn, start": by_peer("drgn-trixie", "-m", "drgn", "-q", "-c", dump, "-s", vmlinux, scratch / "script.py"),
        "crash, start": by_peer("crash", "-s", "-i", scratch / "quit", vmlinux, dump),
    }
    return [Contender(name, command, prints=True) for name, command in found.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vmcorectl", default=os.environ.get("VMCORECTL"), help="the program to measure")
    parser.add_argument("--runs", type=int, default=5, help="rounds after the warm-up")
    options = parser.parse_args()
    if not options.vmcorectl:
        parser.error("--vmcorectl or VMCORECTL must name the program to measure")
    dump = matrix.dump_of(matrix.config_of(GUEST))
    vmlinux = fetch_debuginfo(dump.kernel)
    read_into_page_cache(dump.raw)
    with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch:
        found = contenders(options.vmcorectl, dump.raw, vmlinux, Path(scratch))
        before = os.getloadavg()[0]
        for number in range(options.runs + 1):
            for contender in found:
                if not contender.failure:
                    contender.run(Path(scratch) / "out", sampled=number == 0)
    print(f"{GUEST}: {options.runs} rounds, load {before:.1f} to {os.getloadavg()[0]:.1f}")
    for contender in found:
        print(line(contender, contender))
    return 1 if any(contender.failure for contender in found) else 0


if __name__ == "__main__":
    sys.exit(main())
