#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose root is a subvolume of btrfs, as the installers of Debian and Ubuntu make it: the capture kernel saves to
the folder that the guest sees under that name, and after the reboot `status` and the message of the day find the crash. A
folder that something else is mounted over is refused.

The guest's initramfs makes such a root, and runs vmcore-guest in it by chroot.
"""

import re
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs
from guests.capture_checks import END_SECONDS, has
from guests.capture_rig import CaptureConfig, CaptureGuest, stripped, vmcore_guest
from guests.harness import run_test, scratch_folder
from guests.kernels import Kernel, kernel, module_bytes
from guests.test_capture import SBIN

BOOT_SECONDS = 300
MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "btrfs", "xxhash_generic", "sha256_generic", "blake2b_generic")

# The subvolume that is /, and one that is mounted elsewhere.
MAKE = """set -e
mount -t btrfs /dev/vdb /disk
for name in @rootfs @other; do /subvolume /disk/$name; done
umount /disk
"""
ENTER = """set -e
mkdir -p /new
mount -t btrfs -o subvol=@rootfs /dev/vdb /new
for name in etc proc sys dev run tmp var disk; do mkdir -p /new/$name; done
[ -e /new/lib ] || cp -a /bin /sbin /boot /lib /new
cp /target /new/etc/vmcore-guest.conf
mount -t btrfs -o subvol=@other /dev/vdb /new/tmp
mkdir -p /new/var/lib /new/var/crash
for name in proc sys dev; do mount --bind /$name /new/$name; done
"""


def btrfs_disk(folder: Path) -> Path:
    path = folder / "disk"
    with open(path, "wb") as file:
        file.truncate(512 << 20)
    subprocess.run(["mkfs.btrfs", "-q", path], check=True, env=SBIN, stdout=subprocess.DEVNULL)
    return path


def files_of(of: Kernel, target: str) -> dict:
    files = {"target": f"target = {target}\n".encode(), "subvolume": initramfs.compiled("subvolume.c").read_bytes(),
             "make": b"#!/bin/sh\n" + MAKE.encode(), "enter": b"#!/bin/sh\n" + ENTER.encode(),
             "sbin/vmcore-guest-init": stripped(vmcore_guest().with_name("vmcore-guest-init"))}
    for path in of.load_order(list(MODULES)):
        files[f"lib/modules/{of.release}/{path.name.split('.ko')[0]}.ko"] = module_bytes(path)
    return files


def test(_vmcorectl, _guests: list, findings) -> None:
    of, inside = kernel("6.1"), "chroot /new /sbin/vmcore-guest"
    with scratch_folder() as scratch:
        config = CaptureConfig(name="btrfs", kernel="6.1", crashkernel="160M", memory_mib=640, workload=False, reboots=True,
                               disks=(btrfs_disk(Path(scratch)),), modules=MODULES[2:],
                               kernel_words=("no_timer_check",))      # it fails under TCG on a busy machine
        with CaptureGuest(config, files=files_of(of, "file:/dev/vdb:/var/crash")) as guest:
            guest.must("/make", BOOT_SECONDS)
            guest.must("/enter", BOOT_SECONDS)
            guest.must(f"{inside} load --append no_timer_check && sync", BOOT_SECONDS)
            guest.crash()
            guest.wait_for_boot(2, END_SECONDS)
            guest.must("/enter", BOOT_SECONDS)
            seen = guest.must("find /new/var/crash -type f | sort; mount -t btrfs -o subvolid=5 /dev/vdb /disk; ls -1 /disk")
            status = guest.run(f"{inside} status")[1]
            motd = guest.must(f"{inside} status --motd")
            guest.must(f"rm {'/new' + guest.capture_image}; mount -t ext4 /dev/vda /new/var/crash")
            hidden, said = guest.run(f"{inside} load", BOOT_SECONDS)
            status_of_hidden = guest.run(f"{inside} status")[1]
            console = guest.console
    findings.check("console", has(console, "the console", ["the log is in /var/crash/", "the crash is saved"]))
    dump = re.search(r"^/new(/var/crash/[0-9-]+/vmcore)$", seen, re.M)
    findings.check("it is seen", has(seen, "the folder", ["/dmesg.txt", "/new/var/crash/reboot-reason"])
                   + ([] if dump else [seen, console[-3000:]]))
    findings.check("nothing lies beside", [] if seen.splitlines()[-2:] == ["@other", "@rootfs"] else [seen])
    place = dump[1] if dump else "no dump"
    findings.check("status", has(status, "status", [place]))
    findings.check("message of the day", has(motd, "it", [f"Its dump: {place}"]))
    why = "/var/crash here is not on /dev/vdb: this guest would not see the dumps there"
    findings.check("hidden: load", ([] if hidden == 1 else [f"exit {hidden}"])
                   + has(said, "load", [why, "(target = file:/dev/vda:/)"]))
    findings.check("hidden: status", has(status_of_hidden, "status", [why]))


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
