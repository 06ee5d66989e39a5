#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Raw dumps of guests that crashed in the ways of consoles.py, in the cache, and what their consoles said.

    crash_dumps.py KERNEL [CRASH]...     make those that are missing, print where they are
"""

import argparse
import gzip
import hashlib
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import crasher, initramfs
from guests.cache import cache_dir, lock
from guests.consoles import CRASHES, Crash
from guests.guest import Config, Guest, GuestError
from guests.kernels import Kernel, kernel
from guests.matrix import Dump

PANIC_SECONDS = 150
SPIN_SECONDS = 4        # until a CPU that was told to spin does so

# Replaces the workload: some tasks wait, each in another way, and a shell crashes the kernel on CPU 1 when it reads a line.
WAITS = """sleep 1000000 &
mkfifo /tmp/fifo
cat /tmp/fifo &
tail -f /init > /disk/tail &
sync
echo READY
read line
{pin}
{do}"""

# "noinit" and "noroot" have no shell that could wait; "arguments" is "null" with arguments.
WAYS = tuple(name for name in CRASHES if name not in ("noinit", "noroot", "arguments"))
# Whoever waits for a grace period must not wait for the CPU that spins.
NOT_PINNED = ("rcu",)


def init_of(way: str) -> str:
    crash = CRASHES[way]
    pin = "" if way in NOT_PINNED else "taskset -p 2 $$"
    return initramfs.INIT.replace("/workload {arguments}", WAITS.format(pin=pin, do=crash.do))


def initrd(of: Kernel, path: Path, init: str, module: bytes) -> None:
    """A second archive takes the place of the first one's /init."""
    archive = initramfs.Archive()
    if module:
        archive.add("crasher.ko", 0o100644, module)
    archive.add("init", 0o100755, init.encode())
    path.write_bytes(initramfs.build(of, []) + gzip.compress(archive.finish(), compresslevel=1))


def panicked(guest: Guest) -> bool:
    """5.10 has no driver for pvpanic-pci, so it is not paused by itself."""
    return guest.status() == "guest-panicked" or "end Kernel panic" in guest.console


def die(guest: Guest, crash: Crash) -> None:
    """Crashes the guest, and lets it stand still."""
    guest.tell("go")
    if crash.monitor:
        time.sleep(SPIN_SECONDS)
        guest.qmp("human-monitor-command", **{"command-line": crash.monitor})
    try:
        guest._wait(lambda: panicked(guest), "panic", PANIC_SECONDS)
    except GuestError:
        # An NMI may stop 5.10 where its panic waits for what it interrupted: it hangs when it has said all.
        if "Kernel Offset: " not in guest.console:
            raise
    if guest.status() == "running":
        guest.qmp("stop")


def dump_of(name: str, way: str) -> Dump:
    """The dump of a kernel that crashed in that way; the guest is run if the cache has none."""
    of, crash, init = kernel(name), CRASHES[way], init_of(way)
    config = Config(f"crash-{name}-{way}", kernel=name, memory_mib=512, kernel_words=("loglevel=7", *crash.words))
    module = crasher.module(of) if "insmod /crasher.ko" in init else b""
    known = json.dumps([asdict(config), of.release, init, crash.monitor]).encode()
    raw = cache_dir("dumps") / f"{config.name}-{hashlib.sha256(known + module).hexdigest()[:12]}.elf"
    with lock("dumps"):     # one QEMU at a time
        if not raw.exists():
            for stale in raw.parent.glob(f"{config.name}-????????????.*"):
                stale.unlink()
            own = raw.with_suffix(".initrd")
            initrd(of, own, init, module)
            make_dump(Config(**{**asdict(config), "words": ("-initrd", str(own))}), crash, raw)
            own.unlink()
    return Dump(config, of, raw)


def make_dump(config: Config, crash: Crash, raw: Path) -> None:
    started = time.monotonic()
    partial = raw.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with Guest(config) as guest:
        die(guest, crash)
        guest.dump_elf(partial)
        raw.with_suffix(".console").write_text(guest.console)
    partial.rename(raw)
    print(f"{config.name}: run and dumped in {time.monotonic() - started:.1f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the raw dumps of guests that crash.")
    parser.add_argument("kernel")
    parser.add_argument("ways", nargs="*", metavar="CRASH", help=", ".join(WAYS))
    options = parser.parse_args()
    failed = 0
    for way in options.ways or WAYS:
        try:
            print(f"{way}: {dump_of(options.kernel, way).raw}", flush=True)
        except Exception as error:
            failed += 1
            print(f"{way}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
