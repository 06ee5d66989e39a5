#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Root's vmcorectl and a monitor's socket that belongs to somebody else: a user who serves QMP and names a set-uid
process as its QEMU gets nothing of that process's memory into a dump; QEMUs of users, of root, of another PID namespace
and such as became somebody else are read in place as ever."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs
from guests.dump_checks import expect, run_dump
from guests.harness import SKIP, run_test

NOBODY = 65534
SECRET = b"SECRET "
BECOME = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def has_secret(folder: Path) -> list:
    return [f"{path.name} has the victim's memory" for path in folder.iterdir() if path.is_file() and SECRET in path.read_bytes()]


def deputy(vmcorectl, findings, folder: Path, argument: tuple, name: str) -> None:
    """`argument`: the victim's."""
    victim = folder / name
    shutil.copyfile(initramfs.compiled("deputy_victim.c"), victim)
    victim.chmod(0o4755)
    theirs, ours = folder / "theirs", folder / "ours"
    for path, owner in ((theirs, NOBODY), (ours, 0)):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        os.chown(path, owner, owner)
    liar = shutil.copy(Path(__file__).parent / "deputy_liar.py", folder)    # nobody may not see into the tree
    process = subprocess.Popen([*BECOME, "/usr/bin/python3", liar, theirs / "qmp.sock", victim, *argument],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    try:
        if process.stdout.readline() != b"ready\n":
            findings.check(f"deputy {name}: the liar", ["it did not start"])
            return
        for method in ("direct", "auto"):
            code, answer, errors = run_dump([vmcorectl.path], [
                "--qmp", theirs / "qmp.sock", "--method", method, "-d", "0", "--format", "elf", "-o", ours / method])
            print(f"  {name}: {method}: exit {code}, {answer.get('guest', {}).get('method')} {errors[:400]}", flush=True)
            expect(findings, f"deputy {name}: {method}", [
                ("read in place", code in (0, 3) and answer.get("guest", {}).get("method") == "direct", False),
                ("exit code", code, 1), ("said", "made the monitor's socket" in errors, method == "direct")])
        findings.check(f"deputy {name}: what root wrote", has_secret(ours))
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def legitimate(vmcorectl, findings, folder: Path, name: str, start: list, words: tuple = ()) -> None:
    """A QEMU whose firmware runs: its memory is read in place, and there is no kernel in it."""
    home = folder / name
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    qmp = home / "qmp.sock"
    process = subprocess.Popen([*start, shutil.which("qemu-system-x86_64"), "-accel", "tcg", "-m", "64", "-nodefaults",
                                "-display", "none", "-qmp", f"unix:{qmp},server=on,wait=off", *words],
                               stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not qmp.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(1)
        look, check = vmcorectl.run("dmesg", "--qmp", qmp), vmcorectl.run("check", "--qmp", qmp)
        print(f"  {name}: {look.stderr.strip()[:300]}", flush=True)
        expect(findings, f"legitimate: {name}", [
            ("read", "kernel was not found" in look.stderr, True),
            ("direct", re.search(r"method direct +: PASS", check.stdout) is not None, True)])
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def test(vmcorectl, _, findings) -> None:
    with tempfile.TemporaryDirectory(prefix="vmcorectl-deputy-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        deputy(vmcorectl, findings, folder, (), "set-uid")
        deputy(vmcorectl, findings, folder, (), "qemu-system-set-uid")      # its name tells nothing
        deputy(vmcorectl, findings, folder, ("drop",), "qemu-system-was-set-uid")
        legitimate(vmcorectl, findings, folder, "of-root", [])
        legitimate(vmcorectl, findings, folder, "of-nobody", BECOME)
        legitimate(vmcorectl, findings, folder, "became-nobody", [], ("-runas", "nobody"))
        legitimate(vmcorectl, findings, folder, "in-a-namespace", ["unshare", "--pid", "--fork", "--mount-proc"])


if __name__ == "__main__":
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        print("SKIPPED: only root has what it could lend to others")
        sys.exit(SKIP)
    sys.exit(run_test(test, [], __doc__))
