#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that crashed into a capture kernel which then hangs: the host's dump is of the crashed kernel.

Its capture kernel is stopped at ten moments from the crash on, and dumped at each: before it has begun (purgatory,
decompressor), while it boots, and in an /init that sleeps. The crashed kernel's memory stands still meanwhile, so all
dumps of it must be alike; the last is opened in crash, and compared with QEMU's own.
"""

import json
import re
import struct
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.capture_rig import CaptureConfig, CaptureGuest, with_busybox
from guests.dump_checks import expect, run_dump
from guests.harness import run_test, scratch_folder
from guests.reboots import kexec_tools
from peers import bits, compare, oracle, pcp_lists, readers
from peers.kdumpfile import PAGE, ElfFile, open_dump, parse_notes

MOMENTS = 10
PANIC_CPU = 1
METHODS = ("direct", "qmp")
SLEEPS = """#!/bin/busybox sh
echo "CAPTURE SLEEPS"
exec /bin/busybox sleep 100000
"""


def registers(guest) -> list:
    """(RIP, CR0, CR3) of each CPU."""
    text = guest.qmp("human-monitor-command", **{"command-line": "info registers -a"})
    return [tuple(int(re.search(rf"{name}=([0-9a-f]+)", cpu)[1], 16) for name in ("RIP", "CR0", "CR3"))
            for cpu in text.split("CPU#")[1:]]


def place(cpu: tuple, region: tuple) -> str:
    """Where a CPU is, for the eye and for what must be said of it."""
    rip, cr0, cr3 = cpu
    at = cr3 if cr0 >> 31 else rip
    if not region[0] <= at < region[1]:
        return "crashed kernel"
    return "capture kernel" if rip >> 63 else "before the capture kernel"


def crash_notes(raw: ElfFile, region: tuple) -> tuple:
    """(VMCOREINFO, NT_PRSTATUS of each CPU), by the ELF core header at the beginning of the crash region."""
    header = raw.read(region[0], PAGE)
    count, = struct.unpack_from("<H", header, 56)
    notes = []
    for number in range(count):
        kind, _, _, _, physical, size = struct.unpack_from("<IIQQQQ", header, 64 + 56 * number)
        if kind == 4:
            notes += [note for note in parse_notes(raw.read(physical, size)) if note[0]]
    return (next(text for name, _, text in notes if name == "VMCOREINFO"),
            [text for name, kind, text in notes if name == "CORE" and kind == 1])


def registers_in(dump) -> list:
    return [text for name, kind, text in dump.notes if name == "CORE" and kind == 1]


class Case:
    def __init__(self, vmcorectl, guest, findings, folder: Path):
        self.vmcorectl, self.guest, self.findings, self.folder = vmcorectl, guest, findings, folder
        found = re.search(r"([0-9a-f]+)-([0-9a-f]+) : Crash kernel", guest.must("grep Crash /proc/iomem"))
        self.region = int(found[1], 16), int(found[2], 16) + 1
        self.symbols = guest.must("grep -E ' (%s)$' /proc/kallsyms | while read address kind name; do "
                                  "echo SYMBOL $name $address; done" % "|".join(pcp_lists.SYMBOLS))
        self.first = None       # the first dump of the crashed kernel

    def dump(self, method: str, *words) -> Path:
        out = self.folder / "vmcore"
        out.unlink(missing_ok=True)
        code, answer, errors = run_dump([self.vmcorectl.path], ["--method", method, "--qmp", self.guest.qmp_socket,
                                                                "-o", out, *words])
        self.findings.check(f"dump --method {method}", [] if code == 0 else [f"exit {code}: {errors} {answer}"])
        return out

    def remarks(self, file: Path) -> str:
        info = json.loads(self.vmcorectl.run("info", "--output", "json", file).stdout)
        return "\n".join(remark["text"] for remark in info["remarks"])

    def loaded(self) -> None:
        """A panic kernel that is merely loaded changes nothing."""
        for method in METHODS:
            out = self.dump(method, "-d", "31")
            dump = open_dump(str(out))
            expect(self.findings, f"loaded, {method}", [
                ("remark", "two kernels" in self.remarks(out), False),
                ("CRASHTIME", b"CRASHTIME=" in dump.vmcoreinfo, False),
                ("crash region", dump.ram >> (self.region[0] // PAGE) & 1, 1)])

    def moments(self) -> None:
        """Ten after the crashed kernel handed over; those before are looked at as well."""
        self.guest.tell(f"panic {PANIC_CPU}")
        seen = []
        for number in range(3 * MOMENTS):
            if len(seen) == MOMENTS - 1:
                self.guest.wait_for_text("CAPTURE SLEEPS", 300)
            self.guest.qmp("stop")
            places = [place(cpu, self.region) for cpu in registers(self.guest)]
            handed_over = places[PANIC_CPU] != "crashed kernel"
            print(f"  moment {number}: {places}", flush=True)
            self.moment(f"moment {number}", METHODS[number % 2], handed_over)
            seen += [places[PANIC_CPU]] if handed_over else []
            self.guest.qmp("cont")
            if len(seen) == MOMENTS:
                break
            time.sleep(0.3 * (len(seen) + 1))
        expect(self.findings, "moments", [("after the crash", len(seen), MOMENTS), ("the last", seen[-1:], ["capture kernel"])])

    def moment(self, what: str, method: str, handed_over: bool) -> None:
        out = self.dump(method)
        expect(self.findings, what, [("two kernels", "two kernels" in self.remarks(out), handed_over)])
        if not handed_over:
            return
        dump = open_dump(str(out))
        if self.first is None:
            self.first = out.rename(self.folder / "first")
            return
        first = open_dump(str(self.first))
        expect(self.findings, what, [("VMCOREINFO", dump.vmcoreinfo, first.vmcoreinfo), ("RAM", dump.ram == first.ram, True),
                                     ("registers", registers_in(dump), registers_in(first))])
        self.findings.check(what, compare.page_sets(dump.kept, first.kept)
                            + compare.contents(dump, first, dump.kept & first.kept))

    def running(self) -> Path:
        """The capture kernel sleeps, and runs."""
        return self.dump("direct")

    def equals_qemus(self, ours: Path) -> None:
        """The same memory as QEMU's own dump has, but for the capture kernel's; the notes that /proc/vmcore has."""
        raw_file = self.guest.dump_elf(self.folder / "raw")
        raw, dump = ElfFile(raw_file), open_dump(str(ours))
        vmcoreinfo, saved = crash_notes(raw, self.region)
        expect(self.findings, "notes", [("VMCOREINFO", dump.vmcoreinfo.rstrip(b"\0"), vmcoreinfo.rstrip(b"\0")),
                                        ("registers", registers_in(dump), saved),
                                        ("CPUs", len(saved), self.guest.config.cpus),
                                        ("of QEMU", [name for name, _, _ in dump.notes if name == "QEMU"], [])])
        region = bits.from_ranges([(self.region[0] // PAGE, self.region[1] // PAGE)])
        expect(self.findings, "RAM", [("in the region", dump.ram & region, 0)])
        lines = compare.contents(dump, raw, dump.kept)
        if self.guest.config.vmcoreinfo:
            listed = pcp_lists.listed(raw_file, self.symbols)      # makedumpfile keeps them
            lines += compare.page_sets(dump.kept, oracle.page_sets(raw_file, (31,))[31] & dump.ram & ~listed)
        self.findings.check("pages", lines)
        self.other_verbs(raw_file)
        raw_file.unlink()

    def other_verbs(self, raw: Path) -> None:
        log = self.vmcorectl.run("dmesg", raw)
        expect(self.findings, "dmesg of QEMU's dump", [("panic", "sysrq triggered crash" in log.stdout, True),
                                                       ("capture kernel's", "elfcorehdr=" in log.stdout, False)])
        memory = self.vmcorectl.run("memory", raw)
        expect(self.findings, "memory of QEMU's dump", [("exit code", memory.returncode, 0)])
        converted = self.folder / "converted"
        self.findings.check("convert", self.vmcorectl.convert(raw, converted, 31))
        first, again = open_dump(str(self.first)), open_dump(str(converted))
        self.findings.check("convert: pages", compare.page_sets(again.kept, first.kept))
        expect(self.findings, "convert: registers", [("", registers_in(again), registers_in(first))])
        converted.unlink()

    def opens(self, file: Path) -> None:
        try:
            said = readers.crash(file, self.guest.kernel, ("sys", "bt -a", "log", "ps"))
        except readers.ReaderError as error:
            self.findings.check("crash", [str(error)])
            return
        stacks = re.split(r"^PID: ", said["bt -a"], flags=re.M)[1:]
        panicked = stacks[PANIC_CPU] if len(stacks) > PANIC_CPU else ""
        expect(self.findings, "crash", [
            ("CPUs", len(stacks), self.guest.config.cpus),
            ("panic", "sysrq triggered crash" in said["sys"], True),
            ("panic task", 'COMMAND: "workload"' in panicked and "sysrq_handle_crash" in panicked, True),
            ("the other", all("crash_nmi_callback" in stack for number, stack in enumerate(stacks) if number != PANIC_CPU),
             True),
            ("log", "sysrq triggered crash" in said["log"], True)])
        print(f"  crash: {said['bt -a'][:400]}", flush=True)


def loaded_by_kexec_tools(vmcorectl, findings, image: bytes) -> None:
    """kexec_load: the header lies elsewhere, and the first 640 KiB are saved before the capture kernel begins."""
    config = CaptureConfig(name="two/kexec-tools", memory_mib=768, crashkernel="160M", vmcoreinfo=False, workload=True)
    print(config.name, flush=True)
    with scratch_folder() as scratch, CaptureGuest(config, image, kexec_tools()) as guest:
        guest.must(f"/kexec/ld.so --library-path /kexec /kexec/kexec -c -p {guest.image} --initrd={guest.capture_image} "
                   "--command-line='nr_cpus=1 irqpoll reset_devices rdinit=/init console=ttyS0'", 120)
        case = Case(vmcorectl, guest, findings, Path(scratch))
        guest.tell(f"panic {PANIC_CPU}")
        guest.qmp("stop")
        while place(registers(guest)[PANIC_CPU], case.region) == "crashed kernel":
            guest.qmp("cont")
            time.sleep(0.1)
            guest.qmp("stop")
        print(f"  {[place(cpu, case.region) for cpu in registers(guest)]}", flush=True)
        early = case.dump("direct", "-d", "0").rename(case.folder / "early")
        early_raw = ElfFile(guest.dump_elf(case.folder / "early.raw"))
        guest.qmp("cont")
        guest.wait_for_text("CAPTURE SLEEPS", 300)
        guest.qmp("stop")
        late = open_dump(str(case.dump("qmp", "-d", "0")))
        late_raw = ElfFile(guest.dump_elf(case.folder / "late.raw"))
        early, low = open_dump(str(early)), range(0xa0)
        expect(findings, "kexec-tools", [
            ("low memory is there", bits.count(late.ram & bits.from_ranges([(0, 0xa0)])) > 0x90, True),
            ("it was used", any(early_raw.page(pfn) != late_raw.page(pfn) for pfn in low), True),
            ("registers", registers_in(early), registers_in(late)), ("CPUs", len(registers_in(late)), config.cpus)])
        findings.check("kexec-tools: pages", compare.page_sets(early.kept, late.kept)
                       # The last KiB of page 0x9f is the BIOS's and was not saved.
                       + compare.contents(early, late, early.kept & late.kept & ~(1 << 0x9f)))


def test(vmcorectl, _, findings) -> None:
    image = with_busybox(SLEEPS).finish()
    loaded_by_kexec_tools(vmcorectl, findings, image)
    # With the vmcoreinfo device, and without: then nothing but the header leads to what the crashed kernel is.
    for config in (CaptureConfig(name="two/6.1", kernel="6.1", memory_mib=768, crashkernel="160M"),
                   CaptureConfig(name="two/6.12", kernel="6.12", memory_mib=768, crashkernel="176M", vmcoreinfo=False)):
        print(config.name, flush=True)
        with scratch_folder() as scratch, CaptureGuest(config, image) as guest:
            guest.load("rdinit=/init console=ttyS0")
            case = Case(vmcorectl, guest, findings, Path(scratch))
            case.loaded()
            case.moments()
            file = case.running()
            guest.qmp("stop")
            case.equals_qemus(file)
            case.opens(case.first)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
