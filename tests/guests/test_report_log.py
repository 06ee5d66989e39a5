#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the console of a kernel tells of its crash (consoles.py), as report --log reads it: the class, the function, the
stack that the kernel printed. Two boots of one kernel have other addresses, and one signature."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.consoles import CRASHES, console_of
from guests.harness import run_test

AT_ONCE = 2     # guests; a test machine has two CPUs
WAYS = ("null", "bug", "warn", "softlockup", "sysrq", "init", "nmi")
FRAME = re.compile(r"\] {2}([\w.]+)\+0x[0-9a-f]+/0x")


def report_of(vmcorectl, console: str) -> dict:
    done = subprocess.run([str(vmcorectl.path), "report", "--log", "-", "--output", "json"], input=console.encode(errors="replace"),
                          stdout=subprocess.PIPE, timeout=60)
    return json.loads(done.stdout)


def printed_frames(console: str) -> list:
    """The functions of the first trace, by another way than the tool's: reliable frames up to its end."""
    trace = console[console.index("Call Trace:"):]
    end = re.search(r"</TASK>|RIP: 0033|---\[ end|Kernel panic|Kernel Offset", trace)
    return [line for line in FRAME.findall(trace[:end.start()] if end else trace)]


def differences(report: dict, console: str, way: str) -> list:
    crash, panic = CRASHES[way], report["panic"]
    if "class" not in panic:
        return [f"no crash: {panic}"]
    signature = panic["signature"]
    wrong = []
    if panic["class"] != crash.crash:
        wrong.append(f"the class is {panic['class']}, not {crash.crash}")
    if crash.guilty and not signature["title"].endswith(f" in {crash.guilty}"):
        wrong.append(f"the title is {signature['title']}, without {crash.guilty}")
    if report["incomplete"] or signature["weak"] and crash.guilty:
        wrong.append(f"incomplete {report['incomplete']}, weak {signature['weak']}")
    if not panic["message"] or panic["message"] not in console:
        wrong.append(f"the message is {panic['message']}")
    if "Call Trace:" in console:
        ours = [frame["function"] for frame in report["stacks"][panic["stack"]]["frames"] if "function" in frame]
        theirs = printed_frames(console)
        known = [name for name in ours if name in theirs]
        if theirs not in (known, known[1:]):    # the function that faulted may call itself
            wrong.append(f"the stack is {ours}, the console has {theirs}")
    return wrong


def read(vmcorectl, findings, kernel: str, way: str, boot: int = 1) -> dict:
    """The report of one crash, compared with its console."""
    console = console_of(kernel, way)
    report = report_of(vmcorectl, console)
    findings.check(f"{kernel}: {way}" + (f", boot {boot}" if boot > 1 else ""), differences(report, console, way))
    return report


def families_differ(reports: dict) -> list:
    """Crashes of different ways have different families, but for those whose class is all that matters."""
    by_family = {}
    for way, report in reports.items():
        by_family.setdefault(report["panic"]["signature"]["family"], []).append(way)
    return [f"one family: {ways}" for ways in by_family.values() if len({CRASHES[way].crash for way in ways}) > 1
            or (len(ways) > 1 and any(CRASHES[way].guilty for way in ways))]


def test(vmcorectl, _guests: list, findings) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        again = pool.submit(read, vmcorectl, findings, "6.1", "null", 2)
        reports = dict(zip(WAYS, pool.map(lambda way: read(vmcorectl, findings, "6.1", way), WAYS)))
        same = again.result()["panic"]["signature"] == reports["null"]["panic"]["signature"]
        findings.check("6.1: two boots, one signature", [] if same else ["the signatures differ"])
        findings.check("6.1: families", families_differ(reports))


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
