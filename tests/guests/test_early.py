#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What report and dmesg say of kernels that die before they have written VMCOREINFO: they have no timer, and panic.
VMCORECTL_KERNELS: which kernels."""

import os
import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel
from guests.test_report import differ, run_report

# Without its local APIC's timer the kernel needs another one, and finds none: setup_IO_APIC() panics.
NO_TIMER = {"machine": "q35,hpet=off,pit=off", "kernel_words": ("loglevel=7", "nolapic_timer")}
PANIC = "IO-APIC + timer doesn't work!"


def without_stamp(line: str) -> str:
    return re.sub(r"^\[ *\d+\.\d+\] ", "", line)


def printed(console: str) -> list:
    """The lines of the kernel on the console, up to the end of its panic."""
    lines = [without_stamp(line.rstrip()) for line in console.splitlines() if re.match(r"\[ *\d+\.\d+\] ", line)]
    return lines[:next((i for i, line in enumerate(lines) if "end Kernel panic" in line), len(lines))]


def test_kernel(vmcorectl, name: str, folder: Path, findings) -> None:
    config = Config(name=f"early-{name}", kernel=name, memory_mib=256, cpus=2, vmcoreinfo=False, **NO_TIMER)
    with Guest(config, boot_seconds=0) as guest:
        guest._wait(lambda: "end Kernel panic" in guest.console, "a panic", 120)
        guest.qmp("stop")
        dump = guest.dump_elf(folder / f"{name}.elf")
        console = guest.console
    release = kernel(name).release
    report = run_report(vmcorectl, dump, code=3)
    panic = report["panic"]
    findings.check(f"{name}: report", differ("release", report["kernel"].get("release"), release)
                   + differ("banner", report["kernel"].get("banner", "").startswith(f"Linux version {release} "), True)
                   + differ("class", panic.get("class"), "panic")
                   + differ("message", panic.get("message", "")[:len(PANIC)], PANIC)
                   + differ("CPU", panic.get("cpu"), 0) + differ("task", panic.get("task", {}).get("comm"), "swapper/0")
                   + differ("tasks", "VMCOREINFO" in report["tasks"].get("not_known", ""), True)
                   + differ("doubt", any("earlier boot" in remark["text"] for remark in report["remarks"]), True))
    log = vmcorectl.run("dmesg", "--show-caller", dump)
    lines = [line for line in log.stdout.splitlines() if line.startswith("[")]
    ours = [re.sub(r"^\[ *[TC]\d+\] ", "", without_stamp(line.rstrip())) for line in lines]
    missing = [line for line in printed(console) if line and line not in ours]
    findings.check(f"{name}: dmesg", differ("exit code", log.returncode, 3) + differ("missing", missing, [])
                   + differ("callers", {line.split("] ")[1] for line in lines}, {"[    T0"}))
    screen = vmcorectl.run("report", dump).stdout
    findings.check(f"{name}: the screen", differ("message", PANIC in screen, True)
                   + differ("release", release in screen, True))


def test(vmcorectl, _guests: list, findings) -> None:
    for name in os.environ.get("VMCORECTL_KERNELS", "6.12 newest").split():
        with scratch_folder() as scratch:
            test_kernel(vmcorectl, name, Path(scratch), findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
