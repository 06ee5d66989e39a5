#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs that the fuzzers of whole jobs begin with, one file each: make_seeds.py FOLDER.

Their form is at the top of each fuzzer. From these the fuzzer knows at once each format, each level, each frame, and what
lies where a kernel's own numbers do; by itself it would come there late, or never.
"""

import itertools
import struct
import sys
from pathlib import Path

LEVELS = (0, 1, 2, 8, 16, 31)
EXTREMES = (0, 1, 1 << 32, (1 << 64) - 1)

# Words of a guest's memory by number, as builders/kernel_fuzz.cc has them.
IMAGE, POOL, STRUCT_PAGES, LISTS = 0, 0x8000, 0xF000, 0xF800

# What a kernel tells of itself, wrong.
LINES = (b"SIZE(page)=32\n", b"SIZE(page)=256\n", b"SIZE(list_head)=0\n", b"OFFSET(page.flags)=60\n",
         b"OFFSET(page.mapping)=0\n", b"NUMBER(PG_lru)=63\n", b"NUMBER(PG_slab)=200\n", b"NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)=0\n",
         b"KERNELOFFSET=0\n", b"NUMBER(phys_base)=-1\n", b"SYMBOL(mem_section)=0\n", b"SYMBOL(init_uts_ns)=ffffffffffffffff\n", b"OSRELEASE=\n",
         b"LENGTH(zone.free_area)=64\n", b"CRASHTIME=18446744073709551615\n")


def words(*pairs) -> bytes:
    return struct.pack("B", len(pairs)) + b"".join(struct.pack("<HQ", place, value) for place, value in pairs)


def guest(level: int, form: int, layout: int, changed: bytes = b"\0", lines: bytes = b"") -> bytes:
    return bytes([level, form, layout]) + changed + lines


def conversions():
    for level, form, layout in itertools.product(LEVELS, range(3), range(3)):
        yield guest(level, form, layout)
    for layout, line in itertools.product(range(3), LINES):
        yield guest(31, 0, layout, lines=line)
    for layout, value in itertools.product(range(3), EXTREMES):
        for first in (STRUCT_PAGES, LISTS, POOL, IMAGE):
            yield guest(31, 0, layout, words(*((first + 8 * i, value) for i in range(8))))
    # Of a file: each word of its headers, and places in its pages.
    for form, place, value in itertools.product(range(3), [*range(0, 128, 8), 4096, 8192, 12288], EXTREMES):
        yield bytes([0x80 | 31, form | (form << 4)]) + struct.pack("<I", place)[:3] + struct.pack("<Q", value)


def change(frame: int, deed: int, where: int = 0, put: bytes = b"") -> bytes:
    return bytes([frame, deed]) + struct.pack("<I", where)[:3] + bytes([len(put)]) + put


def streams():
    overwrite, insert, erase, drop, repeat, swap, kind, cut = range(8)
    for level in LEVELS:
        yield bytes([level])
    for frame in range(12):
        for deed in (drop, repeat, cut):
            yield bytes([31]) + change(frame, deed)
        for other in (0, 2, 5):
            yield bytes([31]) + change(frame, swap, other)
        for number in (*range(1, 10), 16):
            yield bytes([31]) + change(frame, kind, number)
        for where, value in itertools.product((0, 8, 16, 24, 4096, 65536), EXTREMES):
            yield bytes([31]) + change(frame, overwrite, where, struct.pack("<Q", value))
        yield bytes([31]) + change(frame, insert, 16, b"key=value\n" * 20)
        yield bytes([31]) + change(frame, erase, 0, bytes(100))
    for line in (b"RAM=0-10000000000\n", b"RAM=1000-2000\n", b"LEVEL=99\n", b"ENCRYPTED=1\n", b"PSTORE=1\n"):
        yield bytes([31]) + change(0, insert, 0, line)


def main() -> int:
    for name, inputs in (("conversion_fuzzer", conversions()), ("worker_stream_fuzzer", streams())):
        folder = Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs):
            (folder / f"{number:05}").write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
