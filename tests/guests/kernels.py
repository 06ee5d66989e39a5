#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that the guests run, from Debian packages, unpacked into the cache.

    kernels.py NAME...          fetch what is missing, print where it is
    kernels.py --debug NAME...  the matching vmlinux with debuginfo too (large)
    kernels.py --refresh NAME...  ask the archive for a newer one first
"""

import argparse
import json
import lzma
import re
import struct
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.cache import cache_dir, lock, new_folder
from guests.debian import Suite, unpack_some

# Each name's suite; the kernel is what that suite's linux-image-amd64 depends on, or linux-image-cloud-amd64.
SUITES = {"5.10": "bullseye", "6.1": "bookworm", "6.12": "trixie", "newest": "sid", "6.1-cloud": "bookworm", "6.12-cloud": "trixie",
          "6.1-686": "bookworm", "6.1-686-pae": "bookworm"}
# Of these names another package of the suite, of another architecture.
OTHERS = {"6.1-686": ("linux-image-686", "i386"), "6.1-686-pae": ("linux-image-686-pae", "i386")}


@dataclass(frozen=True)
class Kernel:
    """One kernel package, unpacked."""
    name: str
    release: str       # as uname -r says
    root: Path         # what the package holds

    @property
    def image(self) -> Path:
        """vmlinuz: in /boot, since 7.x beside the modules."""
        booted = self.root / "boot" / f"vmlinuz-{self.release}"
        return booted if booted.exists() else self.modules / "vmlinuz"

    @property
    def modules(self) -> Path:
        """The folder of the modules: in /lib, since trixie in /usr/lib."""
        for base in ("lib/modules", "usr/lib/modules"):
            if (self.root / base / self.release).is_dir():
                return self.root / base / self.release
        raise FileNotFoundError(f"no modules in {self.root}")

    @property
    def vmlinux(self) -> Path:
        """The image with debuginfo; there only after fetch_debuginfo()."""
        return cache_dir("debuginfo") / f"vmlinux-{self.release}"

    @property
    def config(self) -> Path:
        """What it was built with: in /boot, since 7.x beside the modules."""
        booted = self.root / "boot" / f"config-{self.release}"
        return booted if booted.exists() else self.modules / "config"

    def load_order(self, names: list) -> list:
        """Paths of the named modules, each after those it needs. A module that is built in or absent is left out."""
        files = {path.name.split(".ko")[0].replace("-", "_"): path for path in self.modules.rglob("*.ko*")}
        order = []

        def add(name: str) -> None:
            path = files.get(name.replace("-", "_"))
            if path and path not in order:
                for needed in needed_by(path):
                    add(needed)
                order.append(path)

        for name in names:
            add(name)
        return order

    def __str__(self) -> str:
        return f"{self.name}: {self.image}"


def needed_by(module: Path) -> list:
    """Names of the modules that one needs, from its own .modinfo: modules.dep is only made at installation."""
    found = re.search(rb"\0depends=([^\0]*)\0", module_bytes(module))
    return [name for name in found[1].decode().split(",") if name] if found else []


def module_bytes(path: Path) -> bytes:
    """A module as the kernel wants it: not compressed."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def module_file(modinfo: bytes) -> bytes:
    """A module of one section, .modinfo, with that content: what a tool sees that only looks through modules."""
    names = b"\0.modinfo\0.shstrtab\0"
    content = 64 + 3 * 64     # behind the ELF header and three section headers
    header = struct.pack("<16s2HI3QI6H", b"\x7fELF\2\1\1", 1, 62, 1, 0, 0, 64, 0, 64, 0, 0, 64, 3, 2)
    sections = bytes(64)
    for name, kind, at, size in ((1, 1, content, len(modinfo)), (10, 3, content + len(modinfo), len(names))):
        sections += struct.pack("<2I4Q2I2Q", name, kind, 0, 0, at, size, 0, 0, 1, 0)
    return header + sections + modinfo + names


def kernel(name: str, refresh: bool = False) -> Kernel:
    """The kernel of that name; fetched if the cache has none, or if `refresh` and there is a newer one."""
    record = cache_dir("kernels") / f"{name}.json"
    with lock(f"kernel-{name}"):
        if refresh or not record.exists():
            fetch(name, record)
    known = json.loads(record.read_text())
    return Kernel(name, known["release"], cache_dir("kernels") / known["release"])


def fetch(name: str, record: Path) -> None:
    usual = "linux-image-cloud-amd64" if name.endswith("-cloud") else "linux-image-amd64"
    chosen, arch = OTHERS.get(name, (usual, "amd64"))
    suite = Suite(SUITES[name], arch)
    suite.update()
    package = next(found for found in suite.depends(chosen) if found.startswith("linux-image-"))
    release = package[len("linux-image-"):]
    folder = cache_dir("kernels") / release
    if not folder.exists():
        with new_folder(folder) as partial:
            fetch_image(suite, package, partial)
    record.write_text(json.dumps({"release": release}) + "\n")


def fetch_image(suite: Suite, package: str, into: Path) -> None:
    """The image package; some suites split modules off into packages of their own, which it depends on."""
    suite.fetch(package, into)
    for needed in suite.depends(package):
        if needed.startswith(("linux-modules-", "linux-binary-", "linux-base-")):
            suite.fetch(needed, into)


def fetch_debuginfo(of: Kernel) -> Path:
    """vmlinux with debuginfo of a kernel. The package is close to a GB; only this one file is kept."""
    with lock(f"debuginfo-{of.release}"):
        if not of.vmlinux.exists():
            with tempfile.TemporaryDirectory(dir=of.vmlinux.parent) as partial:
                fetch_debug_files(of, Path(partial), "*/vmlinux*")      # since 7.x among the modules, with links to it
                files = [path for path in Path(partial).rglob("vmlinux*") if path.is_file() and not path.is_symlink()]
                max(files, key=lambda path: path.stat().st_size).rename(of.vmlinux)
    return of.vmlinux


def fetch_module_debuginfo(of: Kernel, names: list) -> list:
    """The files with debuginfo of these modules and of those that they need."""
    folder = cache_dir("debuginfo") / f"modules-{of.release}"
    with lock(f"debuginfo-{of.release}"):
        if not folder.exists():
            with new_folder(folder) as partial:
                fetch_debug_files(of, partial, *(f"*/{path.name.split('.ko')[0]}.ko*" for path in of.load_order(names)))
    return sorted(path for path in folder.rglob("*.ko*") if path.is_file())


def fetch_debug_package(of: Kernel) -> Path:
    """The package with the debuginfo of a kernel, as it comes: close to a GB."""
    folder = cache_dir("debuginfo") / f"package-{of.release}"
    with lock(f"debuginfo-{of.release}"):
        if not folder.exists():
            with new_folder(folder) as partial:
                Suite(SUITES[of.name]).download(f"linux-image-{of.release}-dbg", partial)
    return next(folder.glob("*.deb"))


def fetch_debug_files(of: Kernel, into: Path, *patterns: str) -> None:
    """From the package, if it is in the cache; else the package is not kept."""
    kept = next(cache_dir("debuginfo").glob(f"package-{of.release}/*.deb"), None)
    if kept:
        unpack_some(kept, into, patterns)
    else:
        Suite(SUITES[of.name]).fetch(f"linux-image-{of.release}-dbg", into, patterns)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fetch the kernels that the test guests run.")
    parser.add_argument("names", nargs="*", default=["6.1", "6.12"], metavar="NAME", help=", ".join(SUITES))
    parser.add_argument("--debug", action="store_true", help="vmlinux with debuginfo too")
    parser.add_argument("--refresh", action="store_true", help="look for a newer one")
    options = parser.parse_args()
    for name in options.names:
        found = kernel(name, options.refresh)
        print(found)
        if options.debug:
            print(f"{name}: {fetch_debuginfo(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
