#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""On every guest and at every level vmcorectl keeps the pages that makedumpfile keeps, with the guest's own bytes.

But for one difference: freed pages on per-CPU lists, which makedumpfile keeps, go with 16, all of them and no other.
Page sets are compared over the pfns that have a struct page. Contents are compared with the unfiltered dump:
all pages at level 31, one in eight at the others.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import matrix
from guests.harness import run_test, scratch_folder
from peers import bits, compare, oracle, pcp_lists
from peers.kdumpfile import PAGE, ZERO_PAGE, ElfFile, open_dump
from peers.memmap import Memmap

ELF_LEVELS = (8, 31)


def zero_pages(raw: ElfFile, pages: int) -> int:
    return bits.from_members(pfn for pfn in bits.members(pages) if raw.page(pfn) == ZERO_PAGE)


def shared_descriptor(ours, zeros: int) -> list:
    """All zero pages of a kdump file have one descriptor."""
    offsets = {ours.descriptor(pfn)[0] for pfn in bits.members(zeros)}
    return [] if len(offsets) <= 1 else [f"zero pages lie at {len(offsets)} places of the file"]


def holes(ours, path: Path, zeros: int) -> list:
    """Zero pages of an ELF file take no room on disk."""
    used = path.stat().st_blocks * 512
    needed = (bits.count(ours.kept) - bits.count(zeros)) * PAGE + path.stat().st_size // 50 + (1 << 20)
    return [] if used <= needed else [f"{used} bytes on disk, expected at most {needed}"]


def compare_with_truth(path: Path, oracle_pages: int, raw: ElfFile, memmap: Memmap, level: int) -> list:
    ours = open_dump(path)
    every = 1 if level == 31 else 8
    common = ours.kept & raw.kept
    lines = compare.page_sets(ours.kept, oracle_pages, memmap)
    lines += compare.describe("kept, but not in the guest", ours.kept & ~raw.kept)
    lines += compare.contents(ours, raw, bits.sample(common, every), memmap)
    if level == 31 and not lines:
        zeros = zero_pages(raw, common)
        lines += holes(ours, path, zeros) if ours.kind == "elf" else shared_descriptor(ours, zeros)
    return lines


def test(vmcorectl, guests, findings) -> None:
    for name in guests:
        dump = matrix.dump_of(matrix.config_of(name))
        raw = ElfFile(dump.raw)
        memmap = Memmap(raw)
        listed = pcp_lists.listed(dump.raw, dump.console)
        expected = {level: pages & ~listed if level & 16 else pages
                    for level, pages in oracle.page_sets(dump.raw).items()}
        kept = [f"{bits.count(listed)} on per-CPU lists"]
        with scratch_folder() as folder:
            out = Path(folder) / "out"
            for form, levels in (("kdump", oracle.LEVELS), ("elf", ELF_LEVELS)):
                for level in levels:
                    what = f"{name} -d {level} --format {form}"
                    out.unlink(missing_ok=True)
                    if findings.check(what, vmcorectl.convert(dump.raw, out, level, form)):
                        findings.check(what, compare_with_truth(out, expected[level], raw, memmap, level))
                        kept.append(f"{form} {level}: {bits.count(open_dump(out).kept)}")
        print(f"{name}: pages kept, {', '.join(kept)}", flush=True)


if __name__ == "__main__":
    sys.exit(run_test(test, matrix.NAMES, __doc__))
