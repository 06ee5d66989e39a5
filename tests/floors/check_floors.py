#!/usr/bin/python3
"""Each folder includes only what its floor allows (docs/ARCHITECTURE.md, "Floors").

A folder includes itself, src/base, and what stands in its row: never sideways, never up. Foreign headers are bound
to their folders too, so that the worker cannot come to need libvirt by accident.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# folder: project folders that it may include beside itself and src/base
FLOORS = {
    "src/base": [],
    "src/image": [],
    "src/seal": [],
    "src/kernel": ["src/image"],
    "src/formats": ["src/image", "src/seal"],
    "qmp": [],
    "src/report": ["src/image"],
    "src/sandbox": ["src/image", "src/report"],
    "src/staging": [],
    "filters": ["src/image", "src/kernel"],
    "src/sources": ["src/image", "src/formats", "src/sandbox"],
    "src/acquire": ["src/image", "qmp", "src/sandbox"],
    "src/convert": ["src/image", "src/kernel", "src/formats", "filters"],
    "src/job": ["src/image", "src/report", "src/sandbox", "src/seal", "src/staging", "src/acquire"],
    "src/check": ["src/report", "src/sandbox", "src/staging", "src/acquire", "src/job"],
    "src/remote": ["src/report", "src/job"],
    "src/worker": ["src/image", "src/report", "src/seal", "src/kernel", "src/formats", "src/sandbox", "filters", "src/sources",
                   "src/convert"],
    "src/command": [],
    "src/cli": ["src/report", "src/sandbox", "src/seal", "src/job", "src/check", "src/remote", "src/command"],
    "guest/config": ["src/seal"],
    "guest/save": ["src/image", "src/kernel", "src/formats", "src/seal", "filters", "src/convert",
                   "guest/config"],
    "guest/init": ["guest/save", "guest/config"],
    "guest/root": ["guest/config"],
    "guest/image": ["src/seal", "guest/config", "guest/save", "guest/root"],
    "guest/kexec": ["guest/config", "guest/root", "guest/image"],
    "guest/setup": ["guest/config", "guest/root", "guest/image", "guest/kexec"],
    "guest/status": ["guest/config", "guest/save", "guest/root", "guest/image", "guest/kexec",
                     "guest/setup"],
    "guest/cli": ["src/command", "src/staging", "guest/config", "guest/save", "guest/root", "guest/image",
                  "guest/kexec", "guest/setup", "guest/status"],
}

# pattern of foreign headers: folders that may include them
FOREIGN = {
    r"libvirt/": ["src/acquire"],
    r"pugixml\.hpp$": ["src/acquire"],
    r"nlohmann/": ["qmp", "src/report", "src/sandbox", "src/formats/qemu", "src/acquire", "src/worker",
                   "src/command", "src/cli", "guest/kexec", "guest/setup", "guest/cli"],
    r"CLI/": ["src/command", "src/cli", "guest/cli"],
    r"zstd\.h$": ["src/formats", "guest/image"],
    r"libdeflate\.h$": ["src/formats", "guest/config"],
    r"(zlib|snappy|snappy-c)\.h$|lzo/": ["src/formats"],
    r"lzma\.h$": ["guest/image"],
    r"sodium": ["src/seal"],
    r"(libelf|gelf)\.h$": ["src/formats", "src/kernel"],
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)


def folder_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("src", "guest") else parts[0]


def check_project_include(folder: str, included: str) -> str:
    target = folder_of(included)
    if target not in FLOORS:
        return f"includes {included}, which is no folder of the project (paths start at the top)"
    if target in (folder, "src/base") or target in FLOORS[folder]:
        return ""
    return f"includes {included}: {folder} must not know {target}"


def check_foreign_include(name: str, included: str) -> str:
    for pattern, allowed in FOREIGN.items():
        if re.search(pattern, included) and not any(name.startswith(folder + "/") for folder in allowed):
            return f"includes <{included}>, which belongs to {', '.join(allowed)}"
    return ""


def problems_of(path: Path, root: Path) -> list:
    name = path.relative_to(root).as_posix()
    folder = folder_of(name)
    found = []
    for quote, included in INCLUDE.findall(path.read_text()):
        problem = check_project_include(folder, included) if quote == '"' else check_foreign_include(name, included)
        if problem:
            found.append(f"{name} {problem}")
    return found


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    files = [path for top in ("src", "qmp", "filters", "guest") for path in (root / top).rglob("*")
             if path.suffix in (".h", ".cc")]
    unknown = {folder_of(path.relative_to(root).as_posix()) for path in files} - FLOORS.keys()
    found = [f"{folder} has no floor: give it a row in {Path(__file__).name}" for folder in sorted(unknown)]
    for path in files:
        if folder_of(path.relative_to(root).as_posix()) in FLOORS:
            found += problems_of(path, root)
    print("\n".join(found) if found else f"{len(files)} files keep to their floors")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
