#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The tarball on another system than it was built on: a root of a later Debian suite, with the libraries that README.md names
and nothing else. $VMCORECTL: that of the build folder."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from guests.cache import cache_dir
from guests.debian import Suite, run

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
        (root / "opt").mkdir(parents=True)
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

        def inside(*words) -> str:
            return run(["unshare", "--map-root-user", "chroot", root, *words], env={"PATH": "/", "LANG": "C.UTF-8"})

        print(inside(where["vmcorectl"], "--version").strip(), "on", SUITE)
        inside(where["vmcored"], "--version")
        inside(where["vmcore-guest"], "--version")
        done = subprocess.run(["unshare", "--map-root-user", "chroot", root, where["vmcorectl"], "convert", "/dump", "/out", "--allow-unconfined"],
                              capture_output=True, text=True)
        assert done.returncode == 0 and (root / "out").stat().st_size > 0, done.stderr
        assert "panic" in inside(where["vmcorectl"], "dmesg", "/out", "--allow-unconfined"), "its log"
        print(f"{len(programs)} programs, {len(libraries)} libraries: {' '.join(sorted(libraries))}")


if __name__ == "__main__":
    if missing := [name for name in ("cpack", "unshare", "readelf", "apt-get") if not shutil.which(name)]:
        print(f"SKIPPED: needs {', '.join(missing)}")
        sys.exit(77)
    main()
