#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The freed pages on per-CPU lists go at level 31, and no other page for them, from Linux 5.10 to the newest.

An independent walk (peers/pcp_lists.py) tells which they are. A guest that runs on while it is read keeps them.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import matrix
from guests.guest import Config
from guests.harness import run_test, scratch_folder
from peers import bits, compare, pcp_lists
from peers.kdumpfile import ElfFile, open_dump
from peers.memmap import Memmap

KERNELS = ("5.10", "6.1", "6.12", "newest")
LEAST = 100     # pages on lists; else the test proves nothing


def kept(vmcorectl, raw: Path, out: Path, level: int) -> tuple:
    out.unlink(missing_ok=True)
    return vmcorectl.convert(raw, out, level), open_dump(out).kept if out.exists() else 0


def test(vmcorectl, _guests: list, findings) -> None:
    for name in KERNELS:
        dump = matrix.dump_of(Config(f"{name}-lists", kernel=name, panic_cpu=-1, spin_cpu=1))
        raw = ElfFile(dump.raw)
        lists = pcp_lists.Lists(raw, Memmap(raw), dump.console)
        listed = lists.pages()
        with scratch_folder() as folder:
            out = Path(folder) / "out"
            wrong, all_pages = kept(vmcorectl, dump.raw, out, 0)
            failed, with_free = kept(vmcorectl, dump.raw, out, 15)
            failed31, at_31 = kept(vmcorectl, dump.raw, out, 31)
            size = out.stat().st_size if out.exists() else 0
        findings.check(f"{name}: converted", wrong + failed + failed31)
        few = bits.count(listed) < LEAST
        findings.check(f"{name}: lists", [f"{bits.count(listed)} pages, {lists.broken} sets broken"] if few else [])
        findings.check(f"{name}: kept at 31", compare.describe("on a list, but kept", at_31 & listed, lists.memmap))
        findings.check(f"{name}: kept at 15", compare.describe("on a list, but left out", all_pages & listed & ~with_free))
        unlisted = with_free & ~at_31 & ~listed
        print(f"{name}: {bits.count(listed)} pages on lists, {lists.broken} sets broken; {bits.count(at_31)} pages kept "
              f"at 31 ({size} bytes), {bits.count(unlisted)} others go between 15 and 31", flush=True)
        findings.check(f"{name}: no other page", not_free(lists.memmap, unlisted))


def not_free(memmap: Memmap, pages: int) -> list:
    """Those that are in no block of the buddy allocator, by the first pages of blocks."""
    free = 0
    value = int(memmap.info["NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)"]) & 0xffffffff
    top = value & 0xffffff == 0
    mapcount, private = memmap._offset("page._mapcount"), memmap._offset("page.private")
    for section, base in memmap.sections.items():
        first = section * memmap.section_pages
        data = memmap.read(base + first * memmap.page_size, memmap.section_pages * memmap.page_size)
        number = 0
        while number < memmap.section_pages:
            at = number * memmap.page_size
            found = int.from_bytes(data[at + mapcount:at + mapcount + 4], "little")
            order = int.from_bytes(data[at + private:at + private + 8], "little")
            is_free = (found & 0xff000000 if top else found) == value and order < 20
            step = 1 << order if is_free else 1
            if is_free:
                free |= ((1 << step) - 1) << (first + number)
            number += step
    return compare.describe("left out, but neither free nor on a list", pages & ~free, memmap)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
