#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""No secret that a guest kept in user memory is found in a dump whose level takes that memory away.

With 8: anonymous memory, huge or not, hugetlb pages, written pages of private file mappings.
With 8+4+2: shared memory and the page cache of tmpfs and of a disk as well. With 16: anonymous memory that was given
back a moment before the crash; some of it waits on the per-CPU lists of freed pages. In both formats.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import matrix
from guests.harness import run_test, scratch_folder
from peers import bits, pcp_lists, secrets
from peers.kdumpfile import open_dump

GUESTS = ["6.1-plain", "6.1-la57", "6.12-plain", "6.12-big-la57", "6.12-user-pti"]
GONE = {8: secrets.ANONYMOUS, 14: secrets.ANONYMOUS + secrets.CACHE, 16: secrets.FREED,
        31: secrets.ANONYMOUS + secrets.CACHE + secrets.FREED}


def leaked(path: Path, planted: list, kinds) -> list:
    found = secrets.find(open_dump(path), planted)
    return [f"{found[kind]} secret pages of {kind}" for kind in kinds if found[kind]]


def present(dump, planted: list) -> list:
    """The unfiltered dump holds every secret; without this the test would prove nothing."""
    found = secrets.find(open_dump(dump.raw), planted)
    kinds = set(secrets.ANONYMOUS + secrets.CACHE + secrets.FREED)
    return ([f"only {found[kind]} of {pages} secrets of {kind} in the raw dump"
             for kind, _, pages in planted if found[kind] != pages]
            + [f"no secret of {kind} was planted" for kind in sorted(kinds - set(found))])


def on_lists(dump, planted: list) -> list:
    """Some of the freed secrets lie on per-CPU lists; without this the test would prove nothing of them."""
    freed = secrets.places(open_dump(dump.raw), planted)["freed"]
    found = bits.count(freed & pcp_lists.listed(dump.raw, dump.console))
    return [] if found else [f"none of {bits.count(freed)} freed secrets is on a per-CPU list"]


def test(vmcorectl, guests, findings) -> None:
    for name in guests:
        dump = matrix.dump_of(matrix.config_of(name))
        planted = secrets.seeds(dump.console)
        findings.check(f"{name}, unfiltered", present(dump, planted))
        panicked = dump.config.panic_cpu >= 0
        if panicked:
            findings.check(f"{name}, freed", on_lists(dump, planted))
        with scratch_folder() as folder:
            for form, codec in (("kdump", "zstd"), ("kdump", "none"), ("elf", "")):
                for level, kinds in GONE.items():
                    kinds = [kind for kind in kinds if panicked or kind not in secrets.FREED]
                    out = Path(folder) / "out"
                    out.unlink(missing_ok=True)
                    what = f"{name} -d {level} --format {form} {codec}"
                    if findings.check(what, vmcorectl.convert(dump.raw, out, level, form, codec)):
                        findings.check(what, leaked(out, planted, kinds))


if __name__ == "__main__":
    sys.exit(run_test(test, GUESTS, __doc__))
