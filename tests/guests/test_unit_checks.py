#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcored, confined as its unit confines it (unit_sandbox.py): the dump of a guest that panics is opened again by our own
reader, crash and drgn with the kernel's vmlinux; the verdict stands in the manifest. The scripts of the configuration run over it."""

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import analyzers
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.kernels import fetch_debuginfo, kernel
from guests.vmcored_rig import Vmcored

HERE = Path(__file__).resolve().parent
UNIT = HERE.parents[1] / "src/daemon/system/vmcored.service"
EXAMPLES = HERE.parents[1] / "examples/analysis"
PROGRAMS = ("vmcored", "vmcore-guardian", "vmcorectl", "vmcore-worker", "vmcore-holder")
SCRIPTS = ("first-look.crash", "first-look.py")
PATIENCE = 900
CONFIG = "[service]\nscripts = [{}]\n\n[store]\nmax-share = \"none\"\nkeep-free = \"none\"\nkeep-free-share = \"none\"\n\n[guests]\nrepeat-window = \"1s\"\n"


class Confined(Vmcored):
    """Its files are below `folder`, and it sees them where an installed one has them."""

    def __init__(self, program: Path, folder: Path, of):
        self.folder, programs = folder, folder / "programs"
        for name in ("programs", "config", "store", "state", "run", "qmp", "debug/boot"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name in PROGRAMS:
            shutil.copy(program.with_name(name), programs / name)
        for name in SCRIPTS:
            shutil.copy(EXAMPLES / name, folder / "config" / name)
        os.link(fetch_debuginfo(of), folder / f"debug/boot/vmlinux-{of.release}")
        analyzers.install(folder / "bin", ("crash", "drgn"), Path("/opt/analyzers/bin"))
        super().__init__(program, CONFIG.format(", ".join(f'"/opt/config/{name}"' for name in SCRIPTS)), [], folder, folder)
        shutil.move(folder / "vmcored.conf", folder / "config")
        self.store, self.socket = folder / "store", folder / "run/vmcored.socket"

    def go(self, debug: bool) -> None:
        shows = {"programs": "/opt/programs", "config": "/opt/config", "bin": "/opt/analyzers/bin", "store": "/var/lib/vmcorectl",
                 "state": "/var/lib/vmcored", "run": "/run/vmcorectl", "qmp": "/run/qmp", **({"debug": "/usr/lib/debug"} if debug else {})}
        self.words = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", sys.executable, HERE / "unit_sandbox.py", UNIT,
                      *(word for source, target in shows.items() for word in ("--show", f"{self.folder / source}={target}")),
                      "--", "/opt/programs/vmcored", "--config", "/opt/config/vmcored.conf", "--qmp-folder", "/run/qmp"]
        self.start()
        deadline = time.monotonic() + 60
        while "guest" not in self.vmcorectl("arm", "--socket", self.socket) and time.monotonic() < deadline:
            time.sleep(0.2)     # until it has met it

    def last_checked(self, guest: str, times: int) -> dict:
        self.wait_until(lambda said: said.count("the self-check of") >= times, f"the self-check ({times} times)", PATIENCE)
        return self.crashes(guest)[-1]["manifest"]

    def results(self) -> dict:
        return {path.name: path.read_text(errors="replace") for path in self.store.rglob("*.txt")}


def outcomes(manifest: dict) -> dict:
    check = manifest.get("self_check") or {"programs": []}
    print(json.dumps(check, indent=1), flush=True)
    return {each["with"].split()[0]: each["outcome"] for each in check["programs"]}


def with_vmlinux(service: Confined, guest: Guest, findings) -> None:
    service.go(debug=True)
    guest.panic()
    manifest = service.last_checked("guest", 1)
    found = outcomes(manifest)
    findings.check("self-check", [] if found == {"vmcorectl": "done", "crash": "done", "drgn": "done"} and manifest["self_check"]["passed"]
                   else [f"{manifest.get('self_check')}\n{service.said()}"])
    service.wait_until(lambda said: said.count(" over ") >= len(SCRIPTS), "all scripts", PATIENCE)
    results = service.results()
    for name in SCRIPTS:
        text = next((text for file, text in results.items() if file.endswith(f".{name}.txt")), "")
        done = re.search(rf"/{re.escape(name)} over \S+: done$", service.said(), re.M)
        findings.check(f"script {name}", [] if done and "Kernel panic - not syncing" in text and "pipe operation failed" not in text
                       else [f"{list(results)}\n{text[-2000:]}\n{service.said()}"])


def without_vmlinux(service: Confined, guest: Guest, findings) -> None:
    """Nobody fails where nobody can try."""
    service.go(debug=False)
    guest.panic()
    manifest = service.last_checked("guest", 2)
    found = outcomes(manifest)
    findings.check("without vmlinux", [] if found == {"vmcorectl": "done", "crash": "not tried", "drgn": "not tried"} and
                   manifest["self_check"]["passed"] else [f"{manifest.get('self_check')}\n{service.said()}"])


def test(vmcorectl, _guests: list, findings) -> None:
    if os.geteuid() != 0 or not shutil.which("systemd-analyze"):
        findings.skip("the unit's confinement", "it needs root and systemd-analyze")
        return
    with scratch_folder() as scratch:
        folder = Path(scratch)
        service = Confined(Path(vmcorectl.path).with_name("vmcored"), folder, kernel("6.12"))
        words = ("-qmp", f"unix:{folder}/qmp/guest.sock,server=on,wait=off")
        try:
            for part in (with_vmlinux, without_vmlinux):
                with Guest(Config("guest", kernel="6.12", memory_mib=512, words=words)) as guest:
                    part(service, guest, findings)
                service.stop()
        finally:
            print(service.said(), flush=True)
            if service.process and service.process.poll() is None:
                service.kill()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
