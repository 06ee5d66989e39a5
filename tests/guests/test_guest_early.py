#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcore-guest setup --early` on a Debian guest with initramfs-tools: the initramfs loads the capture kernel, and a crash before
the root is mounted reaches the host. After the boot `status` tells how large the copy is, and whether it is of the current
configuration; a new initramfs has a new copy; `remove` leaves every byte as it was."""

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.capture_rig import PORT_NAME, vmcore_guest
from guests.debian_machine import Machine, boot_with, in_root, put_kernel
from guests.debian_root import Tree, changes, copy_of, make_package
from guests.harness import SKIP, run_test
from guests.kernels import kernel

SECONDS = 600           # under TCG, beside others; usually 60
INITRD = "/boot/initrd.img-{}"
COPY = ["copy.json", "image", "kernel", "vmcore-guest"]
# Runs before the root is looked for, and after init-top.
CRASH = """#!/bin/sh
[ "$1" = prereqs ] && exit 0
read -r words < /proc/cmdline       # there may be no grep
case $words in *crash-early*) echo c > /proc/sysrq-trigger; esac
exit 0
"""
# What status says of the copy: as booted, with another configuration, and when the initramfs was made again.
STEPS = """#!/bin/sh
early() {{
    vmcore-guest status --output json | tr -d '\\n' | sed 's/.*"id": *"early"\\([^}}]*\\).*/EARLY {{\\1}}/' > /run/early.$1
}}
early booted
cat /run/vmcore-guest/early > /run/early.outcome
sed -i 's/^level = .*/level = 30/' /etc/vmcore-guest.conf
early changed
vmcore-guest load
update-initramfs -u -k {release}
early again
dmesg -n 1                  # nobody else speaks on the console: the kernel, systemd
kill -s RTMIN+21 1
exec > /dev/ttyS0           # not before: the getty hangs it up when it starts
for step in booted changed again; do
    echo "$step $(cat /run/early.$step)"
done
echo "OUTCOME $(tr -d '\\n' < /run/early.outcome)"
echo "LOADED $(grep -c '"early": "[0-9a-f]' /run/vmcore-guest/loaded)"
echo "DONE"
systemctl poweroff
"""


def release() -> str:
    return kernel("6.1").release


def copied(root: Tree) -> list:
    """The names of the copy's files in the initramfs."""
    listed = root.chroot("lsinitramfs", INITRD.format(release())).stdout
    return sorted(re.findall(r"^usr/lib/vmcore-guest/(.+)$", listed, re.M))


def set_up(root: Tree, folder: Path, findings) -> tuple:
    """Gives the root a kernel, and vmcore-guest, as `setup --early` leaves it. The words that GRUB would boot it with, and what
    the root was before."""
    put_kernel(root)
    shutil.copy(make_package(vmcore_guest().parents[1], folder), root.folder / "package.deb")
    in_root(root, "dpkg", "-i", "/package.deb")
    root.write("/etc/initramfs-tools/scripts/local-premount/crash-early", CRASH, 0o755)
    boot_with(root, STEPS.format(release=release()), "vmcore-guest.service")
    in_root(root, "update-grub")
    before = picture(root)
    in_root(root, "vmcore-guest", "setup", "--early")
    findings.check("the initramfs has a copy", [] if copied(root) == COPY else copied(root))
    done = root.chroot("vmcore-guest", "setup", "--early")
    findings.check("a second setup changes nothing", [] if "set up already" in done.stdout else [done.stdout])
    words = re.search(rf"linux\t/boot/vmlinuz-{re.escape(release())} (.*)", root.read("/boot/grub/grub.cfg"))[1]
    return words.replace("root=UUID=1b4e28ba-2fa1-11d2-883f-0016d3cca427", "root=/dev/vda"), before


def picture(root: Tree) -> dict:
    """An initramfs has the times of its making in it."""
    shown = root.picture("/var/log", "/var/cache")
    return {path: what for path, what in shown.items() if not path.startswith("/boot/initrd.img-")}


def boot(root: Tree, words: str, folder: Path) -> tuple:
    """The guest, and the socket of its port. A reboot ends it."""
    port = folder / "dump.sock"
    machine = Machine(root, words, folder, "-no-reboot", "-device", "vmcoreinfo", "-device", "virtio-serial-pci",
                      "-chardev", f"socket,id=dump,path={port},server=on,wait=off",
                      "-device", f"virtserialport,chardev=dump,name={PORT_NAME}")
    machine.wait_for(port)
    return machine, port


def crash_early(vmcorectl, root: Tree, words: str, folder: Path, findings) -> None:
    machine, port = boot(root, f"{words} crash-early", folder)
    out = folder / "vmcore"
    try:
        done = vmcorectl.run("receive", port, "-o", out, "--output", "json", "--wait", SECONDS, seconds=2 * SECONDS)
        findings.check("the early crash is received", [] if done.returncode == 0 else [done.stderr, machine.text()[-4000:]])
        machine.process.wait(SECONDS)
    finally:
        machine.close()
    log = vmcorectl.run("dmesg", out).stdout
    findings.check("it is that crash", [] if "sysrq triggered crash" in log and "Run /init as init process" in log else [log[-3000:]])
    findings.check("no root was mounted", [] if "EXT4-fs (vda)" not in log and "systemd[1]" not in log else [log[-3000:]])
    info = json.loads(vmcorectl.run("info", "--output", "json", out).stdout or "{}")
    findings.check("the dump is whole", [] if info and not info.get("incomplete") else [str(info)[:1000]])


def look(machine: Machine, step: str) -> dict:
    found = re.search(rf'^{step} EARLY \{{,? *(.*)\}}', machine.text(), re.M)
    return json.loads("{" + found[1].strip() + "}") if found else {}


def test(vmcorectl, _guests: list, findings) -> None:
    with copy_of("plain") as root, tempfile.TemporaryDirectory(dir=root.folder.parent) as scratch:
        folders = [Path(scratch) / name for name in ("crash", "boot")]
        for folder in folders:
            folder.mkdir()
        words, before = set_up(root, Path(scratch), findings)
        crash_early(vmcorectl, root, words, folders[0], findings)
        machine, _port = boot(root, words, folders[1])
        try:
            machine.process.wait(2 * SECONDS)
        finally:
            machine.close()
        text = machine.text()[-4000:]
        booted, changed, again = (look(machine, step) for step in ("booted", "changed", "again"))
        findings.check("after the boot", [] if booted.get("result") == "PASS" and re.search(
            r"^\d+\.\d MiB, loaded \d+\.\d s after the start", booted.get("value", "")) else [str(booted), text])
        findings.check("with another configuration", [] if changed.get("result") == "WARN" and "older than" in changed.get(
            "hint", "") else [str(changed), text])
        findings.check("made again", [] if again.get("result") == "PASS" else [str(again), text])
        in_root(root, "vmcore-guest", "remove")
        findings.check("remove leaves every byte as it was", changes(before, picture(root)))
        findings.check("the initramfs has no copy", copied(root))
        print(f"the copy: {booted.get('value')}; {machine.lines('OUTCOME')}", flush=True)


if __name__ == "__main__":
    missing = [name for name in ("debootstrap", "unshare", "cpack") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        print(f"SKIPPED: needs {', '.join(missing) or 'root'}")
        sys.exit(SKIP)
    sys.exit(run_test(test, [], __doc__))
