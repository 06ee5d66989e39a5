#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What report says of guests that died in many ways (consoles.py), beside what is known of each death, what the kernel's
log says, and what drgn and crash find by the debuginfo of the kernel: class, CPU, task, function, the stacks of all tasks.
And that different crashes of a kernel have different signatures, and the same crash of two kernels has one family.

    test_report_truth.py     VMCORECTL_TRUTH="6.1 6.12:null,sysrq": of these kernels, all crashes or these
"""

import os
import re
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import crasher
from guests.consoles import CRASHES
from guests.crash_dumps import WAYS, dump_of
from guests.harness import run_test
from guests.test_report import differ, run_report, text_of
from guests.test_report_log import families_differ
from peers import facts, stacks

LEAST_PERCENT = 99.5
KERNELS = ("6.1", "6.12", "newest", "5.10")
BY_CRASH = ("6.1", "6.12")  # kernels that crash understands

# Functions of the stack of the panic, the innermost one first; others may be between them.
INSIDE_MODULE = ("crasher_init", "do_one_initcall", "do_init_module")
STACKS = {
    "null": ("write_to_null", *INSIDE_MODULE), "paging": ("read_far_away", *INSIDE_MODULE), "gpf": ("read_nowhere", *INSIDE_MODULE),
    "divide": ("divide_by_zero", *INSIDE_MODULE), "bug": ("hit_bug", *INSIDE_MODULE), "call": ("call_null", *INSIDE_MODULE),
    "overflow": ("fill_stack",) * 20, "warn": ("hit_warning", *INSIDE_MODULE), "hung": ("watchdog", "kthread"),
    "softlockup": ("watchdog_timer_fn", "spin_for_ever", *INSIDE_MODULE), "timer": ("panic_in_timer", "call_timer_fn"),
    "sysrq": ("sysrq_handle_crash", "__handle_sysrq", "write_sysrq_trigger", "vfs_write"), "oom": ("out_of_memory", "vfs_write"),
    "init": ("do_exit", "do_group_exit"), "nmi": ("unknown_nmi_error",), "stuck": ("unknown_nmi_error",), "mce": ("mce_panic",),
}
# Who panics on the CPU to which the shell is pinned.
TASKS = {**dict.fromkeys(("null", "paging", "gpf", "divide", "bug", "call", "overflow", "warn", "softlockup"), "insmod"),
         "oom": "dd", "init": "init", "sysrq": "init"}


def kernel_says(log: str) -> tuple:
    """(CPU, pid, comm) of the last trace."""
    found = re.findall(r"CPU: (\d+) (?:UID: \d+ )?PID: (\d+) Comm: (\S+)", log)
    return (int(found[-1][0]), int(found[-1][1]), found[-1][2]) if found else None


def trace_of_panic(log: str) -> list:
    """The frames of the trace that panic() printed; where it printed none, those that the oops did: without its own.
    None of a machine check."""
    begin = log.index("Kernel panic - not syncing")
    text = log[begin:] if "Call Trace:" in log[begin:] else log[:begin]
    frames = []
    for line in text.rpartition("Call Trace:")[2].splitlines()[1:] if "Call Trace:" in text else ():
        words = line.split("] ", 1)[-1].strip().removeprefix("RIP: 0010:")
        if re.match(r"[\w.]+\+0x", words):
            frames.append(words)
        elif "---[" in words or "RIP: 0033" in words:
            break
    last = max((i for i, frame in enumerate(frames) if frame.split("+")[0] in ("panic", "vpanic")), default=-1)
    return frames[last + 1:]


def has_in_order(frames: list, functions: tuple) -> bool:
    left = iter(frame.get("function", "").split(".")[0] for frame in frames)
    return all(function in left for function in functions)


def compare_panic(report: dict, way: str, log: str) -> list:
    crash, panic = CRASHES[way], report["panic"]
    if "class" not in panic:
        return [f"no crash: {panic}"]
    wrong = differ("class", panic["class"], crash.crash)
    if said := kernel_says(log):
        wrong += differ("CPU, pid, task", (panic.get("cpu"), panic["task"]["pid"], panic["task"]["comm"]), said)
    if way in TASKS:
        wrong += differ("task", (panic.get("cpu"), panic["task"]["comm"]), (1, TASKS[way]))
    title = panic["signature"]["title"]
    if crash.guilty and not title.endswith(f" in {crash.guilty}"):
        wrong.append(f"the title is {title}, without {crash.guilty}")
    if not panic["message"] or panic["message"] not in log:
        wrong.append(f"the message is {panic['message']}")
    return wrong + differ("evidence", set(panic["evidence"]), {"log", "stack", "panic_cpu"})


def compare_stack(report: dict, way: str, log: str) -> list:
    cpu = next(cpu for cpu in report["cpus"]["list"] if cpu["number"] == report["panic"]["cpu"])
    stack = report["stacks"][cpu["stack"]]
    ours, theirs = [text_of(frame) for frame in stack["frames"]], trace_of_panic(log)
    wrong = [f"broken: {stack['broken']}"] if "broken" in stack else []
    if way in STACKS and not has_in_order(stack["frames"], STACKS[way]):
        wrong.append(f"{ours} has no {STACKS[way]}")
    if (not theirs and way != "mce") or ours[len(ours) - len(theirs):] != theirs:
        wrong.append(f"the stack is {ours}, the log says {theirs}")
    return wrong


def by_drgn(report: dict, known, findings, what: str) -> stacks.Count:
    modules = {each["name"] for each in report["modules"]["list"]}
    findings.check(f"{what}: drgn: tasks and states", stacks.names_and_states(report, known.tasks, "drgn"))
    findings.check(f"{what}: drgn: modules, taint, CPU", differ("modules", modules, known.modules)
                   + differ("taint", int(report["kernel"]["taint"]["mask"], 16), known.taint)
                   + differ("CPU", report["panic"].get("cpu"), known.panic_cpu))
    of_panic = {key: task for key, task in known.tasks.items() if task.pid == report["panic"]["task"]["pid"]}
    findings.check(f"{what}: drgn: the stack of the panic", stacks.stacks(report, of_panic, "drgn").lines)
    count = stacks.stacks(report, known.tasks, "drgn")
    print("\n".join([f"{what}: drgn: {len(known.tasks)} tasks, {count}", *count.lines]), flush=True)
    for task in known.tasks.values():
        if task.error:
            print(f"{what}: drgn does not get to the end of the stack of {task.pid} {task.comm}: {task.error}", flush=True)
    return count


def by_crash(report: dict, dump, findings, what: str) -> None:
    """Its stacks are printed, not judged: of tasks that run it leaves out the innermost frames, or takes an address beside."""
    known = facts.by_crash(dump.raw, dump.kernel)
    findings.check(f"{what}: crash: tasks and states", stacks.names_and_states(report, known, "crash", {}))
    count = stacks.stacks(report, known, "crash")
    print("\n".join([f"{what}: crash: {len(known)} tasks, {count}", *count.lines]), flush=True)


def wanted() -> dict:
    words = os.environ.get("VMCORECTL_TRUTH", "").split() or KERNELS
    return {name: ways.split(",") if ways else WAYS for name, _, ways in (word.partition(":") for word in words)}


def test(vmcorectl, _guests: list, findings) -> None:
    families = {}       # by way
    for name, ways in wanted().items():
        total, reports = stacks.Count(), {}
        for way in ways:
            dump, what = dump_of(name, way), f"{name}: {way}"
            report = reports[way] = run_report(vmcorectl, dump.raw)
            known = facts.by_drgn(dump.raw, dump.kernel, (crasher.file(dump.kernel),))
            findings.check(f"{what}: the panic", compare_panic(report, way, known.log))
            findings.check(f"{what}: its stack", compare_stack(report, way, known.log))
            total.add(by_drgn(report, known, findings, what))
            if name in BY_CRASH:
                by_crash(report, dump, findings, what)
        print(f"{name}: drgn: {total}", flush=True)
        findings.check(f"{name}: families", families_differ(reports))
        for way, report in reports.items():
            families.setdefault(way, {})[name] = report["panic"].get("signature", {}).get("family")
        findings.check(f"{name}: frames", [] if total.percent >= LEAST_PERCENT else [str(total)])
    for way, found in families.items():
        findings.check(f"{way}: one family", [] if len(set(found.values())) == 1 else [str(found)])


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
