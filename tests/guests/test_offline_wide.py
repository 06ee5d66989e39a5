#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""test_offline.py on every kernel, with CMA where the kernel has it; and sections that are not online and in use:
those of memory blocks that hold their own struct pages, and those of persistent memory."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.guest import Guest
from guests.harness import run_test, scratch_folder
from guests.test_offline import classes_of, config, obey, plug, test_guest
from peers import bits, compare, secrets
from peers.kdumpfile import ElfFile, open_dump
from peers.memmap import Memmap

KERNELS = ("6.1", "6.12", "newest")
BLOCK_MIB = 128
PMEM_MODULES = ("nd_e820", "nd_pmem")


def sections_in_use(vmcorectl, guest, folder: Path, findings, own: int) -> None:
    """One section of the guest is not online and holds so many pages of struct pages; it is not taken for offline."""
    name, path, out = guest.config.name, guest.dump_elf(folder / "raw"), folder / "out"
    raw = ElfFile(path)
    memmap = Memmap(raw)
    used = secrets.find(raw, secrets.seeds(guest.console)).get("used", 0)
    struct_pages = memmap.pages_with_struct_pages(memmap.not_online)
    of_sections = memmap.pages_of(memmap.not_online)
    print(f"  {name}: not online: {sorted(memmap.not_online)}, struct pages in them: "
          f"{bits.count(struct_pages & of_sections)}, {used} secrets", flush=True)
    expect(findings, name, [
        ("sections", len(memmap.not_online), 1), ("own", bits.count(struct_pages & of_sections), own),
        ("secrets", used > 1000, "SECRET used" in guest.console),
        ("offline_section", classes_of(vmcorectl, path).get("offline_section"), 0)])
    out.unlink(missing_ok=True)
    if findings.check(name, vmcorectl.convert(path, out, 31)):
        kept = open_dump(out).kept
        findings.check(name, compare.describe("struct pages not kept", struct_pages & ~kept, memmap)
                       + compare.describe("not kept", of_sections & raw.kept & ~kept, memmap))
    path.unlink()


def test(vmcorectl, _, findings) -> None:
    with scratch_folder() as scratch:
        folder = Path(scratch)
        for kernel in KERNELS:
            with Guest(config(kernel, "cma=64M")) as guest:
                test_guest(vmcorectl, guest, folder, findings)
            with Guest(config(kernel, "memory_hotplug.memmap_on_memory=Y", name="/memmap-on-memory")) as guest:
                plug(guest, 0, BLOCK_MIB)   # up to v6.7 only memory of one block holds its struct pages
                obey(guest, f"used {BLOCK_MIB}", "USED")
                obey(guest, "offline", "OFFLINE 1")
                guest.panic()
                sections_in_use(vmcorectl, guest, folder, findings, 512)
            with Guest(config(kernel, "memmap=128M!256M", modules=PMEM_MODULES, name="/pmem")) as guest:
                guest.panic()
                sections_in_use(vmcorectl, guest, folder, findings, 0)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
