#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of folders in docs/ARCHITECTURE.md says what check_floors.py holds."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from check_floors import FLOORS, ROOT

ROW = re.compile(r"^\| ?\d? ?\| `([^`]+)` \| ?([^|]*) ?\|", re.M)
REST = "all guest folders above but init"


def folder_named(name: str) -> str:
    return name if name in FLOORS else "src/" + name


def table_of(text: str) -> dict:
    table = {}
    for folder, cell in ROW.findall(text):
        names = [name.strip(" `") for name in cell.split(",") if name.strip()]
        if REST in names:
            names.remove(REST)
            names += [above for above in table if above.startswith("guest/") and above != "guest/init"]
        table[folder] = {folder_named(name) for name in names}
    return table


def main() -> int:
    table = table_of((ROOT / "docs" / "ARCHITECTURE.md").read_text())
    wrong = [f"{folder}: the table has {', '.join(sorted(table.get(folder, {'no row'}))) or 'nothing'}, "
             f"check_floors.py {', '.join(sorted(FLOORS[folder])) or 'nothing'}"
             for folder in FLOORS if table.get(folder) != set(FLOORS[folder])]
    wrong += [f"{folder} is in the table and not in check_floors.py" for folder in table.keys() - FLOORS.keys()]
    print("\n".join(wrong) or f"{len(table)} rows of the table agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
