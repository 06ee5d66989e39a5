#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An independent reader of vmcores: kdump-compressed (version 6) and ELF, QEMU's included. Prints a summary when run.

Both kinds offer the same: `ram` and `kept` (page sets, see bits.py), `page(pfn)`, `vmcoreinfo`, `notes`.
It shares no code with vmcorectl, and trusts nothing that it can check.
"""

import mmap
import struct
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import bits, codecs

PAGE = 4096
ZERO_PAGE = bytes(PAGE)
PT_LOAD, PT_NOTE, PN_XNUM = 1, 4, 0xFFFF


class FormatError(Exception):
    pass


def open_dump(path):
    """A KdumpFile or an ElfFile."""
    with open(path, "rb") as file:
        magic = file.read(8)
    if magic == b"KDUMP   ":
        return KdumpFile(path)
    if magic[:4] == b"\x7fELF":
        return ElfFile(path)
    raise FormatError(f"{path}: neither kdump nor ELF: {magic!r}")


def parse_notes(data: bytes) -> list:
    """(name, type, description) of each ELF note."""
    notes, at = [], 0
    while at + 12 <= len(data):
        name_size, size, kind = struct.unpack_from("<3I", data, at)
        name = data[at + 12:at + 12 + name_size].rstrip(b"\0").decode(errors="replace")
        start = at + 12 + (name_size + 3 & ~3)
        if start + size > len(data):
            raise FormatError("a note leaves its segment")
        notes.append((name, kind, data[start:start + size]))
        at = start + (size + 3 & ~3)
    return notes


class Mapped:
    """A file, mapped read-only."""

    def __init__(self, path):
        self.path = Path(path)
        with open(path, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

    def bytes_at(self, offset: int, size: int) -> bytes:
        data = self.map[offset:offset + size]
        if len(data) != size:
            raise FormatError(f"{self.path}: {size} bytes at {offset:#x} are not in the file")
        return data

    def unpack(self, form: str, offset: int) -> tuple:
        return struct.unpack(form, self.bytes_at(offset, struct.calcsize(form)))

    @property
    def vmcoreinfo(self) -> bytes:
        return next((text for name, _, text in self.notes if name == "VMCOREINFO"), b"")


class KdumpFile(Mapped):
    kind = "kdump"

    def __init__(self, path):
        super().__init__(path)
        signature, self.version = self.unpack("<8si", 0)
        if signature != b"KDUMP   " or self.version != 6:
            raise FormatError(f"{path}: version {self.version}, not 6")
        self.status, self.block_size, sub_blocks, bitmap_blocks = self.unpack("<IiiI", 424)
        self.nr_cpus, = self.unpack("<i", 460)
        if self.block_size != PAGE:
            raise FormatError(f"{path}: block size {self.block_size}")
        self._read_sub_header()
        self._read_bitmaps(1 + sub_blocks, bitmap_blocks)

    def _read_sub_header(self) -> None:
        (self.phys_base, self.level, self.split, _, _, info_at, info_size, note_at, note_size, _, _, _, _,
         self.max_pfn) = self.unpack("<Qii10QQ", self.block_size)
        self.notes = parse_notes(self.bytes_at(note_at, note_size)) if note_at else []
        self.header_vmcoreinfo = self.bytes_at(info_at, info_size) if info_at else b""
        if not self.vmcoreinfo and self.header_vmcoreinfo:
            self.notes.append(("VMCOREINFO", 0, self.header_vmcoreinfo))

    def _read_bitmaps(self, first_block: int, blocks: int) -> None:
        at, half = first_block * self.block_size, blocks // 2 * self.block_size
        if half * 8 < self.max_pfn:
            raise FormatError(f"{self.path}: bitmaps of {half} bytes for {self.max_pfn} pages")
        self.ram = bits.from_bytes(self.bytes_at(at, half))
        self.kept = bits.from_bytes(self.bytes_at(at + half, half))
        if self.kept & ~self.ram:
            raise FormatError(f"{self.path}: pages are kept that are not RAM")
        if self.ram >> self.max_pfn:
            raise FormatError(f"{self.path}: pages beyond max_mapnr")
        self.descriptors_at = at + 2 * half
        self._first_rank = {}
        rank = 0
        self._runs = bits.ranges(self.kept)
        for first, end in self._runs:
            for block in range(first >> 9, (end - 1 >> 9) + 1):
                self._first_rank.setdefault(block, []).append((first, end, rank))
            rank += end - first
        self._cached = (-1, b"")

    def descriptor(self, pfn: int) -> tuple:
        """(offset, size, flags) of a kept page."""
        for first, end, rank in self._first_rank.get(pfn >> 9, ()):
            if first <= pfn < end:
                return self.unpack("<QIIQ", self.descriptors_at + 24 * (rank + pfn - first))[:3]
        raise KeyError(f"pfn {pfn:#x} is not in {self.path}")

    def page(self, pfn: int) -> bytes:
        offset, size, flags = self.descriptor(pfn)
        if self._cached[0] == offset:      # the shared zero page, mostly
            return self._cached[1]
        if offset == 0:
            raise FormatError(f"pfn {pfn:#x} was lost (descriptor 0)")
        page = codecs.decode(flags, self.bytes_at(offset, size), self.block_size)
        self._cached = (offset, page)
        return page

    def codecs_used(self) -> dict:
        """Codec name -> number of pages."""
        used = {}
        for number in range(bits.count(self.kept)):
            flags = self.unpack("<I", self.descriptors_at + 24 * number + 12)[0]
            name = codecs.NAMES.get(flags, hex(flags))
            used[name] = used.get(name, 0) + 1
        return used


class ElfFile(Mapped):
    """Excluded pages have no PT_LOAD; a zero page is a hole of the file inside one."""
    kind = "elf"

    def __init__(self, path):
        super().__init__(path)
        self.phoff, self.shoff = self.unpack("<QQ", 32)
        self.flags, self.ehsize, phentsize, phnum = self.unpack("<IHHH", 48)
        if phentsize != 56:
            raise FormatError(f"{path}: program headers of {phentsize} bytes")
        if phnum == PN_XNUM:
            phnum, = self.unpack("<I", self.shoff + 44)
        self.segments, self.notes = [], []
        for number in range(phnum):
            kind, _, offset, vaddr, paddr, filesz, memsz, _ = self.unpack("<IIQQQQQQ", self.phoff + 56 * number)
            if kind == PT_NOTE:
                self.notes += parse_notes(self.bytes_at(offset, filesz))
            elif kind == PT_LOAD:
                self.segments.append((paddr, offset, filesz, memsz, vaddr))
        self.segments.sort()
        self.ram = bits.from_ranges((paddr // PAGE, (paddr + memsz) // PAGE) for paddr, _, _, memsz, _ in self.segments)
        self.kept = bits.from_ranges((paddr // PAGE, (paddr + filesz) // PAGE)
                                     for paddr, _, filesz, _, _ in self.segments)
        for _, offset, filesz, _, _ in self.segments:
            if offset + filesz > len(self.map):
                raise FormatError(f"{path}: a segment ends at {offset + filesz:#x}, the file at {len(self.map):#x}")
        self._by_block = {}
        for segment in self.segments:
            for block in range(segment[0] >> 21, (segment[0] + segment[2] >> 21) + 1):
                self._by_block.setdefault(block, []).append(segment)

    def offset_of(self, physical: int) -> int:
        for paddr, offset, filesz, _, _ in self._by_block.get(physical >> 21, ()):
            if paddr <= physical < paddr + filesz:
                return offset + physical - paddr
        raise KeyError(f"{physical:#x} is not in {self.path}")

    def page(self, pfn: int) -> bytes:
        return self.bytes_at(self.offset_of(pfn * PAGE), PAGE)

    def read(self, physical: int, size: int) -> bytes:
        """Bytes of one page or more; the range must lie in one segment."""
        return self.bytes_at(self.offset_of(physical), size)


def summary(dump) -> str:
    lines = [f"{dump.path}: {dump.kind}",
             f"  RAM pages   {bits.count(dump.ram)}",
             f"  kept pages  {bits.count(dump.kept)}",
             f"  notes       {' '.join(name for name, _, _ in dump.notes)}",
             f"  release     {dump.vmcoreinfo[:64].splitlines()[:1]}"]
    if dump.kind == "kdump":
        lines.append(f"  codecs      {dump.codecs_used()}")
        lines.append(f"  level       {dump.level}")
    else:
        lines.append(f"  segments    {len(dump.segments)}")
    return "\n".join(lines)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(summary(open_dump(argument)))
