# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that stands still, dumped by `vmcorectl dump --method direct`: equal to QEMU's own dump, and nothing of the
host's memory is taken for it."""

import contextlib
import os
import re
import time
from pathlib import Path

from guests.dump_checks import expect, left_in, run_dump, same_as_converted
from guests.guest import Guest


class HugePages:
    """Huge pages for one guest's memory; `got` is false where the host does not give them."""

    SIZES = {"huge": 2, "huge-private": 2, "huge-1G": 1024, "huge-1G-private": 1024}    # MiB, by backend

    def __init__(self, config):
        size = self.SIZES.get(config.backend, 2)
        self.setting = Path(f"/sys/kernel/mm/hugepages/hugepages-{size * 1024}kB/nr_hugepages")
        self.wanted = config.memory_mib // size if config.backend in self.SIZES else 0

    def __enter__(self):
        self.got = self.wanted == 0
        if self.got or not self.setting.exists():
            return self
        self.before = self.setting.read_text()
        try:
            self.setting.write_text(str(int(self.before) + self.wanted))
        except OSError:
            pass
        self.got = int(self.setting.read_text()) >= int(self.before) + self.wanted
        return self

    def __exit__(self, *_):
        try:
            if self.wanted and self.setting.exists():
                self.setting.write_text(self.before)
        except OSError:
            pass


def memory_of_host(guest) -> int:
    """MiB that the guest takes: its process's own pages, huge pages, and what the files have that it maps."""
    process = Path(f"/proc/{guest.pid}")
    rollup = (process / "smaps_rollup").read_text()
    kib = sum(int(size) for size in re.findall(r"^(?:Pss_Anon|Private_Hugetlb|Shared_Hugetlb): +(\d+) kB", rollup, re.M))
    files = {}
    for path in (process / "map_files").iterdir():
        with contextlib.suppress(FileNotFoundError):    # unmapped meanwhile
            file = os.stat(path)
            files[file.st_dev, file.st_ino] = file.st_blocks
    return (kib + sum(files.values()) // 2) // 1024


class Standing:
    """One guest, dumped again and again into one file."""

    def __init__(self, vmcorectl, guest, findings, folder: Path):
        self.vmcorectl, self.guest, self.findings, self.folder = vmcorectl, guest, findings, folder
        self.name = guest.config.name
        self.out = folder / "out"
        self.out.mkdir(exist_ok=True)
        self.dump_file = self.out / "vmcore"

    def command(self, *words, monitor=None) -> list:
        return ["--qmp", monitor or self.guest.qmp_socket, "-o", self.dump_file, *words]

    def dump(self, *words, monitor=None):
        started = time.monotonic()
        code, answer, errors = run_dump([self.vmcorectl.path], self.command(*words, monitor=monitor))
        guest = answer.get("guest", {})
        print(f"  {self.name}: dump {' '.join(map(str, words))}: exit {code}, {guest.get('method')}, "
              f"{time.monotonic() - started:.2f} s, pause {guest.get('pause_ms')} ms, {answer.get('size')} bytes {errors[:300]}",
              flush=True)
        return code, answer

    def nothing_held(self, what: str, status: str) -> None:
        expect(self.findings, f"{self.name}: {what}: afterwards", [
            ("status", self.guest.status(), status),
            ("dump active", self.guest.qmp("query-dump")["status"] == "active", False),
            ("migration blockers", self.guest.qmp("query-migrate").get("blocked-reasons", []), [])])
        self.dump_file.unlink(missing_ok=True)
        self.findings.check(f"{self.name}: {what}: files", left_in(self.out))

    def same_as_qemu(self, level: int = 31, look=None) -> None:
        """`look`(dump file): more lines about what is wrong with it."""
        status = self.guest.status()
        before = memory_of_host(self.guest)
        code, answer = self.dump("--verify", "-d", level)
        grown = memory_of_host(self.guest) - before
        print(f"  {self.name}: {before} MiB of the host before, {grown:+} MiB after", flush=True)
        guest = answer.get("guest", {})
        expect(self.findings, f"{self.name}: result", [
            ("exit code", code, 0), ("method", guest.get("method"), "direct"), ("pause", guest.get("pause_ms"), 0.0),
            ("as found", guest.get("as_found"), True), ("grown", grown * 50 > self.guest.config.memory_mib, False)])
        if code == 0:
            raw = self.guest.dump_elf(self.folder / "raw")
            self.findings.check(f"{self.name}: equals QEMU's own dump, converted",
                                same_as_converted(self.vmcorectl, self.dump_file, raw, self.folder, level))
            raw.unlink()
            if look:
                self.findings.check(f"{self.name}: what is kept", look(self.dump_file))
        self.nothing_held("standing", status)


def standing(vmcorectl, config, scratch: Path, findings, prepare=None, level: int = 31) -> None:
    """Boots the guest, brings it into its state by prepare(guest, vmcorectl) -> look, panics it and compares."""
    with HugePages(config) as pages:
        if not pages.got:
            findings.skip(config.name, f"no {config.memory_mib} MiB of huge pages")
            return
        with Guest(config) as guest:
            look = prepare(guest, vmcorectl) if prepare else None
            guest.panic()
            Standing(vmcorectl, guest, findings, scratch).same_as_qemu(level, look)
