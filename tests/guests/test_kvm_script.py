#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/kvm.sh, tried without KVM: one part runs, and its report says what came of it, and nothing of whose host it is."""

import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.harness import run_test, scratch_folder

SCRIPT = Path(__file__).resolve().parents[1] / "kvm.sh"
PARTS = ["boots", "direct", "qmp", "libvirt", "snapshot", "layouts", "check", "kill", "times"]


def run(*words) -> subprocess.CompletedProcess:
    return subprocess.run([SCRIPT, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800)


def test_usage(findings, folder: Path) -> None:
    listed = run("--list")
    expect(findings, "--list", [("exit code", listed.returncode, 0),
                                ("parts", [line.split()[0] for line in listed.stdout.splitlines()], PARTS)])
    for words in (["--only", "nothing"], ["--faster"], ["--trials", "many", "--tcg"], ["--only"], ["--tcg", "--out", folder / "none"],
                  ["--tcg", "--bin", folder]):
        done = run(*words)
        expect(findings, f"{words}", [("exit code", done.returncode, 2), ("says why", done.stderr.startswith("kvm.sh: "), True)])


def test(vmcorectl, _, findings) -> None:
    with scratch_folder() as scratch:
        folder = Path(scratch)
        test_usage(findings, folder)
        done = run("--tcg", "--only", "boots", "--bin", Path(vmcorectl.path).resolve().parent, "--out", folder)
        print(done.stdout[-2000:] + done.stderr[-2000:], flush=True)
        reports = list(folder.glob("vmcorectl-kvm-report-*.tar.gz"))
        expect(findings, "one part", [("exit code", done.returncode, 0), ("reports", len(reports), 1)])
        if not reports:
            return
        with tarfile.open(reports[0]) as archive:
            texts = {Path(member.name).name: archive.extractfile(member).read().decode() for member in archive if member.isfile()}
        expect(findings, "its report", [
            ("files", sorted(texts), ["boots.txt", "host.txt", "summary.txt"]),
            ("summary", texts["summary.txt"].split()[:2], ["boots", "passed"]),
            ("accelerator", "accelerator   tcg" in texts["host.txt"], True),
            ("whose host it is", [name for name, text in texts.items() if socket.gethostname() in text and
                                  len(socket.gethostname()) > 4], [])])


if __name__ == "__main__":
    os.environ.pop("VMCORECTL_ACCEL", None)
    sys.exit(run_test(test, [], __doc__))
