# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian root (debian_root.py) that boots as a guest with systemd, runs one program, and ends.

    boot_with(root, program)            # a kernel, its initramfs, and the program as a service
    machine = Machine(root, "root=/dev/vda", folder)
"""

import re
import subprocess
import time
from pathlib import Path

from guests.debian import run
from guests.debian_root import RELEASE, Tree
from guests.guest import chosen_accel
from guests.kernels import kernel

UNIT = """[Unit]
After={after}
[Service]
Type=oneshot
ExecStart=/usr/local/bin/steps
[Install]
WantedBy=multi-user.target
"""


def in_root(root: Tree, *words, code: int = 0) -> None:
    done = root.chroot(*words)
    if done.returncode != code:
        raise RuntimeError(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stdout[-2000:]}")


def put_kernel(root: Tree) -> None:
    """A real kernel in place of the root's."""
    of = kernel("6.1")
    run(["rm", "-rf", root.folder / f"boot/vmlinuz-{RELEASE}", root.folder / f"lib/modules/{RELEASE}"])
    run(["cp", "-a", *(of.root / "boot").iterdir(), root.folder / "boot"])
    run(["cp", "-a", of.modules, root.folder / "lib/modules"])
    in_root(root, "depmod", of.release)


def boot_with(root: Tree, program: str, after: str) -> None:
    """What the guest runs at each boot, after that unit; the kernel's initramfs is made with all that is in the root."""
    in_root(root, "update-initramfs", "-c", "-k", kernel("6.1").release)
    root.write("/etc/fstab", "/dev/vda / ext4 defaults 0 1\n")
    root.write("/etc/systemd/system/steps.service", UNIT.format(after=after))
    root.write("/usr/local/bin/steps", program, 0o755)
    in_root(root, "systemctl", "enable", "steps.service")


class Machine:
    """The guest, from a disk image that is made of the root."""

    def __init__(self, root: Tree, words: str, folder: Path, *options):
        self.console = folder / "console.log"
        boot, release = root.folder / "boot", kernel("6.1").release
        run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", root.folder, folder / "disk", "3G"])
        accel = chosen_accel("auto")
        self.process = subprocess.Popen([str(word) for word in (
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-accel", accel,
            "-cpu", "max" if accel == "tcg" else "host", "-m", "1536M", "-smp", "2", "-kernel", boot / f"vmlinuz-{release}",
            "-initrd", boot / f"initrd.img-{release}", "-append", f"{words} no_timer_check console=ttyS0",
            "-drive", f"file={folder / 'disk'},format=raw,if=virtio,cache=unsafe", "-serial", f"file:{self.console}",
            *options)], stdin=subprocess.DEVNULL)

    def wait_for(self, path: Path) -> None:
        """A socket of QEMU's."""
        while not path.exists() and self.process.poll() is None:
            time.sleep(0.1)

    def text(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def lines(self, pattern: str) -> list:
        return [line for line in self.text().splitlines() if re.search(pattern, line)]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
