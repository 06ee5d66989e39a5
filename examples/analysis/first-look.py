#!/usr/bin/env drgn
# SPDX-License-Identifier: GPL-2.0-or-later
"""The first look at a dump: kernel, panic, stacks of the CPUs, tasks by state, the end of the log."""

from collections import Counter

from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg
from drgn.helpers.linux.sched import task_state_to_char

LAST_LINES = 60


def section(title, show):
    """What cannot be known of this dump does not end the script."""
    print(f"== {title}", flush=True)
    try:
        show()
    except Exception as error:
        print(f"not known: {type(error).__name__}: {error}")


def text_of(characters):
    return characters.string_().decode(errors="backslashreplace")


def kernel():
    name = prog["init_uts_ns"].name
    print(text_of(name.release), text_of(name.version), "on", text_of(name.nodename))
    print("tainted:", hex(prog["tainted_mask"].value_()))


def crashed():
    thread = prog.crashed_thread()
    print(f"pid {thread.tid}, {text_of(thread.object.comm)}")
    print(thread.stack_trace())


def cpus():
    for cpu in for_each_online_cpu(prog):
        task = per_cpu(prog["runqueues"], cpu).curr.read_()
        print(f"-- CPU {cpu}: pid {task.pid.value_()}, {text_of(task.comm)}")
        try:
            print(prog.stack_trace(task))
        except Exception as error:
            print(f"not known: {error}")


def tasks():
    states = Counter(task_state_to_char(task) for task in for_each_task(prog))
    print(", ".join(f"{state}: {count}" for state, count in states.most_common()))
    for task in for_each_task(prog):
        if task_state_to_char(task) == "D":
            print(f"{task.pid.value_():>8} {text_of(task.comm)}")


def log():
    lines = get_dmesg(prog).decode(errors="backslashreplace").splitlines()
    print("\n".join(lines[-LAST_LINES:]))


section("the kernel", kernel)
section("the task that crashed", crashed)
section("stacks of the CPUs", cpus)
section("tasks by state; those in uninterruptible sleep", tasks)
section("the end of the log", log)
