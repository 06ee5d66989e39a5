# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are reset or kexec into another kernel, and are dumped at moments of the boot: the dump is of what their
vCPUs run, or has everything. For test_reboots.py and test_reboots_long.py."""

import json
import re
import time
from pathlib import Path

from guests.capture_rig import CaptureConfig, CaptureGuest
from guests.debian import run
from guests.dump_checks import expect, run_dump
from guests.harness import scratch_folder
from peers import bits, compare, tools, vcpus
from peers.kdumpfile import ElfFile, open_dump

METHODS = ("direct", "qmp")
MARK = "second_boot"        # on the command line of the kernel that a kexec starts


def kexec_tools() -> dict:
    """kexec and what it needs to run in a guest: files by path."""
    loader, flag, libraries, program = tools.command("kexec")
    needed = re.findall(r"=> (\S+)", run([loader, flag, libraries, "--list", program]))
    return {"kexec/kexec": Path(program).read_bytes(), "kexec/ld.so": Path(loader).read_bytes(),
            **{f"kexec/{Path(path).name}": Path(path).read_bytes() for path in needed}}


class Rebooted:
    """One guest, stopped and dumped again and again."""

    def __init__(self, vmcorectl, guest, findings, folder: Path):
        self.vmcorectl, self.guest, self.findings, self.folder = vmcorectl, guest, findings, folder
        self.number = 0
        self.codes = []

    def dump(self, method: str) -> tuple:
        """(exit code, what was said, the file)"""
        out = self.folder / "vmcore"
        out.unlink(missing_ok=True)
        code, answer, errors = run_dump([self.vmcorectl.path], ["--method", method, "--qmp", self.guest.qmp_socket, "-o", out])
        said = "\n".join(remark["text"] for remark in answer.get("remarks", [])) + errors
        return code, said, out

    def moment(self, what: str) -> None:
        """Stops the guest where it is, dumps it, and lets it go on."""
        self.guest.qmp("stop")
        method, self.number = METHODS[self.number % 2], self.number + 1
        what = f"{what}, moment {self.number}, {method}"
        code, said, out = self.dump(method)
        raw_file = self.guest.dump_elf(self.folder / "raw")
        raw = ElfFile(raw_file)
        used = vcpus.vcpus(raw)
        print(f"  {what}: exit {code}; " + "; ".join(map(str, used)), flush=True)
        self.codes.append(code)
        refused = code == 1 and "real mode" in said and not any(vcpu.cr0 >> 31 for vcpu in used)
        if self.findings.check(what, [] if code in (0, 3) or refused else [f"exit {code}: {said}"]) and not refused:
            self.judge(what, code, said, raw, open_dump(str(out)))
        raw_file.unlink()
        self.guest.qmp("cont")

    def judge(self, what: str, code: int, said: str, raw: ElfFile, dump) -> None:
        self.findings.check(f"{what}: pages of vCPUs", vcpus.missing(raw, dump.kept))
        if code == 3:
            expect(self.findings, f"{what}: everything is there", [
                ("not kept", bits.count(raw.ram & ~dump.kept), 0), ("VMCOREINFO", dump.vmcoreinfo != b"", False),
                ("said", "only zero pages are left out" in said, True)])
        else:
            expect(self.findings, f"{what}: filtered", [("VMCOREINFO", dump.vmcoreinfo != b"", True)])
        self.findings.check(f"{what}: contents", compare.contents(dump, raw, bits.from_members(
            pfn for pfn in sorted({pfn for vcpu in vcpus.vcpus(raw) for pfn in vcpu.pages}))))

    def moments(self, what: str, count: int, last) -> None:
        """`count` moments, further and further apart, and one more when last() says that it came."""
        for number in range(count):
            time.sleep(0.1 + 0.25 * number)
            self.moment(what)
        last()
        self.moment(f"{what}, booted")
        expect(self.findings, what, [("a dump before the boot was of everything", 3 in self.codes[:-1], True),
                                     ("the last", self.codes[-1], 0)])

    def looks(self) -> None:
        """A guest that runs is looked at with the registers of its vCPUs, and not stopped for it."""
        info = json.loads(self.vmcorectl.run("info", "--output", "json", "--qmp", self.guest.qmp_socket).stdout)
        expect(self.findings, "info of a live guest", [
            ("CPUs", len(info.get("cpus", [])), self.guest.config.cpus),
            ("CR3", all("cr3" in cpu for cpu in info.get("cpus", [])), True), ("kernel", "kernel" in info, True),
            ("not checked", "not checked" in json.dumps(info["remarks"]), False)])


def reset(vmcorectl, findings, kernel: str, kaslr: bool, count: int) -> None:
    """system_reset: the kernel before lies in memory while the next one boots."""
    name = f"reset/{kernel}{'' if kaslr else '/nokaslr'}"
    print(name, flush=True)
    config = CaptureConfig(name=name, kernel=kernel, memory_mib=512, crashkernel="", kaslr=kaslr, workload=False,
                           reboots=True, vmcoreinfo=kaslr)
    with scratch_folder() as scratch, CaptureGuest(config) as guest:
        case = Rebooted(vmcorectl, guest, findings, Path(scratch))
        case.moment("before")
        expect(findings, name, [("a guest that runs", case.codes, [0])])
        case.codes.clear()
        case.looks()
        guest.qmp("system_reset")
        case.moments(name, count, lambda: guest.wait_for_boot(2, 240))


def kexec(vmcorectl, findings, kernel: str, kaslr: bool, count: int) -> None:
    """kexec -e into a kernel that panics for want of a root file system: it never tells QEMU of its VMCOREINFO."""
    name = f"kexec/{kernel}{'' if kaslr else '/nokaslr'}"
    print(name, flush=True)
    config = CaptureConfig(name=name, kernel=kernel, memory_mib=768, crashkernel="", kaslr=kaslr, workload=False, reboots=True)
    words = f"console=ttyS0 {MARK} {'' if kaslr else 'nokaslr'}"
    with scratch_folder() as scratch, CaptureGuest(config, b"", kexec_tools()) as guest:
        guest.must(f"/kexec/ld.so --library-path /kexec /kexec/kexec -c -l {guest.image} --command-line='{words}'", 120)
        case = Rebooted(vmcorectl, guest, findings, Path(scratch))
        guest.tell_shell("/kexec/ld.so --library-path /kexec /kexec/kexec -e")
        case.moments(name, count, lambda: guest.wait_for_text("Unable to mount root fs", 240))
        guest.qmp("stop")
        log = vmcorectl.run("dmesg", "--qmp", guest.qmp_socket)
        expect(findings, f"{name}: dmesg", [("exit code", log.returncode, 0), ("its own log", MARK in log.stdout, True),
                                            ("of the panic", "Unable to mount root fs" in log.stdout, True)])
        dumped = vmcorectl.run("dmesg", case.folder / "vmcore")
        expect(findings, f"{name}: the dump", [("its own log", MARK in dumped.stdout, True)])
