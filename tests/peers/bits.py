# SPDX-License-Identifier: GPL-2.0-or-later
"""Sets of page frame numbers as one big integer each: bit N stands for pfn N. Union, difference and counting are then one step."""

import re


def from_bytes(data) -> int:
    """A bitmap as the kdump format stores it: least significant bit first."""
    return int.from_bytes(data, "little")


def from_ranges(ranges) -> int:
    """The pages of (first, end) pairs."""
    pairs = [pair for pair in ranges if pair[1] > pair[0]]
    data = bytearray(max((end for _, end in pairs), default=0) // 8 + 1)
    for first, end in pairs:
        start, stop = first // 8, end // 8
        if start == stop:
            data[start] |= (1 << end % 8) - (1 << first % 8)
            continue
        data[start] |= 0x100 - (1 << first % 8)
        data[start + 1:stop] = b"\xff" * (stop - start - 1)
        data[stop] |= (1 << end % 8) - 1
    return from_bytes(data)


def from_members(pfns) -> int:
    """The pages of a sequence of pfns in rising order."""
    found = []
    for pfn in pfns:
        if found and found[-1][1] == pfn:
            found[-1][1] = pfn + 1
        else:
            found.append([pfn, pfn + 1])
    return from_ranges(found)


def ranges(pages: int):
    """(first, end) of each run, in order."""
    text = format(pages, "b")[::-1]
    return [found.span() for found in re.finditer("1+", text)] if pages else []


def members(pages: int):
    for first, end in ranges(pages):
        yield from range(first, end)


def count(pages: int) -> int:
    return pages.bit_count()


def contains(pages: int, pfn: int) -> bool:
    return pages >> pfn & 1 == 1


def sample(pages: int, every: int) -> int:
    """One page in `every`, by pfn, so that the same pages are taken of two sets."""
    if every <= 1:
        return pages
    bits = pages.bit_length()
    pattern = 0
    for first in range(0, every * 8, every):
        pattern |= 1 << first
    return pages & from_bytes(pattern.to_bytes(every, "little") * (bits // (every * 8) + 1))
