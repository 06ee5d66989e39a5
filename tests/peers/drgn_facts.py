# SPDX-License-Identifier: GPL-2.0-or-later
"""Run by drgn (peers/facts.py): prints as JSON what drgn knows of the dump: tasks, stacks, modules, taint, log."""

import json

from drgn import FaultError
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.list import list_for_each_entry
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg
from drgn.helpers.linux.sched import task_state_to_char

KERNEL = 0xFFFF800000000000     # addresses below are those of user mode


def frames_of(task) -> dict:
    """Without inlined functions, and up to user mode. A frame: [address, {name: offset}]."""
    frames = []
    try:
        for frame in prog.stack_trace(task):
            if frame.is_inline:
                continue
            if 0 < frame.pc < KERNEL:
                break
            within = frame.pc - (0 if frame.interrupted else 1)
            frames.append([frame.pc, {symbol.name: frame.pc - symbol.address for symbol in prog.symbols(within)}])
    except (ValueError, LookupError, FaultError) as error:
        return {"frames": frames, "error": f"{type(error).__name__}: {error}"}
    return {"frames": frames}


def facts_of(task) -> dict:
    return {"pid": task.pid.value_(), "comm": task.comm.string_().decode(errors="replace"),
            "state": task_state_to_char(task), **frames_of(task)}


def facts() -> dict:
    cpus = list(for_each_possible_cpu(prog))
    # for_each_task() leaves out those that no list has.
    idle = {cpu: per_cpu(prog["runqueues"], cpu).idle for cpu in cpus}
    return {
        "tasks": [facts_of(task) for task in (*for_each_task(prog), *(task for task in idle.values() if task))],
        "modules": [module.name.string_().decode() for module in
                    list_for_each_entry("struct module", prog["modules"].address_of_(), "list")],
        "taint": prog["tainted_mask"].value_(),
        "panic_cpu": prog["panic_cpu"].counter.value_(),
        "text": prog.symbol("_text").address,
        "log": get_dmesg(prog).decode(errors="replace"),
    }


print(json.dumps(facts()))
