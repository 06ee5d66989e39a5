# SPDX-License-Identifier: GPL-2.0-or-later
"""What the vCPUs of a stopped guest use: the page each executes, its stack, and the page tables that lead to them.

By the notes of QEMU's own unfiltered ELF dump (target/i386/arch_dump.c, QEMUCPUState version 1) and a walk of its page
tables. It shares no code with vmcorectl.
"""

import struct
from dataclasses import dataclass, field

PAGE = 4096
ADDRESS = 0x000F_FFFF_FFFF_F000
SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss", "ldt", "tr", "gdt", "idt")


@dataclass
class Vcpu:
    number: int
    rip: int
    rsp: int
    cr0: int
    cr3: int
    cr4: int
    cs_base: int
    ss_base: int
    user: bool
    pages: dict = field(default_factory=dict)   # pfn: what for

    def __str__(self) -> str:
        how = "paging" if self.cr0 >> 31 else "no paging"
        return f"vCPU {self.number} {'user' if self.user else 'kernel'} {how} rip {self.rip:#x} cr3 {self.cr3:#x}"


def walk(raw, vcpu: Vcpu, address: int) -> tuple:
    """(tables on the way, physical address or None); the tables end where the walk does."""
    table, tables = vcpu.cr3 & ADDRESS, []
    for level in range(5 if vcpu.cr4 >> 12 & 1 else 4, 0, -1):
        shift = 12 + 9 * (level - 1)
        if not raw.kept >> (table // PAGE) & 1:
            return tables, None
        tables.append(table)
        entry, = struct.unpack("<Q", raw.read(table + (address >> shift & 511) * 8, 8))
        if not entry & 1:
            return tables, None
        if level == 1 or (level < 4 and entry & 0x80):
            size = 1 << shift
            return tables, (entry & ADDRESS & ~(size - 1)) + (address & size - 1)
        table = entry & ADDRESS
    return tables, None


def find_pages(raw, vcpu: Vcpu) -> None:
    if not vcpu.cr0 >> 31:
        vcpu.pages[(vcpu.cs_base + vcpu.rip & 0xFFFF_FFFF) // PAGE] = "code"
        vcpu.pages[(vcpu.ss_base + vcpu.rsp & 0xFFFF_FFFF) // PAGE] = "stack"
    else:
        # What a process executes, or its stack in the first instructions of an entry, is for filters to leave out.
        own_stack = vcpu.rsp >> 63 or not vcpu.rip >> 63
        for what, address, own in (("code", vcpu.rip, not vcpu.user), ("stack", vcpu.rsp, not vcpu.user and own_stack)):
            tables, place = walk(raw, vcpu, address)
            if own or what == "code":
                vcpu.pages.update({table // PAGE: "page table" for table in tables})
            if own and place is not None:
                vcpu.pages[place // PAGE] = what
    # ROM, and what no memory is behind, is in no dump.
    vcpu.pages = {pfn: what for pfn, what in vcpu.pages.items() if raw.ram >> pfn & 1}


def vcpus(raw) -> list:
    """Of an ElfFile, with the pages that each uses."""
    found = []
    for name, kind, text in raw.notes:
        if name != "QEMU" or kind != 0:
            continue
        words = struct.unpack_from("<18Q", text, 8)
        segments = {segment: struct.unpack_from("<IIIIQ", text, 152 + 24 * at) for at, segment in enumerate(SEGMENTS)}
        cr = struct.unpack_from("<5Q", text, 392)
        vcpu = Vcpu(len(found), rip=words[16], rsp=words[6], cr0=cr[0], cr3=cr[3], cr4=cr[4], cs_base=segments["cs"][4],
                    ss_base=segments["ss"][4], user=segments["cs"][0] & 3 == 3)
        find_pages(raw, vcpu)
        found.append(vcpu)
    return found


def missing(raw, kept: int) -> list:
    """Lines about pages that vCPUs use and that are not among the kept ones."""
    return [f"{vcpu}: {what} {pfn * PAGE:#x} is not in the dump"
            for vcpu in vcpus(raw) for pfn, what in sorted(vcpu.pages.items()) if not kept >> pfn & 1]
