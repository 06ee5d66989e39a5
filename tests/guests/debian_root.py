# SPDX-License-Identifier: GPL-2.0-or-later
"""Root file systems as debootstrap makes them, and what changed in them.

    with copy_of("plain") as root:              # systemd and GRUB; "kdump-tools": with that, enabled; "A+B": with both
        root.chroot("systemctl", "is-enabled", "x.service")
        before = root.picture()

They are made once, and kept in the cache (cache.py). Nothing in them runs but what a test runs: there is no init.
"""

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from guests.cache import cache_dir, lock, new_folder
from guests.debian import KEYRING, mirror, run

SUITE = "bookworm"
PACKAGES = "systemd-sysv,udev,grub2-common,grub-pc-bin,initramfs-tools"
RELEASE = "6.1.0-1-amd64"
MODULES = ["drivers/firmware/qemu_fw_cfg.ko", "drivers/misc/pvpanic/pvpanic.ko", "drivers/misc/pvpanic/pvpanic-pci.ko"]

# Mounts what programs expect, for one command and its children only.
INSIDE = """set -e
mount --bind /dev "$0/dev"
mount -t proc proc "$0/proc"
mount -t sysfs sysfs "$0/sys"
exec "$@"
"""
# Where the folder's file system is none that GRUB knows (a container's overlay).
PROBE = """#!/bin/sh
case "$*" in
  *target=device*) echo /dev/vda ;;
  *target=fs_uuid*) echo 1b4e28ba-2fa1-11d2-883f-0016d3cca427 ;;
  *target=fs*) echo ext2 ;;
  *) exit 0 ;;
esac
"""


def command(*words) -> subprocess.CompletedProcess:
    """Runs a command; its error text is part of its output."""
    return subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})


class Tree:
    """A folder that is some system's root."""

    def __init__(self, folder: Path):
        self.folder = folder

    def write(self, path: str, text: str = "", mode: int = 0o644) -> None:
        target = self.folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def read(self, path: str) -> str:
        return (self.folder / path.lstrip("/")).read_text()

    def picture(self, *without: str) -> dict:
        """Each path's mode, owner and content; not what lies below the folders of `without`, nor below /run."""
        shown = {}
        for folder, folders, files in os.walk(self.folder):
            inside = f"/{Path(folder).relative_to(self.folder)}".replace("/.", "/")
            folders[:] = [name for name in folders if os.path.join(inside, name) not in ("/run", *without)]
            for name in folders + files:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode):
                    content = hashlib.blake2b(Path(path).read_bytes()).hexdigest()
                else:
                    content = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""
                shown[os.path.join(inside, name)] = (status.st_mode, status.st_uid, status.st_gid, content)
        return shown

    def mounted(self, *words) -> subprocess.CompletedProcess:
        """Runs a command of this machine while /proc, /sys and /dev are mounted in the tree."""
        return command("unshare", "--mount", "sh", "-c", INSIDE, self.folder, *words)

    def chroot(self, *words) -> subprocess.CompletedProcess:
        return self.mounted("chroot", self.folder, *words)


def changes(before: dict, after: dict) -> list:
    """Lines, one a path that differs."""
    return [f"{path}: {before.get(path, 'not there')} before, {after.get(path, 'not there')} after"
            for path in sorted(before.keys() | after.keys()) if before.get(path) != after.get(path)]


def install(root: Tree, *packages) -> None:
    """By their names, or the path in the root."""
    resolver = root.folder / "etc/resolv.conf"
    shutil.copyfile("/etc/resolv.conf", resolver)
    done = root.chroot("apt-get", "install", "-q", "-y", "--no-install-recommends", *packages)
    if done.returncode != 0:
        raise RuntimeError(f"apt-get install {' '.join(packages)}: exit {done.returncode}\n{done.stdout}")
    resolver.unlink()


def _make(name: str, folder: Path) -> None:
    if name != "plain":
        run(["cp", "-a", "--reflink=auto", f"{cached('plain')}/.", folder])
        install(Tree(folder), *name.split("+"))
        return
    keyring = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", *keyring, SUITE, folder, mirror("debian")])
    root = Tree(folder)
    root.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    if root.chroot("grub-probe", "--target=device", "/").returncode != 0:
        root.write("/usr/sbin/grub-probe", PROBE, 0o755)
    # As much of a kernel as GRUB and setup look at.
    root.write(f"/boot/vmlinuz-{RELEASE}", "kernel")
    root.write(f"/lib/modules/{RELEASE}/modules.dep", "".join(f"kernel/{module}:\n" for module in MODULES))
    root.write("/boot/grub/grub.cfg")
    done = root.chroot("update-grub")
    if done.returncode != 0:
        raise RuntimeError(f"update-grub: exit {done.returncode}\n{done.stdout}")
    run(["rm", "-rf", folder / "var/cache/apt", folder / "etc/resolv.conf"])


def cached(name: str) -> Path:
    final = cache_dir("roots") / f"{SUITE}-{name}"
    with lock(f"root-{name}"):
        if not final.exists():
            with new_folder(final) as folder:
                _make(name, folder)
                folder.chmod(0o755)
    return final


@contextlib.contextmanager
def copy_of(name: str):
    source = cached(name)
    with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch:
        folder = Path(scratch) / "root"
        run(["cp", "-a", "--reflink=auto", source, folder])
        yield Tree(folder)


@contextlib.contextmanager
def written_tree(files: dict):
    """A tree of files that are given as text; programs (in a bin or sbin) can be run."""
    with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as scratch:
        tree = Tree(Path(scratch) / "root")
        for path, text in files.items():
            tree.write(path, text, 0o755 if Path(path).parent.name in ("bin", "sbin") else 0o644)
        yield tree


def make_package(build: Path, folder: Path, kind: str = "deb", component: str = "guest", release: str = "1") -> Path:
    """The .deb or .rpm of the guest or the host, of a build folder."""
    run(["cpack", "-G", kind.upper(), "-D", f"CPACK_COMPONENTS_ALL={component}", "-D", f"CPACK_DEBIAN_PACKAGE_RELEASE={release}",
         "-B", folder], cwd=build)
    return next(folder.glob(f"{'vmcore-guest' if component == 'guest' else 'vmcorectl'}[_-]*.{kind}"))
