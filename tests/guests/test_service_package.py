#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The package on a Debian guest with systemd: installed and not enabled; started, it keeps the crashes of fake QMP guests
(bench/fake_fleet.py), and makes no system call that its unit forbids; upgraded while four guests crash, it loses none;
killed by its watchdog or by somebody, it comes back; stopped, it gives guests back; purged, it leaves nothing but
crashes. What its unit allows is enough for method direct. The AppArmor profile of the examples allows what it does, the
self-check of a dump too, in complain mode and enforced. A sos report gets what the example's plugin says, and no memory."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.debian import run
from guests.debian_machine import Machine, boot_with, in_root, put_kernel
from guests.debian_root import Tree, copy_of, install, make_package
from guests.harness import SKIP, run_test

SECONDS = 1500      # under TCG, beside others
TESTS = Path(__file__).resolve().parents[1]
VMCORECTL = Path(os.environ.get("VMCORECTL", ""))
RELEASE = "6.12.0-test"     # of the fake guests' memory


def put_analyzer(root: Tree) -> None:
    """A crash for the self-check, which only shows the kernel that it is given, and needs what the real one needs: a /tmp, a
    /proc, and programs to pipe to."""
    root.write("/usr/bin/crash", f"""#!/bin/sh
if [ "$1" = --version ]; then echo "crash 8.0.6"; exit; fi
echo {RELEASE} > /tmp/own && cat /tmp/own | tail -n 1 && test -r /proc/self/stat
""", 0o755)
    vmlinux = root.folder / f"usr/lib/debug/boot/vmlinux-{RELEASE}"
    vmlinux.parent.mkdir(parents=True, exist_ok=True)
    run([VMCORECTL.with_name("make_debug_file"), "vmlinux", RELEASE, vmlinux])


def set_up(root: Tree, folder: Path) -> None:
    """Two versions of the package, what they depend on, fake guests and their memory."""
    put_kernel(root)
    (root.folder / "packages").mkdir()
    for release in ("1", "2"):
        package = make_package(VMCORECTL.parents[1], folder / release, component="host", release=release)
        shutil.copy(package, root.folder / f"packages/{release}.deb")
    install(root, "/packages/1.deb")
    in_root(root, "dpkg", "--purge", "vmcorectl")
    run([VMCORECTL.with_name("make_dump"), "qemu-6.12", root.folder / "root/memory"])
    shutil.copy(TESTS / "bench/fake_fleet.py", root.folder / "root")
    put_analyzer(root)
    in_root(root, "systemctl", "mask", "serial-getty@ttyS0.service")     # it would hang up the steps' line
    boot_with(root, (TESTS / "guests/package_steps.py").read_text(), "dbus.service")


def told(machine: Machine) -> dict:
    """What each step found."""
    found = {}
    for line in machine.lines(r'^\{"step"'):
        try:
            step = json.loads(line)
        except ValueError:      # the kernel spoke amid it
            continue
        found[step.pop("step")] = step
    return found


def judge(found: dict, findings) -> None:
    def check(what: str, step: str, **wanted) -> None:
        has = found.get(step, {})
        wrong = {name: has.get(name) for name, value in wanted.items() if has.get(name) != value}
        findings.check(what, [f"{wrong}, not {wanted}: {has.get('text', '')}"] if wrong else [])

    check("installed, not enabled, not started", "installed", code=0, enabled="disabled", active="inactive",
          store="2750 root vmcorectl", verify="")
    exposure = found.get("installed", {}).get("exposure", "")
    level = re.search(r"exposure level for vmcored.service: ([\d.]+)", exposure)
    # Of which 0.7 are the namespaces of programs that open a dump.
    findings.check("hardened", [] if level and float(level[1]) <= 4.2 else [exposure])
    check("what the unit allows is enough for method direct", "direct", code=3, method="direct")
    check("started, with all guests", "started", code=0, connected=True, ActiveState="active",
          profile="vmcored (complain)")
    all_run = {"states": ["running"] * 8, "in_time": True, "damaged": []}
    check("a crash is kept", "crashed", crashes=1, complete=1, metrics=True, **all_run)
    check("each deed is found by its MESSAGE_ID", "crashed", audit={"dump": 1, "crash-seen": 1, "policy": 1, "arm": 1})
    check("its group reads manifests only", "crashed", reader={"list": 0, "dmesg": 1, "unreadable": []})
    check("reloaded", "reloaded", complete=2, codes=[0, 0], refused=True, read=True, hook=True, same=True, ActiveState="active",
          **all_run)
    check("no call is forbidden", "strict", complete=3, forbidden=[], ActiveState="active", NRestarts="0", **all_run)
    check("its watchdog", "watched", complete=4, forbidden=[], expired=1, ActiveState="active", NRestarts="1", **all_run)
    check("a forbidden call would have been seen", "seen", forbidden=1)
    # A dump that the upgrade breaks off is kept in part, and its guest is dumped again.
    check("upgraded under load", "upgraded", code=0, version="0.1.0-2", complete=8, ActiveState="active", given_back=0, **all_run)
    check("killed", "killed", complete=9, ActiveState="active", given_back=0, **all_run)
    opened = {"vmcorectl": "done", "crash": "done", "drgn": "not tried"}     # nobody installed drgn
    check("the example's AppArmor profile allows what the service does", "killed", self_check=opened, beyond_profile=[])
    check("enforced, too", "enforced", profile="vmcored (enforce)", self_check=opened, beyond_profile=[], ActiveState="active",
          **all_run)
    check("the example's plugin of sos", "sos", code=0, missing=[], data=[], token=0)
    check("stopped", "stopped", given_back=1, result="success")
    check("purged", "purged", code=0, left=[], processes="", units="")
    purged = found.get("purged", {})
    findings.check("crashes stay", [] if purged.get("crashes") == found.get("enforced", {}).get("crashes") and
                   "/var/lib/vmcorectl" in purged.get("text", "") else [str(purged)])
    findings.check("no step failed", [found["failed"]["why"]] if "failed" in found else [])


def test(_vmcorectl, _guests: list, findings) -> None:
    with copy_of("python3+qemu-system-x86+procps+dbus+apparmor+sosreport") as root, tempfile.TemporaryDirectory(dir=root.folder.parent) as scratch:
        folder = Path(scratch)
        set_up(root, folder)
        machine = Machine(root, "root=/dev/vda rw quiet", folder)
        try:
            machine.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            findings.check("it ends", [machine.text()[-4000:]])
        finally:
            machine.close()
        found = told(machine)
        judge(found, findings)
        print(found.get("installed", {}).get("exposure"))
        if findings.count:
            print(json.dumps(found, indent=1), machine.text()[-3000:], sep="\n")


if __name__ == "__main__":
    missing = [name for name in ("debootstrap", "unshare", "cpack") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        print(f"SKIPPED: needs {', '.join(missing) or 'root'}")
        sys.exit(SKIP)
    sys.exit(run_test(test, [], __doc__))
