#!/usr/bin/env drgn
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tasks in uninterruptible sleep: how long, and their stacks, equal ones once."""

from collections import defaultdict

from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_state_to_char


def section(title, show):
    """What cannot be known of this dump does not end the script."""
    print(f"== {title}", flush=True)
    try:
        show()
    except Exception as error:
        print(f"not known: {type(error).__name__}: {error}")


def hung():
    return [task for task in for_each_task(prog) if task_state_to_char(task) == "D"]


def seconds_since(task, now):
    return (now - task.sched_info.last_arrival.value_()) / 1e9


def times():
    now = max(per_cpu(prog["runqueues"], cpu).clock.value_() for cpu in for_each_online_cpu(prog))
    for task in sorted(hung(), key=lambda task: task.sched_info.last_arrival.value_()):
        comm = task.comm.string_().decode(errors="backslashreplace")
        print(f"{seconds_since(task, now):12.3f} s  {task.pid.value_():>8} {comm}")


def stacks():
    tasks_of = defaultdict(list)
    for task in hung():
        try:
            stack = "\n".join(str(frame.name or hex(frame.pc)) for frame in prog.stack_trace(task))
        except Exception as error:
            stack = f"not known: {error}"
        tasks_of[stack].append(str(task.pid.value_()))
    for stack, pids in sorted(tasks_of.items(), key=lambda entry: -len(entry[1])):
        print(f"-- {len(pids)} tasks: {', '.join(pids[:20])}{' ...' if len(pids) > 20 else ''}\n{stack}")


section("tasks in uninterruptible sleep, the longest first: time since each ran", times)
section("their stacks", stacks)
