#!/usr/bin/env drgn
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who waits for which mutex or rw_semaphore, and who holds it: the waiters' stacks name the lock."""

from collections import defaultdict

from drgn import Object
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import task_state_to_char

# A variable of a function that waits, and the type it points to.
LOCKS = {"lock": "struct mutex *", "sem": "struct rw_semaphore *"}
FLAGS = 7   # in the low bits of an owner (kernel/locking/mutex.c, rwsem.c)
READERS = 1  # of a rw_semaphore: readers own it


def section(title, show):
    """What cannot be known of this dump does not end the script."""
    print(f"== {title}", flush=True)
    try:
        show()
    except Exception as error:
        print(f"not known: {type(error).__name__}: {error}")


def name_of(task):
    return f"{task.pid.value_()} {task.comm.string_().decode(errors='backslashreplace')}"


def lock_of(task):
    """The lock of the innermost frame that waits for one, or None."""
    for frame in prog.stack_trace(task):
        for variable, kind in LOCKS.items():
            try:
                value = frame[variable]
                if not value.absent_ and value.type_.type_name() == kind:
                    return value.read_()
            except (KeyError, LookupError, ValueError):
                continue
    return None


def owner_of(lock):
    owner = lock.owner.counter.value_()
    if owner & ~FLAGS == 0:
        return "nobody"
    if lock.type_.type_name() == "struct rw_semaphore *" and owner & READERS:
        return "readers"
    return name_of(Object(prog, "struct task_struct *", owner & ~FLAGS))


def waits():
    waiters = defaultdict(list)
    for task in for_each_task(prog):
        if task_state_to_char(task) == "D":
            lock = lock_of(task)
            if lock is not None:
                waiters[lock.value_()].append((lock, name_of(task)))
    for entries in sorted(waiters.values(), key=len, reverse=True):
        lock = entries[0][0]
        print(f"{lock.type_.type_name()}{lock.value_():#x}, held by {owner_of(lock)}")
        for _, name in entries:
            print(f"    {name}")
    if not waiters:
        print("no task waits for a mutex or a rw_semaphore that its stack names")


section("locks, those with the most waiters first", waits)
