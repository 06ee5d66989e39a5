# SPDX-License-Identifier: GPL-2.0-or-later
"""What kernels print when they crash: a guest with a serial console, crashed in one of CRASHES, until it reboots.

    consoles.py KERNEL CRASH...     prints the consoles
"""

import gzip
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import crasher, initramfs
from guests.kernels import kernel

SECONDS = 240

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc
/bin/busybox --install -s /bin
mount -t proc proc /proc
{}
sleep 1000
"""


@dataclass(frozen=True)
class Crash:
    """How a kernel is crashed, and what is known of the console then."""
    crash: str                  # the class that vmcorectl finds
    do: str = ""                # the shell's words; "insmod WAY" for a way of the crasher
    guilty: str = ""            # the function of its title
    words: tuple = ()           # of the kernel's command line
    root: bool = True           # whether it has an initramfs
    monitor: str = ""           # what is said to QEMU's monitor when the guest is ready


def insmod(way: str, *before: str) -> str:
    return "\n".join([*before, f"insmod /crasher.ko how={way}"])


OOPS = "echo 1 > /proc/sys/kernel/panic_on_oops"
CRASHES = {
    "null": Crash("null_dereference", insmod("null", OOPS), "write_to_null [crasher]"),
    "paging": Crash("paging_request", insmod("paging", OOPS), "read_far_away [crasher]"),
    "gpf": Crash("protection_fault", insmod("gpf", OOPS), "read_nowhere [crasher]"),
    "arguments": Crash("null_dereference", insmod("arguments", OOPS), "fill [crasher]"),
    "divide": Crash("divide_error", insmod("divide", OOPS), "divide_by_zero [crasher]"),
    "bug": Crash("bug", insmod("bug", OOPS), "hit_bug [crasher]"),
    "call": Crash("null_dereference", insmod("call", OOPS), "call_null [crasher]"),
    "overflow": Crash("stack_overflow", insmod("overflow", OOPS), "fill_stack [crasher]"),
    "warn": Crash("warning", insmod("warn", "echo 1 > /proc/sys/kernel/panic_on_warn"), "hit_warning [crasher]"),
    "hung": Crash("hung_task", insmod("hung", "echo 1 > /proc/sys/kernel/hung_task_panic",
                                      "echo 2 > /proc/sys/kernel/hung_task_timeout_secs"), "hang_for_ever [crasher]"),
    "softlockup": Crash("soft_lockup", insmod("softlockup", "echo 1 > /proc/sys/kernel/softlockup_panic",
                                              "echo 2 > /proc/sys/kernel/watchdog_thresh"), "spin_for_ever [crasher]"),
    # A grace period begins when somebody waits for one.
    "rcu": Crash("rcu_stall", insmod("softlockup", "echo 0 > /proc/sys/kernel/watchdog",
                                     "while true; do mkdir /tmp/a; rmdir /tmp/a; done &",
                                     "echo 1 > /proc/sys/kernel/panic_on_rcu_stall"), "spin_for_ever [crasher]",
                 words=("rcupdate.rcu_cpu_stall_timeout=3",)),
    "timer": Crash("panic", insmod("timer"), "panic_in_timer [crasher]"),
    "sysrq": Crash("sysrq", "echo 1 > /proc/sys/kernel/sysrq\necho c > /proc/sysrq-trigger"),
    "oom": Crash("out_of_memory", "echo 2 > /proc/sys/vm/panic_on_oom\nmount -t devtmpfs dev /dev\nmount -t tmpfs -o size=99% tmpfs /tmp\n"
                                  "dd if=/dev/zero of=/tmp/all bs=1M"),
    "init": Crash("init_killed", "exit 3"),
    "noinit": Crash("no_root", words=("rdinit=/none",)),
    "noroot": Crash("no_root", words=("root=/dev/none",), root=False),
    "nmi": Crash("nmi", "echo 1 > /proc/sys/kernel/unknown_nmi_panic\necho READY", monitor="nmi"),
    # As a hypervisor ends a guest that does nothing any more.
    "stuck": Crash("nmi", insmod("irqsoff", "echo 1 > /proc/sys/kernel/unknown_nmi_panic", "echo READY"), monitor="nmi"),
    "mce": Crash("machine_check", "echo READY", monitor="mce 0 1 0xbe00000000000005 0x5 0x0 0x0"),
}
WITHOUT_MODULE = tuple(name for name, crash in CRASHES.items() if "insmod" not in crash.do)


def initrd(of, crash: Crash) -> bytes:
    archive = initramfs.Archive()
    for folder in ("bin", "proc", "tmp", "dev"):
        archive.add(folder, 0o40755)
    archive.add("bin/busybox", 0o100755, initramfs.busybox().read_bytes())
    archive.add("init", 0o100755, INIT.format(crash.do).encode())
    if "insmod" in crash.do:
        archive.add("crasher.ko", 0o100644, crasher.module(of))
    return gzip.compress(archive.finish(), compresslevel=1)


def console_of(name: str, way: str, words: tuple = (), cpus: int = 2) -> str:
    """The console of that kernel from its boot to its end; `words` are more of its command line."""
    of, crash = kernel(name), CRASHES[way]
    with tempfile.TemporaryDirectory(prefix="vmcorectl-console-") as folder:
        log = Path(folder) / "console"
        line = " ".join(["console=ttyS0", "loglevel=7", "panic=-1", *crash.words, *words])
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-accel", "tcg", "-cpu", "max,la57=off",
                   "-m", "512M", "-smp", str(cpus), "-kernel", of.image, "-append", line, "-serial", f"file:{log}",
                   "-no-reboot", "-monitor", "stdio"]
        if crash.root:
            path = Path(folder) / "initrd"
            path.write_bytes(initrd(of, crash))
            command += ["-initrd", path]
        return run_until_end([str(word) for word in command], log, crash)


def run_until_end(command: list, log: Path, crash: Crash) -> str:
    """The guest reboots when it panics, and QEMU ends instead."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            for _ in range(SECONDS * 2):
                try:
                    process.wait(0.5)
                    break
                except subprocess.TimeoutExpired:
                    if crash.monitor and b"READY" in log.read_bytes():
                        process.stdin.write(crash.monitor.encode() + b"\n")
                        process.stdin.flush()
            else:
                raise RuntimeError(f"the guest did not end:\n{log.read_text(errors='replace')[-3000:]}")
        finally:
            process.kill()
    return log.read_bytes().decode(errors="replace")


if __name__ == "__main__":
    for each in sys.argv[2:]:
        print(console_of(sys.argv[1], each))
