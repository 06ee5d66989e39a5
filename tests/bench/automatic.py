#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a host does about a panic by itself: libvirt's on_crash coredump-restart beside vmcored.

    automatic.py --vmcorectl build/release/bin/vmcorectl [--memory 1024] [--runs 3] [--libvirt newest]

A domain of a libvirt of its own (a session daemon: the installed one, or the newest) panics --runs times for each of the
two. A line tells the medians, in seconds from QEMU's event GUEST_PANICKED: until the first report is kept (vmcored's flash
report), until the dump is complete, and until the guest runs again; and the size of the dump.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.libvirt_rig import LibvirtRig
from guests.vmcored_rig import Service
from guests.witness import Witness

MIB = 1 << 20
NAMES = ("GUEST_PANICKED", "DUMP_COMPLETED", "RESET", "RESUME")
PATIENCE = 120      # seconds
LOOK_AHEAD = 40     # seconds after which vmcored has looked where a domain's memory lies


def wait_for(what, happened) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} within {PATIENCE} s")
        time.sleep(0.05)


class Crash:
    """One panic of the domain, as a second monitor sees it."""

    def __init__(self, rig: LibvirtRig):
        self.boots = rig.console.count("\nREADY")
        self.witness = Witness(rig.folder / "witness.sock", NAMES)
        rig.send_panic()
        wait_for("restart", lambda: self.runs_again() is not None)

    def time_of(self, name: str, after: float = 0.0) -> float | None:
        return next((when for event, when in list(self.witness.events) if event == name and when >= after), None)

    def runs_again(self) -> float | None:
        begun = self.time_of("GUEST_PANICKED")
        reset = begun and self.time_of("RESET", begun)
        return reset and self.time_of("RESUME", reset)

    def since(self, name: str) -> float:
        return self.time_of(name) - self.time_of("GUEST_PANICKED")

    def close(self, rig: LibvirtRig) -> None:
        self.witness.close()
        rig.wait_for_reboot(self.boots + 1)


def libvirts_own(rig: LibvirtRig) -> dict:
    crash = Crash(rig)
    wait_for("end of the dump", lambda: crash.time_of("DUMP_COMPLETED") is not None)
    again = crash.runs_again() - crash.time_of("GUEST_PANICKED")
    folder = rig.folder / "home/config/libvirt/qemu/dump"
    size = max(path.stat().st_size for path in folder.iterdir())
    seen = {"kept": crash.since("DUMP_COMPLETED"), "runs": again, "size": size}
    crash.close(rig)
    for path in folder.iterdir():
        path.unlink()
    return seen


# Each crash is a repeat of the first one: without this it keeps a flash report only.
CONFIG = """[store]
keep-free-share = "0%"
[guests]
after-crash = "restart"
repeat-window = "1s"
guest-rate = 1000
signature-rate = 1000
"""


def vmcoreds(rig: LibvirtRig, service: Service) -> dict:
    before = len(service.crashes(rig.name))
    crash = Crash(rig)
    wait_for("stored crash", lambda: len(service.crashes(rig.name)) > before)
    manifest = service.crashes(rig.name)[-1]["manifest"]
    seen = {"flash": manifest["to_flash_ms"] / 1000, "kept": manifest["to_dump_ms"] / 1000,
            "runs": crash.runs_again() - crash.time_of("GUEST_PANICKED"),
            "size": sum(file["size"] for file in manifest["files"])}
    crash.close(rig)
    return seen


def tell(name: str, runs: list) -> None:
    def median(key: str) -> float:
        return statistics.median(run[key] for run in runs)

    flash = f"{median('flash'):.2f} s" if "flash" in runs[0] else "-"
    print(f"  {name:32} report {flash:>8}   dump {median('kept'):6.2f} s   runs again {median('runs'):6.2f} s"
          f"   {median('size') / MIB:8.1f} MiB", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--vmcorectl", default=os.environ.get("VMCORECTL"), required="VMCORECTL" not in os.environ)
    parser.add_argument("--memory", type=int, default=1024, help="MiB of the domain")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--libvirt", default="session", choices=("session", "newest"), help="a kind of LibvirtRig")
    options = parser.parse_args()
    vmcorectl = str(Path(options.vmcorectl).resolve())
    print(f"{options.memory} MiB, libvirt ({options.libvirt}), panicked", flush=True)
    with LibvirtRig(options.libvirt, options.memory, on_crash="coredump-restart") as rig:
        tell("libvirt, coredump-restart", [libvirts_own(rig) for _ in range(options.runs)])
    with LibvirtRig(options.libvirt, options.memory) as rig:
        service = Service(rig, Path(vmcorectl), CONFIG)
        service.start()
        try:
            service.wait_for("connected to libvirt")
            time.sleep(LOOK_AHEAD)
            tell("vmcored", [vmcoreds(rig, service) for _ in range(options.runs)])
        finally:
            service.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
