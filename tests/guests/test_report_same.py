#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One crash, one report: of QEMU's own dump, of ours in each consistency, of the guest itself; and of the kdump that the
guest's capture kernel saves, beside the host's dump of the same moment. One signature: of two boots, with other addresses; and
one family of two builds of a kernel."""

import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import crash_dumps, crasher
from guests.capture_checks import END_SECONDS, Listener
from guests.capture_rig import CaptureConfig, CaptureGuest, build_image
from guests.consoles import CRASHES
from guests.dump_checks import run_dump
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel
from guests.test_report import behind, differ, run_report, text_of

KERNELS = {"6.1": "128M", "6.12": "192M"}   # and what a capture kernel needs
OTHER_BUILD = {"6.1": "6.1-cloud"}
WAY = "null"
# A kdump's stack begins where the exception occurred: crash_kexec() saves these registers.
DYING = ("panic", "vpanic", "crash_kexec", "oops_end.cold", "oops_end", "page_fault_oops", "exc_page_fault", "asm_exc_page_fault")
GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "rip", *(f"r{number}" for number in range(8, 16)))
CONSISTENCIES = ("pause", "snapshot", "torn")


def stack_of(report: dict, owner: dict) -> list:
    return [text_of(frame) for frame in report["stacks"][owner["stack"]]["frames"]] if "stack" in owner else []


def registers_of(fault: dict) -> dict:
    """Those that any dump has of a fault."""
    return {register["name"]: register["value"] for register in fault.get("registers", []) if register["name"] in GENERAL}


def essence(report: dict) -> dict:
    """What does not change while a kernel that panicked waits: no frames of that waiting, and no tasks that run."""
    panic = report["panic"]
    cpu = next(cpu for cpu in report["cpus"]["list"] if cpu["number"] == panic["cpu"])
    return {
        "release": report["kernel"]["release"], "taint": report["kernel"]["taint"]["mask"],
        "modules": sorted((module["name"], module["address"], module["size"]) for module in report["modules"]["list"]),
        **{key: panic.get(key) for key in ("class", "message", "cpu", "task", "signature")},
        "fault": panic.get("fault", {}).get("function"), "registers": registers_of(panic.get("fault", {})),
        "stack": behind(stack_of(report, cpu), DYING),
        "tasks": {task["pid"]: (task["comm"], task["state"], stack_of(report, task))
                  for task in report["tasks"]["list"] if not task.get("on_cpu")},
        "mounts": report["mounts"],
    }


def differences(ours: dict, theirs: dict) -> list:
    wrong = [f"{key}: {ours[key]}, not {theirs[key]}" for key in theirs if key != "tasks" and ours[key] != theirs[key]]
    tasks = ours["tasks"], theirs["tasks"]
    return wrong + [f"task {pid}: {tasks[0].get(pid)}, not {tasks[1].get(pid)}" for pid in sorted(tasks[0].keys() | tasks[1].keys())
                    if tasks[0].get(pid) != tasks[1].get(pid)][:5]


def test_host(vmcorectl, name: str, folder: Path, findings) -> dict:
    """The guest runs on when it has panicked: only then can a snapshot be taken of it."""
    of = kernel(name)
    crash_dumps.initrd(of, folder / "initrd", crash_dumps.init_of(WAY), crasher.module(of))
    config = Config(name=f"report-same-{name}", kernel=name, memory_mib=512, kernel_words=("loglevel=7",),
                    words=("-initrd", str(folder / "initrd"), "-action", "panic=none"))
    with Guest(config) as guest:
        guest.tell("go")
        guest._wait(lambda: "end Kernel panic" in guest.console, "panic", crash_dumps.PANIC_SECONDS)
        raw = essence(run_report(vmcorectl, guest.dump_elf(folder / "raw.elf")))
        findings.check(f"{name}: fault", differ("fault", raw["fault"], CRASHES[WAY].guilty.split()[0]))
        for consistency in CONSISTENCIES:
            out = folder / f"{consistency}.kdump"
            code, answer, errors = run_dump([vmcorectl.path], ["--qmp", guest.qmp_socket, "-o", out, "--consistency", consistency])
            if findings.check(f"{name}: {consistency}: dump", [] if code == 0 else [f"exit {code}", str(answer), errors]):
                findings.check(f"{name}: {consistency}: report", differences(essence(run_report(vmcorectl, out)), raw))
        done = vmcorectl.run("report", "--qmp", guest.qmp_socket, "--output", "json")
        if findings.check(f"{name}: the guest itself", [] if done.returncode == 0 else [f"exit {done.returncode}", done.stderr]):
            findings.check(f"{name}: the guest itself: report", differences(essence(json.loads(done.stdout)), raw))
    return raw


def test_capture(vmcorectl, name: str, folder: Path, findings) -> dict:
    of = kernel(name)
    config = CaptureConfig(name=f"report-capture-{name}", kernel=name, crashkernel=KERNELS[name], memory_mib=512, workload=False)
    with CaptureGuest(config, build_image(of, folder), {"crasher.ko": crasher.module(of)}) as guest:
        guest.load()
        listener = Listener(guest, folder / "stream")
        guest.crash(WAY)
        if not listener.first.wait(END_SECONDS):
            findings.check(f"{name}: capture", ["nothing came", guest.console[-3000:]])
            return {}
        host = guest.dump_elf(folder / "host.elf")
        guest.wait_for_end(END_SECONDS)
        listener.join(10)
    done = vmcorectl.run("receive", folder / "stream", "-o", folder / "received")
    if not findings.check(f"{name}: capture: receive", [] if done.returncode == 0 else [f"exit {done.returncode}", done.stderr]):
        return {}
    ours = essence(run_report(vmcorectl, folder / "received"))
    findings.check(f"{name}: capture: report", differences(ours, essence(run_report(vmcorectl, host)))
                   + differ("fault", ours["fault"], CRASHES[WAY].guilty.split()[0]))
    return ours


def same_signature(first: dict, second: dict) -> list:
    """Of two boots: the signature is one, the addresses are not."""
    wrong = differ("signature", first["signature"], second["signature"])
    moved = {module[1] for module in first["modules"]} != {module[1] for module in second["modules"]}
    return wrong + ([] if moved else ["both boots have the same addresses: nothing is proved"])


def test_builds(vmcorectl, name: str, findings) -> None:
    ours, other = (run_report(vmcorectl, crash_dumps.dump_of(each, WAY).raw)["panic"]["signature"] for each in (name, OTHER_BUILD[name]))
    findings.check(f"{name}: another build", differ("family", other["family"], ours["family"]) + differ(
        "title", other["title"], ours["title"]) + (["the exact signature is the same"] if ours["exact"] == other["exact"] else []))


def test(vmcorectl, _guests: list, findings) -> None:
    for name in os.environ.get("VMCORECTL_KERNELS", "").split() or KERNELS:
        boots = []
        for part in (test_host, test_capture):
            with scratch_folder() as scratch:
                boots.append(part(vmcorectl, name, Path(scratch), findings))
        if all(boots):
            findings.check(f"{name}: two boots", same_signature(*boots))
        if name in OTHER_BUILD:
            test_builds(vmcorectl, name, findings)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
