#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest kernel's memmap, walked independently: which pfns have a struct page, and what it says.

    memmap.py RAW [PFN...]     the ranges with a memmap; for each PFN the fields that filters look at

Page tables and mem_section are read from a raw (unfiltered) dump with the names of its own VMCOREINFO. x86-64 only.
"""

import re
import struct
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import bits
from peers.kdumpfile import PAGE, ElfFile
from peers.oracle import find_vmcoreinfo

KERNEL_MAP = 0xFFFFFFFF80000000
ADDRESS = 0x000FFFFFFFFFF000
PRESENT, LARGE = 1, 1 << 7


class Memmap:
    def __init__(self, raw: ElfFile):
        self.raw = raw
        self.info = dict(re.findall(r"^([^=\n]+)=(.*)$", (raw.vmcoreinfo or find_vmcoreinfo(raw)).decode(), re.M))
        self.section_pages = 1 << self._number("SECTION_SIZE_BITS") - 12
        self.levels = 5 if self._number("pgtable_l5_enabled", 0) else 4
        root = self._symbol("swapper_pg_dir")
        self.root = root - KERNEL_MAP + self._number("phys_base", 0)
        self.page_size = int(self.info["SIZE(page)"])
        self.sections = self._read_sections()
        self.pages = self.pages_of(self.sections)

    def _number(self, name: str, default=None) -> int:
        text = self.info.get(f"NUMBER({name})")
        if text is None and default is not None:
            return default
        return int(text, 0)

    def _symbol(self, name: str) -> int:
        return int(self.info[f"SYMBOL({name})"], 16)

    def _offset(self, name: str) -> int:
        return int(self.info[f"OFFSET({name})"])

    def translate(self, virtual: int) -> int:
        """Physical address of a kernel address."""
        table = self.root
        for level in range(self.levels, 0, -1):
            shift = 12 + 9 * (level - 1)
            entry, = struct.unpack("<Q", self.raw.read(table + 8 * (virtual >> shift & 511), 8))
            if not entry & PRESENT:
                raise KeyError(f"{virtual:#x} is not mapped")
            if level == 1 or level <= 3 and entry & LARGE:
                mask = (1 << shift) - 1
                return (entry & ADDRESS & ~mask) | virtual & mask
            table = entry & ADDRESS
        raise AssertionError

    def read(self, virtual: int, size: int) -> bytes:
        data = b""
        while len(data) < size:
            at = virtual + len(data)
            part = min(size - len(data), PAGE - at % PAGE)
            data += self.raw.read(self.translate(at), part)
        return data

    def _read_sections(self) -> dict:
        """section number -> virtual address of its memmap, biased so that pfn * SIZE(page) can be added."""
        size = int(self.info["SIZE(mem_section)"])
        roots = int(self.info["LENGTH(mem_section)"])
        per_root = PAGE // size
        table = self._symbol("mem_section")
        map_at = self._offset("mem_section.section_mem_map")
        # Since 4.15 SYMBOL(mem_section) is a pointer's address, or the root array itself (a dynamic one).
        sections = {}
        self.not_online = set()
        data = self.read(table, 8 * roots)
        for root, address in enumerate(struct.unpack(f"<{roots}Q", data)):
            if address:
                content = self.read(address, PAGE)
                for number in range(per_root):
                    encoded, = struct.unpack_from("<Q", content, number * size + map_at)
                    if encoded & 1:     # SECTION_MARKED_PRESENT
                        sections[root * per_root + number] = encoded & ~0x1F
                        if not encoded & 4:     # SECTION_IS_ONLINE
                            self.not_online.add(root * per_root + number)
        return sections

    def pages_of(self, sections) -> int:
        """The pages of sections, which are given by their numbers."""
        return bits.from_ranges((number * self.section_pages, (number + 1) * self.section_pages)
                                for number in sorted(sections))

    def pages_with_struct_pages(self, sections) -> int:
        """Where the struct pages of sections lie."""
        pages = set()
        for number in sections:
            first = self.sections[number] + number * self.section_pages * self.page_size
            pages.update(self.translate(at) // PAGE
                         for at in range(first, first + self.section_pages * self.page_size, PAGE))
        return bits.from_members(sorted(pages))

    def has_flag(self, pfn: int, name: str) -> bool:
        flags, = struct.unpack_from("<Q", self.struct_page(pfn), self._offset("page.flags"))
        return flags >> self._number(name) & 1 == 1

    def struct_page(self, pfn: int) -> bytes:
        return self.read(self.sections[pfn // self.section_pages] + pfn * self.page_size, self.page_size)

    def describe(self, pfn: int) -> str:
        """The fields by which filters decide, of the page and of its head."""
        if not bits.contains(self.pages, pfn):
            return f"{pfn:#9x}: no memmap"
        page = self.struct_page(pfn)
        compound, = struct.unpack_from("<Q", page, self._head_offset())
        text = f"{pfn:#9x}: {self._fields(page)}"
        if compound & 1:
            text += f" tail of: {self._fields(self.read(compound - 1, self.page_size))}"
        return text

    def _head_offset(self) -> int:
        return self._offset("page.compound_head" if "OFFSET(page.compound_head)" in self.info else "page.compound_info")

    def _fields(self, page: bytes) -> str:
        flags, = struct.unpack_from("<Q", page, self._offset("page.flags"))
        mapping, = struct.unpack_from("<Q", page, self._offset("page.mapping"))
        private, = struct.unpack_from("<Q", page, self._offset("page.private"))
        mapcount, = struct.unpack_from("<I", page, self._offset("page._mapcount"))
        count, = struct.unpack_from("<i", page, self._offset("page._refcount"))
        known = [(name, self._number(name)) for name in ("PG_lru", "PG_private", "PG_swapcache", "PG_swapbacked",
                 "PG_slab", "PG_hwpoison") if f"NUMBER({name})" in self.info]
        names = "|".join(name for name, bit in known if flags >> bit & 1)
        return (f"flags {flags:#x} ({names}) mapping {mapping:#x} private {private:#x} "
                f"mapcount/type {mapcount:#x} refcount {count}")


def main() -> int:
    memmap = Memmap(ElfFile(sys.argv[1]))
    for first, end in bits.ranges(memmap.pages):
        print(f"memmap for pfns {first:#x} to {end:#x}, {memmap.levels} levels")
    for pfn in sys.argv[2:]:
        print(memmap.describe(int(pfn, 0)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
