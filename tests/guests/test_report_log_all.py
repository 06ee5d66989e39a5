#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""As test_report_log, for every crash and every kernel; and one family for the same crash of two kernels."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.consoles import CRASHES, WITHOUT_MODULE
from guests.harness import run_test
from guests.test_report_log import AT_ONCE, families_differ, read

WAYS = {"5.10": CRASHES, "6.1": CRASHES, "6.12": WITHOUT_MODULE, "newest": WITHOUT_MODULE}


def family(report: dict) -> str:
    return report["panic"].get("signature", {}).get("family", "")


def test(vmcorectl, _guests: list, findings) -> None:
    reports = {}
    for kernel, ways in WAYS.items():
        with ThreadPoolExecutor(AT_ONCE) as pool:
            reports[kernel] = dict(zip(ways, pool.map(lambda way: read(vmcorectl, findings, kernel, way), ways)))
        findings.check(f"{kernel}: families", families_differ(reports[kernel]))
    for way in CRASHES:
        families = {kernel: family(of[way]) for kernel, of in reports.items() if way in of}
        findings.check(f"{way}: one family", [] if len(set(families.values())) == 1 else [str(families)])


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
