#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each guest of the matrix is what its name says, so that the other tests mean what they claim. Needs no vmcorectl."""

import re
import struct
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import matrix
from guests.harness import Findings
from peers import bits, secrets
from peers.kdumpfile import ElfFile
from peers.memmap import Memmap

USER_CODE = 3           # the privilege level in CS
PTI_USER_TABLE = 1 << 12


def cpu_states(raw: ElfFile) -> list:
    """(CS selector, RIP, CR3) of each CPU, from QEMU's own notes."""
    states = []
    for name, kind, data in raw.notes:
        if name == "QEMU" and kind == 0:
            rip, = struct.unpack_from("<Q", data, 8 + 16 * 8)
            selector, = struct.unpack_from("<I", data, 8 + 18 * 8)
            cr3, = struct.unpack_from("<Q", data, 8 + 18 * 8 + 10 * 24 + 3 * 8)
            states.append((selector, rip, cr3))
    return states


def wrong(dump) -> list:
    """What of the guest is not as configured."""
    config, raw = dump.config, ElfFile(dump.raw)
    memmap, states = Memmap(raw), cpu_states(raw)
    facts = {
        "CPUs": (len(states), config.cpus),
        "MiB of RAM with a memmap": (bits.count(raw.kept & memmap.pages) >> 8, config.memory_mib),
        "the note is there": (bool(raw.vmcoreinfo), config.vmcoreinfo),
        "page table levels": (memmap.levels, 5 if config.la57 else 4),
        "kernel was moved": (int(memmap.info["KERNELOFFSET"], 16) != 0, config.kaslr),
        "RAM above 4 GiB": (raw.kept & memmap.pages >= 1 << (1 << 20), config.memory_mib > 2048),
        "kinds of secrets": (len(secrets.seeds(dump.console)), len(secrets.ANONYMOUS + secrets.CACHE + secrets.FREED)),
        "nodes": (nodes_of(raw, memmap), config.nodes),
    }
    panicked = re.findall(r"CPU: (\d+) .*Comm: workload", dump.console)
    facts["panicked on"] = ([int(cpu) for cpu in panicked[:1]], [config.panic_cpu] if config.panic_cpu >= 0 else [])
    if config.offline_cpu >= 0:
        facts["CPU went offline"] = (f"CPU {config.offline_cpu} is now offline" in log_text(raw), True)
    if config.panic_cpu < 0:
        selector, _, cr3 = states[config.spin_cpu]
        facts["CPU in user mode"] = (selector & 3, USER_CODE)
        facts["under PTI's user table"] = (bool(cr3 & PTI_USER_TABLE), config.pti)
    return [f"{what}: {found}, not {expected}" for what, (found, expected) in facts.items() if found != expected]


def nodes_of(raw: ElfFile, memmap: Memmap) -> int:
    """By the node number in the flags of each section's first struct page (bits 54 and up on Debian's x86-64)."""
    offset = int(memmap.info["OFFSET(page.flags)"])
    first_pages = (number * memmap.section_pages + 4096 for number in memmap.sections)
    flags = (struct.unpack_from("<Q", memmap.struct_page(pfn), offset)[0] for pfn in first_pages)
    return len({value >> 54 for value in flags})


def log_text(raw: ElfFile) -> str:
    """All of memory where the kernel log may lie, as text: enough to look for one message."""
    found = []
    for match in re.finditer(rb"smpboot: CPU \d+ is now offline", raw.map):
        found.append(match[0].decode())
    return "\n".join(found)


def main() -> int:
    findings = Findings()
    for name in sys.argv[1:] or matrix.NAMES:
        findings.check(name, wrong(matrix.dump_of(matrix.config_of(name))))
    return findings.exit_code()


if __name__ == "__main__":
    sys.exit(main())
