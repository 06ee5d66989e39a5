#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests that everything is tried on, and their raw QEMU dumps in the cache.

    matrix.py             make all dumps that are missing
    matrix.py NAME...     make these
    matrix.py --list      names and what they are

A dump is made again when its configuration, its kernel or the rig (workload, initramfs, guest) changes.
"""

import argparse
import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.cache import cache_dir, lock
from guests.guest import Config, Guest
from guests.kernels import Kernel, kernel

# Pairwise over: kernel, LA57, KASLR, vmcoreinfo device, above 4 GiB, nodes, panic CPU, offline CPU, user mode under PTI.
MATRIX = [
    Config("6.1-plain", kernel="6.1"),
    Config("6.1-no-note", kernel="6.1", vmcoreinfo=False, panic_cpu=1),
    Config("6.1-no-kaslr", kernel="6.1", kaslr=False, panic_cpu=1, nodes=2),
    Config("6.1-la57", kernel="6.1", la57=True, vmcoreinfo=False, nodes=2),
    Config("6.1-offline", kernel="6.1", la57=True, kaslr=False, cpus=4, offline_cpu=2, panic_cpu=1),
    Config("6.1-user-pti", kernel="6.1", vmcoreinfo=False, pti=True, spin_cpu=1, panic_cpu=-1),
    Config("6.12-plain", kernel="6.12", panic_cpu=1),
    Config("6.12-no-note", kernel="6.12", vmcoreinfo=False, kaslr=False, pti=True, spin_cpu=1),
    Config("6.12-big-la57", kernel="6.12", la57=True, memory_mib=5120, nodes=2, panic_cpu=1),
    Config("6.12-offline", kernel="6.12", vmcoreinfo=False, cpus=4, offline_cpu=3, nodes=2, la57=True),
    Config("6.12-user-pti", kernel="6.12", pti=True, spin_cpu=1, panic_cpu=-1, la57=True, kaslr=False),
]
NAMES = [config.name for config in MATRIX]
RIG = ("workload.c", "initramfs.py", "guest.py")


@dataclass(frozen=True)
class Dump:
    """A guest's raw dump in the cache, and what its console said."""
    config: Config
    kernel: Kernel
    raw: Path

    @property
    def console(self) -> str:
        return self.raw.with_suffix(".console").read_text()


def config_of(name: str) -> Config:
    return next(config for config in MATRIX if config.name == name)


def rig_hash(config: Config, release: str) -> str:
    digest = hashlib.sha256(json.dumps([asdict(config), release], sort_keys=True).encode())
    for name in RIG:
        digest.update((Path(__file__).resolve().parent / name).read_bytes())
    return digest.hexdigest()[:12]


def dump_of(config: Config) -> Dump:
    """The guest's dump; the guest is run if the cache has none."""
    used = kernel(config.kernel)
    folder = cache_dir("dumps")
    raw = folder / f"{config.name}-{rig_hash(config, used.release)}.elf"
    with lock("dumps"):     # one QEMU at a time
        if not raw.exists():
            for stale in folder.glob(f"{config.name}-????????????.*"):
                stale.unlink()
            make_dump(config, raw)
    return Dump(config, used, raw)


def make_dump(config: Config, raw: Path) -> None:
    partial = raw.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    started = time.monotonic()
    with Guest(config) as guest:
        guest.finish()
        guest.dump_elf(partial)
        raw.with_suffix(".console").write_text(guest.console)
    partial.rename(raw)
    print(f"{config.name}: run and dumped in {time.monotonic() - started:.1f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the raw dumps of the test guests.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    for name in options.names or NAMES:
        if options.list:
            print(config_of(name))
        else:
            print(f"{name}: {dump_of(config_of(name)).raw}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
