#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels that crash each in another way, and what is saved of it: a NULL dereference, a soft lockup, a panic in a timer;
and the cloud kernel of trixie in the memory that is recommended for it. Each dump equals the host's own of the same
moment, and opens in crash with the stack of what crashed."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import crasher
from guests.capture_checks import to_the_host
from guests.capture_rig import CaptureConfig
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel

AT_ONCE = 2     # guests; a test machine has two CPUs

# (kernel, crashkernel=, way, words of its log, words of crash's bt)
PANICS = (
    # No panic at all: the oops itself hands over (kernel/kexec_core.c, kexec_should_crash).
    ("6.1", "128M", "null", ["BUG: kernel NULL pointer dereference", "write_to_null"], ("oops_end", "write_to_null")),
    ("6.1", "128M", "softlockup", ["softlockup: hung tasks", "spin_for_ever"], ("watchdog_timer_fn", "spin_for_ever")),
    ("6.1", "128M", "timer", ["crasher: in a timer", "<IRQ>"], ("panic_in_timer", "run_timer_softirq")),
    ("6.12-cloud", "112M", "sysrq", ["sysrq triggered crash"], ("sysrq_handle_crash",)),
)


def test(vmcorectl, _guests: list, findings) -> None:
    def save(case: tuple) -> None:
        name, crashkernel, way, words, stack = case
        config = CaptureConfig(name=f"{name}: {way}", kernel=name, crashkernel=crashkernel, memory_mib=512, workload=False)
        files = {"crasher.ko": crasher.module(kernel(name))} if way in crasher.WAYS else {}
        with scratch_folder() as folder:
            to_the_host(vmcorectl, findings, config, Path(folder), way, words, stack, files)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(save, PANICS))


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
