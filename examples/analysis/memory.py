#!/usr/bin/env drgn
# SPDX-License-Identifier: GPL-2.0-or-later
"""What memory is used for: counters of the machine, the largest slabs and tasks."""

from drgn.helpers.linux.nodemask import for_each_online_node
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.slab import for_each_slab_cache

MOST = 20
PAGE = prog["PAGE_SIZE"].value_()


def section(title, show):
    """What cannot be known of this dump does not end the script."""
    print(f"== {title}", flush=True)
    try:
        show()
    except Exception as error:
        print(f"not known: {type(error).__name__}: {error}")


def counters():
    for array, kind in (("vm_zone_stat", "enum zone_stat_item"), ("vm_node_stat", "enum node_stat_item")):
        values = prog[array]
        for name, number in prog.type(kind).enumerators:
            if number < values.type_.length:
                count = values[number].counter.value_()
                if count > 0:
                    print(f"{name:<32} {count:>12}{'' if name.endswith('_KB') else f'{count * PAGE >> 20:>10} MiB as pages'}")


def node_of(cache, node):
    """Since 7.1 (5ba6bc27b1f9) the pointer stands beside another one, for each node."""
    return cache.node[node] if hasattr(cache, "node") else cache.per_node[node].node


def slabs():
    """By the slabs of each node: partial ones, and all where the kernel counts them."""
    rows = []
    for cache in for_each_slab_cache(prog):
        slabs = sum(node_of(cache, node).nr_slabs.counter.value_() for node in for_each_online_node(prog))
        order = cache.oo.x.value_() >> 16
        rows.append((slabs * PAGE << order, slabs, cache.name.string_().decode(errors="backslashreplace")))
    for size, count, name in sorted(rows, reverse=True)[:MOST]:
        print(f"{size >> 10:>12} KiB in {count:>8} slabs  {name}")


def pages_of(counter):
    """rss_stat is an array of per-CPU counters since 6.2 (f1a7941243c1), one of atomics before."""
    return counter.count.value_() if hasattr(counter, "count") else counter.counter.value_()


def tasks():
    rows = []
    for task in for_each_task(prog):
        if not task.mm or task.tgid.value_() != task.pid.value_():
            continue
        stat = task.mm.rss_stat
        stat = stat.count if hasattr(stat, "count") else stat
        pages = sum(pages_of(stat[i]) for i in range(stat.type_.length) if i != 2)    # MM_SWAPENTS
        rows.append((pages, task.pid.value_(), task.comm.string_().decode(errors="backslashreplace")))
    for pages, pid, comm in sorted(rows, reverse=True)[:MOST]:
        print(f"{max(0, pages) * PAGE >> 10:>12} KiB {pid:>8} {comm}")


section("counters of the machine", counters)
section("the largest slabs", slabs)
section("the largest tasks by resident memory", tasks)
