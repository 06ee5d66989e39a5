#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""makedumpfile as the oracle: which pages it keeps of a raw QEMU dump, at any level.

    oracle.py repair RAW OUT          a copy that makedumpfile can read
    oracle.py filter RAW OUT LEVEL    that copy, filtered by makedumpfile into a kdump file

QEMU 7.2 and later put the section headers where makedumpfile expects the program headers; a repaired copy has
them at offset 64, and page data where it was. A guest without the vmcoreinfo device gets the note that its own
memory holds.
"""

import functools
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.cache import cache_dir
from peers import bits, tools
from peers.kdumpfile import PAGE, PT_LOAD, PT_NOTE, ElfFile, open_dump

LEVELS = (0, 1, 2, 4, 8, 16, 31)


class OracleError(Exception):
    pass


def find_vmcoreinfo(raw: ElfFile) -> bytes:
    """The kernel's own VMCOREINFO text: a page of RAM that begins with OSRELEASE=."""
    for paddr, offset, filesz, _, _ in raw.segments:
        at = raw.map.find(b"OSRELEASE=", offset, offset + filesz)
        while at >= 0:
            text = raw.map[at:at + PAGE].split(b"\0")[0]
            if (at - offset + paddr) % PAGE == 0 and b"\nSYMBOL(" in text:
                return text
            at = raw.map.find(b"OSRELEASE=", at + 1, offset + filesz)
    raise OracleError(f"{raw.path}: no VMCOREINFO, neither as a note nor in memory")


def elf_note(name: bytes, text: bytes) -> bytes:
    name += b"\0"
    return (struct.pack("<3I", len(name), len(text), 0) + name + bytes(-len(name) % 4)
            + text + bytes(-len(text) % 4))


def repair(raw_path, out) -> Path:
    """Copies a QEMU dump (holes stay holes) and mends its headers."""
    raw = ElfFile(raw_path)
    count, = raw.unpack("<H", 56)
    headers = [list(raw.unpack("<IIQQQQQQ", raw.phoff + 56 * number)) for number in range(count)]
    first_data = min(header[2] for header in headers if header[0] in (PT_LOAD, PT_NOTE))
    if 64 + 56 * count > first_data:
        raise OracleError(f"{raw_path}: no room for {count} program headers")
    subprocess.run(["cp", "--sparse=auto", "--reflink=auto", str(raw_path), str(out)], check=True)
    Path(out).chmod(0o600)
    with open(out, "r+b") as file:
        if not raw.vmcoreinfo:
            add_note(file, headers, elf_note(b"VMCOREINFO", find_vmcoreinfo(raw)))
        file.seek(64)
        file.write(b"".join(struct.pack("<IIQQQQQQ", *header) for header in headers))
        file.seek(32)
        file.write(struct.pack("<QQ", 64, 0))       # e_phoff, e_shoff
        file.seek(52)
        file.write(struct.pack("<6H", 64, 56, count, 0, 0, 0))
    return Path(out)


def add_note(file, headers: list, note: bytes) -> None:
    """The notes, with one more, move to the end of the file."""
    header = next(header for header in headers if header[0] == PT_NOTE)
    file.seek(header[2])
    notes = file.read(header[5]) + note
    file.seek(0, 2)
    header[2], header[5], header[6] = file.tell(), len(notes), len(notes)
    file.write(notes)


def run_makedumpfile(repaired, out, level: int, codec: str = "-l", name: str = "makedumpfile") -> Path:
    Path(out).unlink(missing_ok=True)
    done = tools.run(name, codec, "-d", level, repaired, out)
    if done.returncode != 0:
        raise OracleError(f"makedumpfile -d {level} {repaired}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr}")
    return Path(out)


@functools.cache
def makedumpfile_version() -> str:
    return tools.run("makedumpfile", "-v").stdout.split("version ")[1].split()[0]


def page_sets(raw_path, levels=LEVELS) -> dict:
    """level -> the pages that makedumpfile keeps. Remembered for a dump that lies in the cache."""
    raw_path = Path(raw_path)
    record = raw_path.with_suffix(f".oracle-{makedumpfile_version()}.json")
    known = json.loads(record.read_text()) if record.exists() else {}
    missing = [level for level in levels if str(level) not in known]
    if missing:
        with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch:
            repaired = repair(raw_path, Path(scratch) / "repaired")
            for level in missing:
                kept = open_dump(run_makedumpfile(repaired, Path(scratch) / "out", level)).kept
                known[str(level)] = bits.ranges(kept)
        if raw_path.is_relative_to(cache_dir()):
            record.write_text(json.dumps(known))
    return {level: bits.from_ranges(known[str(level)]) for level in levels}


def main() -> int:
    if len(sys.argv) == 4 and sys.argv[1] == "repair":
        repair(sys.argv[2], sys.argv[3])
    elif len(sys.argv) == 5 and sys.argv[1] == "filter":
        with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch:
            repaired = repair(sys.argv[2], Path(scratch) / "repaired")
            run_makedumpfile(repaired, sys.argv[3], int(sys.argv[4]))
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
