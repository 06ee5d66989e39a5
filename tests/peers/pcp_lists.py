#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The freed pages on a guest's per-CPU lists, found independently: pcp_lists.py RAW CONSOLE_LOG

Types come from the guest's BTF, which bpftool reads from a copy that is cut out of the raw dump. The guest's console
names the few symbols that VMCOREINFO does not export ("SYMBOL NAME ADDRESS", initramfs.py). x86-64 only.
"""

import functools
import json
import re
import struct
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import bits, tools
from peers.kdumpfile import ElfFile
from peers.memmap import Memmap

SYMBOLS = ("__per_cpu_offset", "__cpu_possible_mask", "nr_cpu_ids")
COSTLY_ORDER, HUGE_ORDER, TYPES = 3, 9, 3
MASK = (1 << 64) - 1     # per-CPU symbols are not zero-based since 6.15: offsets wrap
MAGIC = b"\x9f\xeb\x01\x00"


def symbols(console: str) -> dict:
    found = {name: int(address, 16) for name, address in re.findall(r"SYMBOL (\S+) ([0-9a-f]+)", console)}
    missing = [name for name in SYMBOLS if name not in found]
    if missing:
        raise ValueError(f"the console names no {missing}")
    return found


def btf_texts(raw: ElfFile):
    """Each thing in the dump that looks like the BTF of a kernel."""
    for _, offset, filesz, _, _ in raw.segments:
        at = raw.map.find(MAGIC, offset, offset + filesz)
        while at >= 0:
            header, _, types, strings_at, strings = struct.unpack_from("<5I", raw.map[at + 4:at + 24])
            if header in (24, 32) and 1 << 20 < strings_at + strings < 64 << 20 and types:
                yield raw.map[at:at + header + strings_at + strings]
            at = raw.map.find(MAGIC, at + 1, offset + filesz)


def types_of(raw: ElfFile) -> list:
    for text in btf_texts(raw):
        with tempfile.NamedTemporaryFile() as file:
            file.write(text)
            file.flush()
            done = tools.run("bpftool", "btf", "dump", "file", file.name, "-j")
        if done.returncode == 0:
            return json.loads(done.stdout)["types"]
    raise ValueError(f"{raw.path}: no BTF")


class Types:
    def __init__(self, types: list):
        self.by_id = {each["id"]: each for each in types}
        self.structs = {}
        for each in types:
            if each["kind"] == "STRUCT":
                self.structs.setdefault(each["name"], each)

    def member(self, of: str, *names) -> tuple:
        """(offset in bytes, type) of the first of these members that there is, through anonymous ones."""
        for name in names:
            found = self._find(self.structs[of], name) if of in self.structs else None
            if found:
                return found
        raise KeyError(f"struct {of} has none of {names}")

    def _find(self, struct_type: dict, name: str):
        for each in struct_type["members"]:
            offset, kind = each["bits_offset"] // 8, self.by_id.get(each["type_id"])
            if each["name"] == name:
                return offset, kind
            if each["name"] == "(anon)" and kind["kind"] in ("STRUCT", "UNION"):
                inner = self._find(kind, name)
                if inner:
                    return offset + inner[0], inner[1]
        return None


class Lists:
    def __init__(self, raw: ElfFile, memmap: Memmap, console: str):
        self.memmap = memmap
        self.symbols = symbols(console)
        types = Types(types_of(raw))
        self.links = types.member("page", "pcp_list", "lru")[0]
        self.in_zone, self.inner = types.member("zone", "per_cpu_pageset", "pageset")[0], 0
        if "per_cpu_pageset" in types.structs:
            self.inner = types.member("per_cpu_pageset", "pcp")[0]
        self.count_at = types.member("per_cpu_pages", "count")[0]
        self.lists_at, array = types.member("per_cpu_pages", "lists")
        self.lists = array["nr_elems"]
        self.zone_size = types.structs["zone"]["size"]
        self.zones_at = types.member("pglist_data", "node_zones")[0]
        self.zones = types.member("pglist_data", "node_zones")[1]["nr_elems"]
        self.entry = {(memmap.sections[number] + number * memmap.section_pages * memmap.page_size): number
                      for number in memmap.sections}
        self.broken = 0

    def word(self, at: int) -> int:
        return struct.unpack("<Q", self.memmap.read(at, 8))[0]

    def offsets(self) -> list:
        """Of the CPUs that are possible."""
        cpus, = struct.unpack("<I", self.memmap.read(self.symbols["nr_cpu_ids"], 4))
        return [self.word(self.symbols["__per_cpu_offset"] + 8 * cpu) for cpu in range(cpus)
                if self.word(self.symbols["__cpu_possible_mask"] + cpu // 64 * 8) >> cpu % 64 & 1]

    def zone_addresses(self):
        count = int(self.memmap.info.get("LENGTH(node_data)", "1"))
        table = self.memmap._symbol("node_data")
        for node in filter(None, (self.word(table + 8 * number) for number in range(count))):
            for index in range(self.zones):
                yield node + self.zones_at + index * self.zone_size

    def order(self, index: int) -> int:
        return index // TYPES if index // TYPES <= COSTLY_ORDER else HUGE_ORDER

    def pfn(self, page: int) -> int:
        section_bytes = self.memmap.section_pages * self.memmap.page_size
        first, = [first for first in self.entry if first <= page < first + section_bytes]
        return self.entry[first] * self.memmap.section_pages + (page - first) // self.memmap.page_size

    def of_set(self, place: int) -> list:
        """The pages of all lists of a zone and a CPU; none if they are not as many as are counted."""
        pages, place = [], place + self.inner
        for index in range(self.lists):
            head = place + self.lists_at + 16 * index
            before, at = head, self.word(head)
            while at != head:
                if self.word(at + 8) != before or len(pages) > 1 << 24:
                    return None
                first = self.pfn(at - self.links)
                pages += range(first, first + (1 << self.order(index)))
                before, at = at, self.word(at)
        count, = struct.unpack("<i", self.memmap.read(place + self.count_at, 4))
        return pages if len(pages) == count else None

    def pages(self) -> int:
        places = {pointer + offset & MASK for pointer in map(lambda zone: self.word(zone + self.in_zone), self.zone_addresses())
                  for offset in self.offsets()}
        found = set()
        for place in places:
            of_set = self.of_set(place)
            if of_set is None:
                self.broken += 1
            else:
                found.update(of_set)
        return bits.from_members(sorted(found))


@functools.cache
def listed(raw_path, console: str) -> int:
    """The pages on per-CPU lists of a raw dump."""
    raw = ElfFile(raw_path)
    return Lists(raw, Memmap(raw), console).pages()


def main() -> int:
    raw = ElfFile(sys.argv[1])
    lists = Lists(raw, Memmap(raw), Path(sys.argv[2]).read_text(errors="replace"))
    print(f"{bits.count(lists.pages())} pages on lists, {lists.broken} sets disagree with their count, "
          f"{lists.lists} lists in each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
