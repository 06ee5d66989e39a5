#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How vmcored serves many guests: fake QMP guests that panic in bursts.

    fleet.py --vmcored build/release/bin/vmcored                    300 guests, three bursts of 50 panics
    fleet.py --vmcored ... --guests 20 --burst 5 --bursts 1         a look whether it works

The guests are monitors without a QEMU (fake_fleet.py); their memory is one small dump, of make_dump. Everything is in
a folder of its own below --folder, on a file system like that of a store: not tmpfs. For each burst a line tells the
seconds from the panic to the flash report of the first, the middle and the last guest, what the last is to the first
(fairness: 1 is equal), the seconds until all jobs have ended and until the last guest runs again; at the end the
memory of vmcored (peak), of its jobs (peak, all together), and what the store has. `--output json` prints the same as
JSON. Leave the machine alone while it runs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.fake_fleet import Fleet, config

PATIENCE = 600      # seconds that a burst may take at most


@dataclass
class Burst:
    guests: int
    first: float        # seconds to the flash report
    middle: float
    last: float
    unfairness: float   # last / first
    settled: float      # seconds until all guests run again and all crashes are kept
    running: float      # seconds until the last guest runs again; nothing waits for its dump


class Service:
    """vmcored in the foreground, with all that it writes in one folder. Its configuration can name {sockets}, {store} and
    {folder}."""

    def __init__(self, program: Path, folder: Path, config: str):
        self.store, self.sockets = folder / "store", folder / "sockets"
        self.sockets.mkdir()
        self.config = folder / "vmcored.conf"
        self.config.write_text(config.format(sockets=self.sockets, store=self.store, folder=folder))
        self.words = [program, "--config", self.config, "--state", folder / "state", "--socket", folder / "control"]
        self.log = folder / "vmcored.log"

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def memory(self) -> int:
        """Its peak, in KiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

    def jobs(self) -> list:
        """The numbers of all its descendants but guardians."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            try:
                if Path(f"/proc/{pid}/comm").read_text() != "vmcore-guardian\n":
                    found.append(pid)
                for task in os.listdir(f"/proc/{pid}/task"):
                    waiting += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except OSError:
                pass                    # it has ended meanwhile
        return found[1:]

    def memory_of_jobs(self) -> int:
        """Of all its descendants now, shared pages counted in parts, in KiB."""
        total = 0
        for pid in self.jobs():
            try:
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
            except (OSError, StopIteration):
                pass                    # it has ended meanwhile
        return total

    def crashes(self) -> list:
        """(manifest, time of its flash report) of all that are kept."""
        kept = []
        for manifest in self.store.glob("[0-9]*/manifest.json"):
            report = manifest.with_name("report.json")
            kept.append((json.loads(manifest.read_text()), report.stat().st_mtime if report.exists() else None))
        return kept

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """Once it hears signals; before, one would end it as any program."""
        handled = lambda: int(next(line.split()[1] for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
                                   if line.startswith("SigBlk")), 16) & 1 << signal.SIGTERM - 1
        wait_until(lambda: handled() or self.process.poll() is not None, "a service that hears signals")
        self.process.terminate()
        return self.process.wait(60)


def wait_until(condition, what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def runs_again(guest, since: float):
    """When vmcored let it run after that time; None: not yet."""
    return next((when for when, deed in guest.deeds if when > since and deed == "cont"), None)


def burst(service: Service, fleet: Fleet, names: list, peaks: list) -> Burst:
    begin = time.time()
    known = len(service.crashes())
    fleet.panic(names)

    def done() -> bool:
        peaks.append(service.memory_of_jobs())
        return len(service.crashes()) == known + len(names) and all(
            runs_again(fleet.guests[name], begin) for name in names)

    wait_until(done, f"the crashes of {len(names)} guests")
    settled = time.time() - begin
    panicked = {name: next(when for when, deed in fleet.guests[name].deeds if when >= begin and deed == "panic")
                for name in names}
    waits = []
    for manifest, reported in service.crashes():
        name = manifest["capture"]["guest"]["name"]
        if reported and reported >= panicked.get(name, float("inf")):
            waits.append(reported - panicked[name])
    if len(waits) != len(names):
        raise RuntimeError(f"{len(waits)} flash reports of {len(names)} crashes")
    running = max(runs_again(fleet.guests[name], begin) - panicked[name] for name in names)
    return Burst(len(names), min(waits), statistics.median(waits), max(waits), max(waits) / min(waits), settled, running)


def measure(arguments, folder: Path) -> dict:
    dump = folder / "memory"
    subprocess.run([arguments.make_dump, "qemu-6.12", dump], check=True)
    service = Service(arguments.vmcored, folder, config() if arguments.every_dump else config(guests="signature-rate = 4"))
    fleet = Fleet(service.sockets, dump, arguments.guests)
    fleet.start()
    service.start()
    try:
        begin = time.monotonic()
        wait_until(lambda: all(guest.line for guest in fleet.guests.values()), "a connection to each guest")
        connected = time.monotonic() - begin
        chance, bursts, peaks = random.Random(1), [], []
        for _ in range(arguments.bursts):
            names = chance.sample(sorted(fleet.guests), arguments.burst)
            bursts.append(burst(service, fleet, names, peaks))
        crashes = service.crashes()
        return {"guests": arguments.guests, "connected_seconds": connected, "bursts": [asdict(each) for each in bursts],
                "vmcored_peak_kib": service.memory(), "jobs_peak_kib": max(peaks), "crashes": len(crashes),
                "with_memory": sum(bool(manifest.get("dump")) for manifest, _ in crashes),
                "store_bytes": sum(path.stat().st_size for path in service.store.rglob("*") if path.is_file())}
    except BaseException:
        shutil.copy(service.log, "vmcored-fleet.log")
        raise
    finally:
        service.end()


def show(found: dict) -> None:
    print(f"{found['guests']} guests, connected after {found['connected_seconds']:.2f} s")
    for each in found["bursts"]:
        print(f"{each['guests']} panics: flash report after {each['first']:.2f} s (first), {each['middle']:.2f} s (middle), "
              f"{each['last']:.2f} s (last), last/first {each['unfairness']:.1f}; runs again after {each['running']:.2f} s, "
              f"all kept after {each['settled']:.2f} s")
    print(f"memory: vmcored {found['vmcored_peak_kib'] / 1024:.1f} MiB, all jobs {found['jobs_peak_kib'] / 1024:.1f} MiB")
    print(f"store: {found['crashes']} crashes, {found['with_memory']} with memory, {found['store_bytes'] / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vmcored", type=Path, required=True)
    parser.add_argument("--make-dump", type=Path, help="default: beside vmcored")
    parser.add_argument("--guests", type=int, default=300)
    parser.add_argument("--burst", type=int, default=50)
    parser.add_argument("--bursts", type=int, default=3)
    parser.add_argument("--every-dump", action="store_true",
                        help="dump the memory of each guest; else of four, as one signature gets in an hour")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    arguments.vmcored = arguments.vmcored.resolve()
    arguments.make_dump = arguments.make_dump or arguments.vmcored.with_name("make_dump")
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="vmcored-fleet-") as folder:
        found = measure(arguments, Path(folder))
    if arguments.output == "json":
        print(json.dumps(found, indent=2))
    else:
        show(found)


if __name__ == "__main__":
    main()
