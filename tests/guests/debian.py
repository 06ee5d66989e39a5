# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages fetched and unpacked privately: nothing is installed, the system's apt state is not touched.

    suite = Suite("trixie")
    suite.fetch("linux-image-6.12.1-amd64", folder)            # one package, unpacked below folder
    suite.fetch_with_dependencies(folder, "makedumpfile")      # a small root that runs by its own ld.so

The mirror and the keyring are those of the machine's own apt, where it has a Debian archive.
"""

import re
import shutil
import subprocess
from pathlib import Path

from guests.cache import cache_dir, lock

DEFAULT_MIRROR = "http://deb.debian.org/"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def run(command: list, **options) -> str:
    """Runs a command and returns its output; its error text is part of what is raised."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def mirror(archive: str) -> str:
    """Where this machine gets an archive ("debian" or "debian-security"): the URI whose path ends in its name."""
    try:
        uris = run(["apt-get", "indextargets", "--format", "$(REPO_URI)"]).split()
    except (RuntimeError, FileNotFoundError):
        uris = []
    found = [uri.rstrip("/") for uri in uris if uri.rstrip("/").endswith(f"/{archive}")]
    return found[0] if found else DEFAULT_MIRROR + archive


def sources(suite: str, arch: str) -> str:
    """The deb822 source list of one suite, for amd64 its security updates included where it has some."""
    signed = f"Signed-By: {KEYRING}\n" if KEYRING.exists() else ""
    archives = [("debian", suite)] if suite == "sid" or arch != "amd64" else [("debian", suite), ("debian-security", f"{suite}-security")]
    return "\n".join(f"Types: deb\nURIs: {mirror(archive)}\nSuites: {name}\nComponents: main\n{signed}"
                     for archive, name in archives)


class Suite:
    """One Debian suite behind a private apt state, in which nothing is installed."""

    def __init__(self, name: str, arch: str = "amd64"):
        self.arch = arch
        self.name = name if arch == "amd64" else f"{name}-{arch}"     # of its folder and its lock
        self.folder = cache_dir("apt", self.name)
        for part in ("lists/partial", "archives/partial", "etc"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        (self.folder / "etc" / "debian.sources").write_text(sources(name, arch))

    def _apt(self, tool: str, *words, **options) -> str:
        settings = {
            "Dir::State": self.folder, "Dir::State::Lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status", "Dir::State::extended_states": self.folder / "extended",
            "Dir::Cache": self.folder, "Dir::Cache::archives": self.folder / "archives",
            "Dir::Etc::sourcelist": "/dev/null", "Dir::Etc::sourceparts": self.folder / "etc",
            "Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Architecture": self.arch, "APT::Architectures": self.arch, "APT::Default-Release": "",
            "APT::Sandbox::User": "root", "APT::Install-Recommends": "false",
            "Acquire::Languages": "none", "Acquire::Retries": "3",
        }
        flags = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        return run([tool, *flags, *words], **options)

    def update(self) -> None:
        self._apt("apt-get", "update", "-q")

    def depends(self, package: str) -> list:
        """Names of the direct dependencies, alternatives left out."""
        if not any((self.folder / "lists").glob("*Packages*")):
            self.update()
        text = self._apt("apt-cache", "depends", "--no-recommends", "--no-suggests", "--no-conflicts",
                         "--no-breaks", "--no-replaces", "--no-enhances", package)
        return re.findall(r"^ +(?:Pre)?Depends: ([^<\s]+)$", text, re.M)

    def fetch(self, package: str, into: Path, only: tuple = ()) -> None:
        """Unpacks one package below `into`; with `only` (tar patterns) just the files that match."""
        with lock(f"apt-{self.name}"):
            debs = self._download("download", package)
            self._unpack(debs, into, only)

    def download(self, package: str, into: Path) -> Path:
        """The package itself, as the archive has it, in the folder `into`."""
        with lock(f"apt-{self.name}"):
            (deb,) = self._download("download", package)
            return Path(shutil.move(deb, into / deb.name))

    def fetch_with_dependencies(self, into: Path, *packages: str) -> None:
        """Unpacks packages and all that they depend on, the C library included."""
        with lock(f"apt-{self.name}"):
            debs = self._download("install", "--download-only", "-y", *packages)
            self._unpack(debs, into)

    def _download(self, *words) -> list:
        if not any((self.folder / "lists").glob("*Packages*")):
            self.update()
        archives = self.folder / "archives"
        for stale in archives.glob("*.deb"):
            stale.unlink()
        self._apt("apt-get", "-q", *words, cwd=archives)
        return sorted(archives.glob("*.deb"))

    def _unpack(self, debs: list, into: Path, only: tuple = ()) -> None:
        into.mkdir(parents=True, exist_ok=True)
        for deb in debs:
            if only:
                unpack_some(deb, into, only)
            else:
                run(["dpkg-deb", "-x", deb, into])
            deb.unlink()


def unpack_some(deb: Path, into: Path, patterns: tuple) -> None:
    """Unpacks the files of a package that match, without ever unpacking the rest to disk."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as archive:
        run(["tar", "-x", "--sparse", "-C", into, "--wildcards", *patterns], stdin=archive.stdout)
