#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Searches a dump for the secret pages that workload.c planted: secrets.py DUMP CONSOLE_LOG

Each page is made again from its seed and compared whole. Of an ELF file the room between segments is searched as
well: what no program header names must be gone, too.
"""

import itertools
import os
import re
import struct
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import bits
from peers.kdumpfile import PAGE, open_dump

WORDS = PAGE // 8
MASK = (1 << 64) - 1
# What each dump level must take away. tmpfs and shared anonymous memory are page cache to a filter.
ANONYMOUS = ("anon", "thp", "hugetlb", "private-file")
CACHE = ("shmem", "tmpfs", "cache-written", "cache-read")
FREED = ("freed",)      # by a guest that panics; else it is anonymous


def word(seed: int, index: int) -> int:
    """splitmix64, as in workload.c."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def page_start(seed: int, number: int, words: int = 2) -> bytes:
    return struct.pack(f"<{words}Q", *(word(seed, number * WORDS + i) for i in range(words)))


def seeds(console: str) -> list:
    """(kind, seed, pages) of each SECRET line."""
    return [(kind, int(seed, 16), int(pages))
            for kind, seed, pages in re.findall(r"SECRET (\S+) ([0-9a-f]{16}) (\d+)", console)]


def places(dump, secrets: list) -> dict:
    """kind -> the pages of the dump that hold its secrets."""
    starts = {page_start(seed, number): (kind, seed, number)
              for kind, seed, pages in secrets for number in range(pages)}
    found = {kind: [] for kind, _, _ in secrets}
    for pfn in bits.members(dump.kept):
        page = dump.page(pfn)
        known = starts.get(page[:16])
        if known and page == page_start(*known[1:], words=WORDS):
            found[known[0]].append(pfn)
    return {kind: bits.from_members(pfns) for kind, pfns in found.items()}


def find(dump, secrets: list) -> dict:
    """kind -> how many of its secret pages the dump holds."""
    starts = {page_start(seed, number): (kind, seed, number)
              for kind, seed, pages in secrets for number in range(pages)}
    found = {kind: set() for kind, _, _ in secrets}
    pages = (dump.page(pfn) for pfn in bits.members(dump.kept))
    for page in pages if dump.kind == "kdump" else itertools.chain(pages, stray_pages(dump)):
        known = starts.get(page[:16])
        if known and page == page_start(*known[1:], words=WORDS):
            found[known[0]].add(known[2])
    return {kind: len(numbers) for kind, numbers in found.items()}


def stray_pages(dump):
    """Every page of the file's data, holes left out, at each alignment that the segments have."""
    alignments = {offset % PAGE for _, offset, _, _, _ in dump.segments}
    with open(dump.path, "rb") as file:
        for start, end in data_extents(file.fileno()):
            for alignment in alignments:
                first = start + (alignment - start) % PAGE
                for at in range(first, end, PAGE):
                    yield dump.map[at:at + PAGE]


def data_extents(fd: int):
    end = 0
    while True:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError:     # no data up to the end of the file
            return
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end


def main() -> int:
    dump = open_dump(sys.argv[1])
    secrets = seeds(Path(sys.argv[2]).read_text())
    for kind, number in find(dump, secrets).items():
        print(f"{kind}: {number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
