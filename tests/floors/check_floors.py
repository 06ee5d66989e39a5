#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each folder includes only what its floor allows (docs/ARCHITECTURE.md, "Floors").

A folder includes itself, src/base, and what stands in its row: never sideways, never up. Foreign headers are bound
to their folders too, so that the worker cannot come to need libvirt by accident. The namespace of a file is that of
its folder, and CMake links a folder's library with what stands in its row, no more and no less.
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
    "src/show": ["src/image", "src/seal", "src/report"],
    "src/sandbox": ["src/image", "src/report"],
    "src/lease": [],
    "src/staging": [],
    "src/audit": [],
    "src/control": ["src/report"],
    "src/vault": ["src/report", "src/seal", "src/staging"],
    "src/config": ["src/vault"],
    "filters": ["src/image", "src/kernel"],
    "src/debuginfo": ["src/report", "src/sandbox", "src/staging"],
    "src/sources": ["src/image", "src/formats", "src/sandbox"],
    "src/triage": ["src/image", "src/kernel", "src/report", "src/seal"],
    "src/acquire": ["src/image", "qmp", "src/sandbox", "src/lease", "src/staging"],
    "src/convert": ["src/image", "src/kernel", "src/formats", "filters"],
    "src/job": ["src/image", "src/report", "src/sandbox", "src/lease", "src/seal", "src/staging", "src/acquire"],
    "src/check": ["src/image", "src/report", "src/sandbox", "src/staging", "src/acquire", "src/job"],
    "src/remote": ["src/report", "src/job"],
    "src/worker": ["src/image", "src/report", "src/seal", "src/kernel", "src/formats", "src/sandbox", "filters",
                   "src/sources", "src/triage", "src/convert"],
    "src/guardian": ["qmp"],
    "src/command": [],
    "src/cli": ["src/image", "src/report", "src/sandbox", "src/seal", "src/staging", "src/vault", "src/job",
                "src/check", "src/remote", "src/command", "src/show", "src/debuginfo", "src/audit", "src/config", "src/control"],
    "src/daemon": ["src/image", "src/report", "src/staging", "src/audit", "src/control", "src/vault", "src/config",
                   "qmp", "src/acquire", "src/job", "src/command", "src/guardian"],
    "guest/config": ["src/seal"],
    "guest/save": ["src/image", "src/kernel", "src/formats", "src/seal", "filters", "src/convert",
                   "guest/config"],
    "guest/init": ["guest/save", "guest/config"],
    "guest/root": ["guest/config"],
    "guest/image": ["src/seal", "guest/config", "guest/save", "guest/root"],
    "guest/kexec": ["guest/config", "guest/root", "guest/image"],
    "guest/setup": ["guest/config", "guest/save", "guest/root", "guest/image", "guest/kexec"],
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
                   "src/command", "src/cli", "src/control", "src/daemon", "guest/kexec", "guest/setup", "guest/cli"],
    r"CLI/": ["src/command", "src/cli", "src/daemon", "guest/cli"],
    r"toml\+\+": ["src/config"],
    r"systemd/sd-daemon": ["src/daemon"],
    r"zstd\.h$": ["src/formats", "guest/image"],
    r"libdeflate\.h$": ["src/formats", "guest/config"],
    r"(zlib|snappy|snappy-c)\.h$|lzo/": ["src/formats"],
    r"lzma\.h$": ["guest/image"],
    r"sodium": ["src/seal"],
    r"seccomp\.h$": ["src/sandbox"],
    r"(libelf|gelf)\.h$": ["guest/image", "src/debuginfo"],
    r"^elfutils/|^archive(_entry)?\.h$|^curl/": ["src/debuginfo"],
}

# folders whose namespace is not named after them; folders below a folder share its namespace
NAMESPACES = {
    "src/base": ["vmcore", "vmcore::sys"],
    "src/image": ["vmcore"],
    "src/command": ["vmcore"],
    "src/kernel": ["vmcore::kernel", "vmcore::kernel::arch"],
}

# folder: the headers of it that files outside may include
HIDDEN = {
    "src/kernel/arch": ("src/kernel/arch/arch.h", "src/kernel/arch/x86_64_unwind.h"),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.M)
# But for one that only declares a class of a folder below.
NAMESPACE = re.compile(r"^namespace (vmcore[\w:]*) \{(?!\nclass \w+;\n\})", re.M)
CMAKE_CALL = re.compile(r"^(vmcore_library|target_link_libraries)\((\S+)([^)]*)\)", re.M)


def folder_of(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("src", "guest") else parts[0]


def check_project_include(name: str, included: str) -> str:
    folder, target = folder_of(name), folder_of(included)
    for hidden, shown in HIDDEN.items():
        if included.startswith(hidden + "/") and included not in shown and not name.startswith(hidden + "/"):
            return f"includes {included}: of {hidden} others know {' and '.join(shown)} alone"
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


def check_namespace(folder: str, namespace: str) -> str:
    own = "vmcore::" + folder.removeprefix("src/").replace("/", "::")
    allowed = NAMESPACES.get(folder, [own])
    return "" if namespace in allowed else f"is in namespace {namespace}, not {' or '.join(allowed)}"


def problems_of(path: Path, root: Path) -> list:
    name = path.relative_to(root).as_posix()
    folder = folder_of(name)
    text = path.read_text()
    problems = [check_namespace(folder, namespace) for namespace in NAMESPACE.findall(text)]
    for quote, included in INCLUDE.findall(text):
        problems.append(check_project_include(name, included) if quote == '"'
                        else check_foreign_include(name, included))
    return [f"{name} {problem}" for problem in problems if problem]


def check_links(root: Path) -> list:
    calls = {folder: CMAKE_CALL.findall((root / folder / "CMakeLists.txt").read_text()) for folder in FLOORS}
    folder_of_library = {target: folder for folder, found in calls.items()
                         for command, target, _ in found if command == "vmcore_library"}
    problems = []
    for folder, row in FLOORS.items():
        for _, target, words in calls[folder]:
            linked = {folder_of_library[word] for word in words.split() if word in folder_of_library}
            if linked == {folder}:
                continue  # a program of the folder's own library
            name = f"{folder}/CMakeLists.txt: {target}"
            problems += [f"{name} links {other}, which is not in the row of {folder}"
                         for other in sorted(linked - {*row, "src/base"})]
            problems += [f"{name} does not link {other} of its row" for other in sorted({*row} - linked)]
    return problems


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    files = [path for top in ("src", "qmp", "filters", "guest") for path in (root / top).rglob("*")
             if path.suffix in (".h", ".cc")]
    unknown = {folder_of(path.relative_to(root).as_posix()) for path in files} - FLOORS.keys()
    found = [f"{folder} has no floor: give it a row in {Path(__file__).name}" for folder in sorted(unknown)]
    for path in files:
        if folder_of(path.relative_to(root).as_posix()) in FLOORS:
            found += problems_of(path, root)
    found += check_links(root)
    print("\n".join(found) if found else f"{len(files)} files keep to their floors")
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
