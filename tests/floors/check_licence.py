#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each source file says under which licence it is: an SPDX line among its first three."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINE = "SPDX-License-Identifier: GPL-2.0-or-later"
FOLDERS = ("cmake", "examples", "filters", "guest", "qmp", "src", "tests")
SUFFIXES = (".bash", ".c", ".cc", ".cmake", ".h", ".py", ".sh")


def is_source(path: Path) -> bool:
    return path.suffix in SUFFIXES or path.name == "CMakeLists.txt" or path.parent.name == "packages"


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    files = [root / "CMakeLists.txt"] + [path for folder in FOLDERS for path in sorted((root / folder).rglob("*"))
                                         if path.is_file() and is_source(path)]
    lacking = [path for path in files if not any(LINE in line for line in path.read_text().splitlines()[:3])]
    for path in lacking:
        print(f"{path.relative_to(root)} has no line \"{LINE}\"")
    print(f"{len(files) - len(lacking)} of {len(files)} files name their licence")
    return 1 if lacking or len(files) < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
