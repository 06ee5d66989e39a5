# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of one guest as others write them (QEMU, makedumpfile): vmcorectl opens each, and shows the pages that the
guest's ELF file has."""

import json
import subprocess
from pathlib import Path

from guests.dump_checks import expect
from guests.guest import GuestError
from peers import bits, compare, oracle, tools
from peers.kdumpfile import ZERO_PAGE, ElfFile, open_dump

QEMU_FORMATS = ("kdump-zlib", "kdump-lzo", "kdump-snappy", "kdump-raw-zlib", "kdump-raw-lzo", "kdump-raw-snappy")
# name -> makedumpfile's words. -F and the parts of --split are made otherwise.
MAKEDUMPFILE = {
    "kdump -d 0": ("-c", "-d", "0"), "kdump -d 31": ("-l", "-d", "31"), "ELF -d 1": ("-E", "-d", "1"),
    "ELF -d 31": ("-E", "-d", "31"),
}
MORE_OF_MAKEDUMPFILE = {
    "kdump, zstd": ("-z", "-d", "31"), "kdump, snappy": ("-p", "-d", "16"), "kdump, none": ("-d", "31"),
    "kdump, lzo, -d 1": ("-l", "-d", "1"), "kdump, two threads": ("-l", "-d", "31", "--num-threads", "2"),
    "ELF -d 0": ("-E", "-d", "0"),
}


ATTEMPTS = 3    # makedumpfile with two threads died by itself once in a night of runs


class Files:
    """The files of a guest that stands still, in a folder of their own."""

    def __init__(self, vmcorectl, guest, findings, folder: Path):
        self.vmcorectl, self.guest, self.findings, self.folder = vmcorectl, guest, findings, folder
        self.name = guest.config.name
        self.release = guest.kernel.release
        self.elf = guest.dump_elf(folder / "elf")
        self.raw = ElfFile(self.elf)
        self.repaired = oracle.repair(self.elf, folder / "repaired")
        # makedumpfile knows no memory behind the last struct page, such as flash.
        everything = oracle.run_makedumpfile(self.repaired, folder / "everything", 0)
        self.known = open_dump(everything).kept
        everything.unlink()

    def opens(self, what: str, path: Path, kept=None, zeros: bool = False) -> None:
        """`kept`: the pages that it holds, if not all. With `zeros` pages that it lacks read as zeros; those that
        makedumpfile does not know do in any case."""
        info = self.vmcorectl.run("info", "--output", "json", path)
        told = json.loads(info.stdout) if info.returncode == 0 else {}
        expect(self.findings, f"{self.name}: {what}: info", [
            ("error", info.stderr.strip()[:300], ""), ("machine", told.get("machine"), "x86_64"),
            ("incomplete", told.get("incomplete"), False), ("release", told.get("kernel", {}).get("release"), self.release)])
        out = self.folder / "out"
        if self.findings.check(f"{self.name}: {what}: convert", self.vmcorectl.convert(path, out, 0, "kdump", "none")):
            ours = open_dump(out)
            expected = self.raw.kept if kept is None else kept
            lines = compare.page_sets(ours.kept, expected)
            may_be_zero = ours.kept if zeros else ours.kept & ~self.known
            lines += compare.contents(ours, self.raw, ours.kept & ~may_be_zero)
            lines += compare.contents(ours, self.raw, bits.from_members(
                pfn for pfn in bits.members(may_be_zero) if ours.page(pfn) != ZERO_PAGE))
            self.findings.check(f"{self.name}: {what}: pages", lines)
            print(f"  {self.name}: {what}: {told.get('format')}, {bits.count(ours.kept)} pages", flush=True)
        for leftover in self.folder.glob("out*"):
            leftover.unlink()

    def of_qemu(self) -> None:
        self.opens("QEMU, elf", self.elf)
        can = self.guest.qmp("query-dump-guest-memory-capability")["formats"]
        for name in QEMU_FORMATS:
            path = self.folder / name
            try:
                self.guest.qmp("dump-guest-memory", paging=False, protocol=f"file:{path}", format=name)
            except GuestError as error:
                print(f"  {self.name}: {name}: not built in ({error})")
                expect(self.findings, f"{self.name}: {name}", [("offered", name in can, False)])
                continue
            self.opens(f"QEMU, {name}", path)
            path.unlink()

    def of_makedumpfile(self, name: str, kinds: dict) -> None:
        for what, words in kinds.items():
            path = self.folder / "theirs"
            path.unlink(missing_ok=True)    # of one that failed
            for _ in range(ATTEMPTS):
                done = tools.run(name, *words, self.repaired, path)
                if done.returncode >= 0:
                    break
                print(f"  {self.name}: {name} {what}: it died by signal {-done.returncode}", flush=True)
                path.unlink(missing_ok=True)
            lines = [] if done.returncode == 0 else [f"exit {done.returncode}", done.stdout[-500:], done.stderr[-500:]]
            if not self.findings.check(f"{self.name}: {name} {what}", lines):
                continue
            if words[0] == "-E":
                self.opens(f"{name}, {what}", path, zeros="31" in words)
            else:
                self.opens(f"{name}, {what}", path, open_dump(path).kept)
            path.unlink()
        self.of_a_stream(name)
        self.of_parts(name)

    def of_a_stream(self, name: str) -> None:
        path = self.folder / "flat"
        with open(path, "wb") as out:
            subprocess.run([*tools.command(name), "-F", "-l", "-d", "0", str(self.repaired)], stdout=out,
                           stderr=subprocess.DEVNULL, env=tools.environment(name), check=True)
        self.opens(f"{name}, flattened", path, self.known)
        path.unlink()

    def of_parts(self, name: str) -> None:
        """A part is refused with the way to join it, and what is joined opens."""
        parts = [self.folder / f"part{number}" for number in range(2)]
        joined = self.folder / "joined"
        tools.run(name, "--split", "-l", "-d", "0", self.repaired, *parts)
        tools.run(name, "--reassemble", *parts, joined)
        self.opens(f"{name}, joined", joined, self.known)
        refused = self.vmcorectl.run("info", parts[1])
        expect(self.findings, f"{self.name}: {name}: a part", [
            ("exit code", refused.returncode, 1), ("says how", "--reassemble" in refused.stderr, True)])
        for path in (*parts, joined):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        self.repaired.unlink()
        self.elf.unlink()
