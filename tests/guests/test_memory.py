#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcorectl memory` of a guest: the classes of a guest that stands still are those of QEMU's own dump of it, for
every kind of memory that differs in how untouched pages are told; a running guest does not notice."""

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.libvirt_rig import LibvirtRig, available
from guests.witness import Witness

GUESTS = [
    Config(name="memory/above-4G", kernel="6.12", memory_mib=5120, backend="ram", la57=True),
    Config(name="memory/low-1G", kernel="6.1", memory_mib=1536, machine="pc,max-ram-below-4g=1G"),
    Config(name="memory/nodes", kernel="6.1", memory_mib=512, backend="memfd", nodes=2),
    Config(name="memory/dimm", kernel="6.12", memory_mib=512, backend="ram-shared", dimm_mib=256),
    Config(name="memory/file-private", kernel="6.1", memory_mib=512, backend="file-private", machine="pc"),
]
SVG = "{http://www.w3.org/2000/svg}"
MOST_SECONDS = 5    # a look takes tenths of one; the host may be busy
MOST_BYTES = 2 << 20
FIRMWARE = 96       # pages


def answer_of(vmcorectl, *words) -> dict:
    done = vmcorectl.run(*words, "--output", "json")
    if done.returncode != 0:
        raise RuntimeError(f"{words}: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


def classes_of(memory: dict) -> dict:
    return {entry["name"]: entry["pages"] for entry in memory["classes"]}


def bins_of(memory: dict) -> dict:
    """What the bins have in all, by class."""
    sums = dict.fromkeys(classes_of(memory), 0)
    for each in memory["map"]["bins"]:
        for name, pages in each["pages"].items():
            sums[name] += pages
    return sums


def looked_at(vmcorectl, guest, findings, folder: Path) -> None:
    name, svg = guest.config.name, folder / "memory.svg"
    witness = Witness(guest.folder / "witness.sock")
    started = time.monotonic()
    memory = answer_of(vmcorectl, "memory", "--qmp", guest.qmp_socket, "--svg", svg, "--force")
    seconds = time.monotonic() - started
    witness.paused()
    classes = classes_of(memory)
    print(f"  {name}: running: {seconds:.2f} s, {svg.stat().st_size} bytes of picture, {classes}, "
          f"zero {memory['free_zero']['pages']}", flush=True)
    words = [element.text for element in ElementTree.parse(svg).iter(f"{SVG}text")]
    expect(findings, f"{name}: running", [
        ("events", witness.seen, []), ("status", guest.status(), "running"), ("torn", memory["torn"], True),
        ("release", memory["release"], guest.kernel.release), ("bins", bins_of(memory), classes),
        ("fast", seconds < MOST_SECONDS, True), ("small", svg.stat().st_size < MOST_BYTES, True),
        ("title", words[0], name), ("marked", any(word.startswith("TORN") for word in words), True),
        ("remark", any("torn" in remark["text"] for remark in memory["remarks"]), True)])
    # A private mapping of a file does not tell untouched pages: they are the file's.
    expect(findings, f"{name}: plausible", [
        (kind, classes[kind] > 0, True) for kind in ("kernel", "slab", "free", "cache", "user")])
    untouched = memory["free_zero"]["pages"]
    expect(findings, f"{name}: untouched", [("pages", 0 < untouched <= classes["free"], guest.config.backend != "file-private")])


def without_firmware(classes: dict) -> dict:
    """A dump holds firmware as well, which a look at the guest leaves out: between 640 KiB and 1 MiB, which the kernel
    has reserved, and flash, which has no struct pages."""
    return {**classes, "kernel": classes["kernel"] - FIRMWARE, "no_memmap": 0}


def places_of(memory: dict) -> dict:
    """The bins above firmware, by address."""
    bins = {int(each["start"], 16): each["pages"] for each in memory["map"]["bins"]}
    return {start: pages for start, pages in bins.items() if start >= 1 << 20 and set(pages) != {"no_memmap"}}


def standing(vmcorectl, guest, findings, folder: Path) -> None:
    name, svg = guest.config.name, folder / "memory.svg"
    live = answer_of(vmcorectl, "memory", "--qmp", guest.qmp_socket, "--svg", svg, "--force")
    raw, small = guest.dump_elf(folder / "raw"), folder / "small"
    info = answer_of(vmcorectl, "info", raw)
    planned = answer_of(vmcorectl, "convert", "--dry-run", raw)
    whole = answer_of(vmcorectl, "memory", raw)
    findings.check(f"{name}: convert", vmcorectl.convert(raw, small, 31))
    filtered = answer_of(vmcorectl, "memory", small)
    raw.unlink()
    small.unlink()
    classes, of_whole = classes_of(live), classes_of(whole)
    print(f"  {name}: standing: {classes}, zero {live['free_zero']['pages']}", flush=True)
    expect(findings, f"{name}: standing", [
        ("all of RAM", live["memory"]["bytes"] >> 20, guest.config.memory_mib + guest.config.dimm_mib - 1),
        ("QEMU's dump", without_firmware(of_whole), classes), ("torn", live["torn"], False),
        ("kept of QEMU's dump", whole["kept_at_31"]["pages"] - FIRMWARE, live["kept_at_31"]["pages"]),
        ("bins", bins_of(live), classes), ("bins of QEMU's dump", bins_of(whole), of_whole)])
    expect(findings, f"{name}: of QEMU's dump", [
        ("info", info["pages"]["by_class"], of_whole), ("convert", planned["pages"]["by_class"], of_whole),
        ("kept", planned["pages"]["kept"], whole["kept_at_31"]["pages"]),
        ("filtered", {**classes_of(filtered), "no_memmap": 0}, {**of_whole, "no_memmap": 0}),
        ("filtered again", filtered["kept_at_31"], whole["kept_at_31"])])
    findings.check(f"{name}: the same map", [] if places_of(whole) == places_of(live) else ["maps differ"])
    words = [element.text for element in ElementTree.parse(svg).iter(f"{SVG}text")]
    findings.check(f"{name}: not torn", [word for word in words if word.startswith("TORN")])


def domain(vmcorectl, findings) -> None:
    """The same by libvirt: nothing of it reaches QEMU's monitor."""
    with scratch_folder() as scratch, LibvirtRig("session") as rig:
        def look():
            done = subprocess.run(rig.command(vmcorectl.path, "memory", "-c", rig.uri, rig.name, "--output", "json"),
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
            findings.check("domain: exit code", [done.stderr] if done.returncode else [])
            return json.loads(done.stdout)

        taints = rig.taints()
        running, status = look(), rig.status()
        rig.panic()
        panicked = look()
        raw = rig.dump_elf(Path(scratch) / "raw")
        whole = answer_of(vmcorectl, "memory", raw)
        raw.unlink()
        print(f"  domain: {classes_of(panicked)}, zero {panicked['free_zero']['pages']}", flush=True)
        expect(findings, "domain", [
            ("status", status, "running"), ("torn", (running["torn"], panicked["torn"]), (True, False)),
            ("taints", rig.taints(), taints), ("bins", bins_of(running), classes_of(running)),
            ("QEMU's dump", without_firmware(classes_of(whole)), classes_of(panicked))])


def test(vmcorectl, _, findings) -> None:
    if available():
        domain(vmcorectl, findings)
    else:
        findings.skip("domain", "no libvirt with its QEMU driver")
    with scratch_folder() as scratch:
        for config in GUESTS:
            with Guest(config) as guest:
                looked_at(vmcorectl, guest, findings, Path(scratch))
                guest.panic()
                standing(vmcorectl, guest, findings, Path(scratch))


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
