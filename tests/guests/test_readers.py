#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What vmcorectl writes opens in crash, drgn, libkdumpfile and makedumpfile, in every format and codec,
and they say of it what they say of the unfiltered dump.

The reference is makedumpfile's own -d 0 file. crash takes the registers of stopped CPUs another way from QEMU's ELF,
so what it says of QEMU's dump itself counts as well. Its full session takes 10 to 20 s: it is run on two outputs only.
"""

import json
import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import matrix
from guests.harness import run_test, scratch_folder
from peers import compare, oracle, pcp_lists, readers
from peers.kdumpfile import ElfFile, open_dump
from peers.memmap import Memmap

GUESTS = ["6.1-plain", "6.12-no-note"]
OUTPUTS = [("kdump", "zstd"), ("kdump", "zlib"), ("kdump", "lzo"), ("kdump", "snappy"), ("kdump", "none"), ("elf", "")]
FULL_CRASH = [("kdump", "zstd"), ("elf", "")]
# Debian's makedumpfile is built without snappy.
NOT_MAKEDUMPFILE = [("kdump", "snappy")]
SHOWN = 10


def differences(what: str, got: str, expected: str) -> list:
    """The first lines that differ."""
    if got == expected:
        return []
    got_lines, expected_lines = got.splitlines(), expected.splitlines()
    pairs = [(ours, theirs) for ours, theirs in zip(got_lines, expected_lines) if ours != theirs][:SHOWN]
    lines = [f"{what}: {len(got_lines)} lines, expected {len(expected_lines)}"]
    for ours, theirs in pairs:
        lines += [f"  got      {ours}", f"  expected {theirs}"]
    return lines


def asked(reader, *words):
    """(what the reader said, lines of complaint)"""
    try:
        return reader(*words), []
    except readers.ReaderError as error:
        return "", [str(error)]


class Reference:
    """What the readers say of the unfiltered dump."""

    def __init__(self, dump, folder: Path):
        self.kernel = dump.kernel
        repaired = oracle.repair(dump.raw, folder / "repaired")
        unfiltered = oracle.run_makedumpfile(repaired, folder / "unfiltered", 0)
        self.crash = readers.crash(unfiltered, self.kernel)
        self.crash_of_qemu = readers.crash(repaired, self.kernel)
        self.log = readers.crash_log(unfiltered, self.kernel)
        self.drgn = readers.drgn(unfiltered, self.kernel)
        self.libkdumpfile = readers.libkdumpfile(unfiltered)
        self.dmesg = readers.makedumpfile_log(unfiltered)
        repaired.unlink()
        unfiltered.unlink()
        self.raw = ElfFile(dump.raw)
        self.memmap = Memmap(self.raw)
        self.level_31 = oracle.page_sets(dump.raw)[31] & ~pcp_lists.listed(dump.raw, dump.console)


def quick_readers(out: Path, reference: Reference) -> list:
    """Everything that opens a dump in a few seconds."""
    lines = []
    for what, reader, words, expected in (
            ("crash --minimal log", readers.crash_log, (out, reference.kernel), reference.log),
            ("drgn", readers.drgn, (out, reference.kernel), reference.drgn),
            ("libkdumpfile", readers.libkdumpfile, (out,), reference.libkdumpfile)):
        said, complaint = asked(reader, *words)
        lines += complaint or differences(what, said, expected)
    if reference.kernel.name == "6.1":
        said, complaint = asked(readers.crash_log, out, reference.kernel, "crash-bookworm")
        lines += complaint or differences("crash 8.0.2 log", said, reference.log)
    return lines


def makedumpfile(out: Path, folder: Path, reference: Reference) -> list:
    """makedumpfile finds the log, and filtering once more takes nothing away."""
    said, complaint = asked(readers.makedumpfile_log, out)
    lines = complaint or differences("makedumpfile --dump-dmesg", said, reference.dmesg)
    again, complaint = asked(readers.makedumpfile_refilter, out, folder / "again")
    if complaint:
        return lines + complaint
    lines += compare.page_sets(open_dump(again).kept, reference.level_31, reference.memmap)
    again.unlink()
    return lines


def codec_used(out: Path, codec: str) -> list:
    """A codec that a build lacks must not be replaced silently. Pages that do not shrink are stored as they are."""
    used = open_dump(out).codecs_used()
    expected = {codec, "none"}
    return [] if used.get(codec) and set(used) <= expected else [f"pages by codec: {used}"]


def full_crash(out: Path, reference: Reference) -> list:
    said, complaint = asked(readers.crash, out, reference.kernel)
    if complaint:
        return complaint
    return [line for command, text in said.items() if text != reference.crash_of_qemu[command]
            for line in differences(f"crash: {command}", text, reference.crash[command])]


def messages(log: str) -> list:
    """The log's text without time and caller."""
    return [re.sub(r"^\[ *\d+\.\d+\] (\[ *[TC]\d+\] )?", "", line).strip() for line in log.splitlines() if line.strip()]


def own_verbs(vmcorectl, out: Path, reference: Reference) -> list:
    """`dmesg` prints the log, `info` prints JSON."""
    lines = []
    log = vmcorectl.run("dmesg", out)
    if log.returncode != 0:
        lines.append(f"vmcorectl dmesg: exit {log.returncode} {log.stderr.strip()}")
    else:
        lines += differences("vmcorectl dmesg", "\n".join(messages(log.stdout)), "\n".join(messages(reference.log)))
    info = vmcorectl.run("info", "--output", "json", out)
    try:
        json.loads(info.stdout)
    except json.JSONDecodeError as error:
        lines.append(f"vmcorectl info --output json: exit {info.returncode}, {error}: {info.stdout[:200]}{info.stderr}")
    return lines


def test(vmcorectl, guests, findings) -> None:
    for name in guests:
        dump = matrix.dump_of(matrix.config_of(name))
        with scratch_folder() as folder:
            folder = Path(folder)
            reference = Reference(dump, folder)
            for form, codec in OUTPUTS:
                what, out = f"{name} {form} {codec}".rstrip(), folder / "out"
                out.unlink(missing_ok=True)
                if not findings.check(what, vmcorectl.convert(dump.raw, out, 31, form, codec)):
                    continue
                if form == "kdump":
                    findings.check(f"{what}: codec", codec_used(out, codec))
                findings.check(f"{what}: quick readers", quick_readers(out, reference))
                if (form, codec) not in NOT_MAKEDUMPFILE:
                    findings.check(f"{what}: makedumpfile", makedumpfile(out, folder, reference))
                if (form, codec) in FULL_CRASH:
                    findings.check(f"{what}: crash", full_crash(out, reference))
                findings.check(f"{what}: vmcorectl", own_verbs(vmcorectl, out, reference))
                print(f"{what}: {out.stat().st_size >> 10} KiB", flush=True)


if __name__ == "__main__":
    sys.exit(run_test(test, GUESTS, __doc__))
