#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The tarball on another system than it was built on: a root of a later Debian suite, with the libraries that README.md names
and nothing else. $VMCORECTL: that of the build folder."""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from guests.cache import cache_dir
from guests.debian import Suite, run
from guests.debian_root import Tree

SUITE = "trixie"
PACKAGES = {"libvirt.so.0": "libvirt0", "libvirt-qemu.so.0": "libvirt0", "libpugixml.so.1": "libpugixml1v5", "libarchive.so.13": "libarchive13t64",
            "libdebuginfod.so.1": "libdebuginfod1t64", "libdw.so.1": "libdw1t64", "libelf.so.1": "libelf1t64",
            "libsystemd.so.0": "libsystemd0", "libstdc++.so.6": "libstdc++6", "libgcc_s.so.1": "libgcc-s1"}
GLIBC = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}
BUILD = Path(os.environ.get("VMCORECTL", "")).parents[1]
README = Path(__file__).resolve().parents[2] / "README.md"


def needed(program: Path) -> set:
    return set(re.findall(r"NEEDED.*\[(.*)\]", run(["readelf", "-d", program])))


def main() -> None:
    with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch:
        folder, root = Path(scratch), Path(scratch) / "root"
        run(["cpack", "-G", "TGZ", "-B", folder / "packages"], cwd=BUILD)
        for name in ("opt", "dev", "proc", "sys", "tmp", "usr/lib", "usr/lib64"):
            (root / name).mkdir(parents=True)
        for name in ("lib", "lib64"):       # as base-files has it
            (root / name).symlink_to(f"usr/{name}")
        Suite(SUITE).fetch_with_dependencies(root, *sorted(set(PACKAGES.values())))
        run(["tar", "-x", "-f", next((folder / "packages").glob("*.tar.gz")), "-C", root / "opt", "--strip-components", "1"])
        run([BUILD / "bin/make_dump", "qemu-6.12", root / "dump"])

        programs = [path for name in ("bin", "sbin", "libexec") for path in (root / "opt").glob(f"**/{name}/**/*") if path.is_file()]
        libraries = set().union(*map(needed, programs)) - GLIBC
        unknown = libraries ^ PACKAGES.keys()
        assert not unknown, f"this test and the programs differ: {unknown}"
        text = README.read_text()
        assert all(library in text for library in libraries), f"README.md does not name {libraries}"
        assert not any(needed(path) for path in programs if path.name.startswith("vmcore-")), "they are static"

        where = {path.name: "/" + str(path.relative_to(root)) for path in programs}

        def inside(name: str, *words) -> str:
            done = Tree(root).chroot(where[name], *words)
            assert done.returncode == 0, f"{name} {words}: exit {done.returncode}\n{done.stdout}"
            return done.stdout

        print(inside("vmcorectl", "--version").strip(), "on", SUITE)
        inside("vmcored", "--version")
        inside("vmcore-guest", "--version")
        inside("vmcorectl", "convert", "/dump", "/out")
        assert "panic" in inside("vmcorectl", "dmesg", "/out"), "its log"
        print(f"{len(programs)} programs, {len(libraries)} libraries: {' '.join(sorted(libraries))}")


if __name__ == "__main__":
    missing = [name for name in ("cpack", "unshare", "readelf", "apt-get") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        print(f"SKIPPED: needs {', '.join(missing) or 'root'}")
        sys.exit(77)
    main()
