#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""promtool, which is fetched, on the alert rules of the examples, their tests, and the metrics that vmcored writes: those
tests of cli/test_examples.py that need it."""

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.cache import cache_dir, new_folder
from guests.debian import Suite

TESTS = Path(__file__).resolve().parents[1]
PROMTOOL = "usr/bin/promtool"


def fetched() -> Path:
    folder = cache_dir("peers") / "prometheus-bookworm"
    if not folder.exists():
        with new_folder(folder) as partial:
            Suite("bookworm").fetch("prometheus", partial, (f"./{PROMTOOL}",))
    return folder / PROMTOOL


if __name__ == "__main__":
    words = [sys.executable, "-B", TESTS / "cli/test_examples.py", "Alerts"]
    sys.exit(subprocess.run(words, env={**os.environ, "PROMTOOL": str(fetched()), "MAKE_DUMP": str(
        Path(os.environ["VMCORECTL"]).with_name("make_dump"))}).returncode)
