#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Compares two dumps of one guest, ours and an oracle's: the same pages kept, with the same contents.

    compare.py OURS ORACLE [--raw RAW] [--every N]

With RAW (the unfiltered dump) only pages that have a struct page count, and what differs is described by it.
Exits 1 when there is a difference, and prints it.
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import bits
from peers.kdumpfile import ElfFile, open_dump
from peers.memmap import Memmap

SHOWN = 8


def describe(title: str, pages: int, memmap=None) -> list:
    """How many pages, the first runs of them, and what the kernel says of the first page of each."""
    if not pages:
        return []
    runs = bits.ranges(pages)
    lines = [f"{title}: {bits.count(pages)} pages in {len(runs)} runs"]
    for first, end in runs[:SHOWN]:
        lines.append(f"  pfns {first:#x} to {end:#x} ({end - first})")
        if memmap:
            lines.append(f"    {memmap.describe(first)}")
    if len(runs) > SHOWN:
        lines.append(f"  and {len(runs) - SHOWN} runs more")
    return lines


def page_sets(ours: int, oracle: int, memmap=None) -> list:
    """Lines that say how two sets of kept pages differ; none where they are equal."""
    known = memmap.pages if memmap else -1
    return (describe("kept by us, dropped by the oracle", ours & ~oracle & known, memmap)
            + describe("dropped by us, kept by the oracle", oracle & ~ours & known, memmap))


def contents(ours, truth, pages: int, memmap=None) -> list:
    """Lines about pages whose bytes differ, or that cannot be read."""
    wrong, errors = [], []
    for pfn in bits.members(pages):
        try:
            if ours.page(pfn) != truth.page(pfn):
                wrong.append(pfn)
        except Exception as error:      # a reader's complaint is a finding, whatever it is
            errors.append(f"pfn {pfn:#x} cannot be read: {error!r}")
    lines = describe("contents differ", bits.from_members(wrong), memmap)
    if len(errors) > SHOWN:
        errors[SHOWN:] = [f"and {len(errors) - SHOWN} more"]
    return lines + errors


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare two dumps of one guest.")
    parser.add_argument("ours")
    parser.add_argument("oracle")
    parser.add_argument("--raw", help="the unfiltered QEMU dump of the guest")
    parser.add_argument("--every", type=int, default=1, help="compare the contents of one page in N")
    options = parser.parse_args()
    ours, oracle = open_dump(options.ours), open_dump(options.oracle)
    memmap = Memmap(ElfFile(options.raw)) if options.raw else None
    common = bits.sample(ours.kept & oracle.kept, options.every)
    lines = page_sets(ours.kept, oracle.kept, memmap) + contents(ours, oracle, common, memmap)
    print("\n".join(lines) if lines else
          f"equal: {bits.count(ours.kept & oracle.kept)} pages kept, contents of {bits.count(common)} compared")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
