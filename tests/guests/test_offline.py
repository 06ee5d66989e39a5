#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory blocks that are taken offline, and pages that the kernel knows to be faulty.

What a process left in memory that was taken offline afterwards is in no dump of level 16 and above. A block that is
isolated and not offline yet has free pages like any other. Faulty pages are in no dump, free or not. Compared with
the guest's own sections and struct pages (peers/memmap.py) and with makedumpfile, which does not know of offline ones.
"""

import json
import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from peers import bits, compare, oracle, pcp_lists, secrets
from peers.kdumpfile import ElfFile, open_dump
from peers.memmap import Memmap

SECONDS = 120
DIMM_MIB = 256
LEVELS = (0, 16, 31)


def config(kernel: str, *words, modules: tuple = (), name: str = "") -> Config:
    return Config(name=f"offline/{kernel}{name}", kernel=kernel, memory_mib=512, maxmem="4G", modules=modules,
                  kernel_words=("memhp_default_state=online_movable", *words))


def plug(guest, number: int, mib: int = DIMM_MIB) -> None:
    guest.qmp("object-add", **{"qom-type": "memory-backend-ram", "id": f"hot{number}", "size": mib << 20})
    guest.qmp("device_add", driver="pc-dimm", id=f"dimm{number}", memdev=f"hot{number}")


def obey(guest, order: str, answer: str) -> None:
    guest.tell(order)
    guest.wait_for_line(answer, SECONDS)


def prepare(guest) -> None:
    """Faulty pages, a DIMM that was used and is offline, and one a block of which is isolated."""
    obey(guest, "poison", "POISON DONE")
    plug(guest, 0)
    obey(guest, f"used {DIMM_MIB}", "USED")
    obey(guest, "offline", "OFFLINE 2")
    plug(guest, 1)
    obey(guest, f"isolate {DIMM_MIB}", "ISOLATED")
    guest.panic()


def truth_of(guest, memmap: Memmap, raw: ElfFile, findings) -> tuple:
    """(pages of offline sections, faulty pages), as the guest's own structures have them."""
    offline = memmap.pages_of(memmap.not_online) & raw.kept
    poisoned = [int(frame, 16) for frame in re.findall(r"^POISONED ([0-9a-f]+)", guest.console, re.M)]
    planted = secrets.seeds(guest.console)
    used = secrets.find(raw, [entry for entry in planted if entry[0] == "used"])
    print(f"  {guest.config.name}: {bits.count(offline)} pages offline, {used} secrets in the unfiltered dump, "
          f"faulty: {[memmap.describe(pfn) for pfn in poisoned]}", flush=True)
    expect(findings, f"{guest.config.name}: the guest", [
        ("offline", bits.count(offline), DIMM_MIB * 256), ("secrets", used["used"] > 1000, True),
        ("faulty", [memmap.has_flag(pfn, "PG_hwpoison") for pfn in poisoned], [True] * 4)])
    return offline, bits.from_members(sorted(poisoned))


def classes_of(vmcorectl, raw) -> dict:
    done = vmcorectl.run("memory", raw, "--output", "json")
    return {entry["name"]: entry["pages"] for entry in json.loads(done.stdout)["classes"]}


def test_guest(vmcorectl, guest, folder: Path, findings) -> None:
    prepare(guest)
    name = guest.config.name
    path = guest.dump_elf(folder / f"{guest.config.kernel}.elf")     # the oracle remembers dumps by their paths
    raw = ElfFile(path)
    memmap = Memmap(raw)
    offline, poisoned = truth_of(guest, memmap, raw, findings)
    planted = [entry for entry in secrets.seeds(guest.console) if entry[0] == "used"]
    peer = oracle.page_sets(path, LEVELS) if guest.config.kernel != "newest" else {}    # 7.1: see docs/filtering.md
    listed = pcp_lists.listed(path, guest.console)     # makedumpfile keeps them
    classes = classes_of(vmcorectl, path)
    expect(findings, f"{name}: memory", [("offline_section", classes.get("offline_section"), bits.count(offline)),
                                         ("hwpoison", classes["hwpoison"], bits.count(poisoned))])
    for form, level in [("kdump", level) for level in LEVELS] + [("elf", 31)]:
        what, out = f"{name} -d {level} --format {form}", folder / "out"
        out.unlink(missing_ok=True)
        if not findings.check(what, vmcorectl.convert(path, out, level, form)):
            continue
        ours = open_dump(out)
        left_out = poisoned | (offline if level >= 16 else 0)
        findings.check(what, compare.describe("kept", ours.kept & left_out, memmap)
                       + compare.describe("not kept", offline & ~left_out & ~ours.kept, memmap))
        if level >= 16:
            found = secrets.find(ours, planted)
            findings.check(f"{what}: secrets", [f"{found} pages"] if any(found.values()) else [])
        if level in peer:
            without = left_out | (listed if level & 16 else 0)
            findings.check(f"{what}: makedumpfile", compare.page_sets(ours.kept, peer[level] & ~without, memmap))
    path.unlink()


def test(vmcorectl, _, findings, kernels=("6.12",)) -> None:
    with scratch_folder() as folder:
        for kernel in kernels:
            with Guest(config(kernel)) as guest:
                test_guest(vmcorectl, guest, Path(folder), findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
