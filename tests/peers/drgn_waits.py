# SPDX-License-Identifier: GPL-2.0-or-later
"""Run by drgn (peers/waits.py): prints as JSON who is in which run queue, and for which page or buffer a task waits: by the fields
of the tasks and the variables of their frames, where vmcorectl goes by the queues' lists and the waiters."""

import json

from drgn import FaultError, ObjectAbsentError
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.percpu import per_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_cpu, task_state_to_char

MOST_RT = 100       # priorities below are real-time
VARIABLES = {"folio": "page", "page": "page", "bh": "buffer"}


def queues() -> list:
    found = []
    for cpu in for_each_possible_cpu(prog):
        queue = per_cpu(prog["runqueues"], cpu)
        tasks = [task for task in for_each_task(prog) if task.on_rq.value_() == 1 and task_cpu(task) == cpu]
        found.append({"cpu": cpu, "tasks": {task.pid.value_(): "real-time" if task.prio.value_() < MOST_RT else "fair" for task in tasks},
                      "running": queue.nr_running.value_(), "real_time": queue.rt.rt_nr_running.value_()})
    return found


def described(kind: str, value) -> dict:
    if kind == "buffer":
        return {"buffer": value.value_(), "block": value.b_blocknr.value_()}
    host = value.mapping.host
    return {"page": value.value_(), "inode": host.i_ino.value_(), "device": host.i_sb.s_id.string_().decode()}


def wait_of(task) -> dict:
    """Of the innermost frame that has such a variable."""
    for frame in prog.stack_trace(task):
        for name, kind in VARIABLES.items():
            try:
                if name in frame.locals() and frame[name].value_():
                    return {"function": frame.name, **described(kind, frame[name])}
            except (KeyError, LookupError, ObjectAbsentError, FaultError, TypeError, AttributeError):
                pass
    return {}


print(json.dumps({"queues": queues(), "waits": {task.pid.value_(): wait_of(task) for task in for_each_task(prog)
                                                if task_state_to_char(task) == "D"}}))
