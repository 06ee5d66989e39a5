#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One crash, saved to disks that a capture kernel must wait for or put together: two logical volumes of LVM (one in two
parts on two disks, made by LVM's own tools), a USB disk and an SD card. The guest builds its image itself. Then the volume
grows: the capture kernel knows. What lies there equals, page by page, what QEMU dumps of the same guest.

init saves to the first target and then starts /bin/sh, which is a script that saves the same crash to every target of
the image's configuration.
"""

import re
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs
from guests.cache import cache_dir, lock, new_folder
from guests.capture_checks import MOST_IMAGE, has, opens_in_crash
from guests.capture_rig import CaptureConfig, CaptureGuest, Tree, stripped, vmcore_guest
from guests.debian import Suite
from guests.harness import run_test, scratch_folder
from guests.kernels import Kernel, kernel, module_bytes
from guests.test_capture import from_disk, on_disk
from guests.test_capture import new_disk as ext4_disk
from guests.test_targets import disk, new_disk, same
from peers.guest_stream import GuestStream
from peers.kdumpfile import ElfFile, KdumpFile

MIB = 1 << 20
END_SECONDS = 600       # under TCG, beside others; usually 90
MODULES = ("dm_mod", "sd_mod", "xhci_pci", "usb_storage", "mmc_block", "sdhci_pci", "virtio_blk", "virtio_pci", "ext4",
           "crc32c_generic")
CONFIG = """target = file:/dev/mapper/vg-crash:/var/crash
target = raw:/dev/mapper/vg-raw
target = file:/dev/sda:/
target = file:/dev/mmcblk0:/crash
on-success = shell
"""
# There is no udev in the guest.
LVM_CONFIG = """devices { obtain_device_list_from_udev = 0 use_devicesfile = 0 scan_lvs = 0 }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
backup { backup = 0 archive = 0 }
"""
MAKE = """set -e
mkdir -p /run/lock/lvm
ln -sf /proc/mounts /etc/mtab
lvm pvcreate /dev/vdb /dev/vdc
lvm vgcreate vg /dev/vdb /dev/vdc
lvm lvcreate -y -Wn -Zn -l 10 -n crash vg /dev/vdb
lvm lvcreate -y -Wn -Zn -l 40 -n raw vg /dev/vdc
lvm lvextend -l +40 vg/crash /dev/vdc
dd if=/dev/vdd of=/dev/mapper/vg-crash bs=1M
until [ -e /dev/sda ] && [ -e /dev/mmcblk0 ]; do sleep 0.1; done
"""
SCRIPT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
for target in $(sed -n 's/^target = //p' /etc/vmcore-guest.conf); do
    echo "=== save $target"
    vmcore-guest save --target $target
    echo "=== exit $?"
done
for mapped in /sys/block/dm-*; do echo "=== volume $(cat $mapped/dm/uuid) $(cat $mapped/size)"; done
sync
echo "=== all are saved"
read line
reboot -f
"""


def lvm_files() -> dict:
    """LVM's programs and the libraries that they need, by their paths in a guest."""
    folder = cache_dir("peers") / "lvm2"
    with lock("lvm2"):
        if not folder.exists():
            with new_folder(folder) as partial:
                Suite("bookworm").fetch_with_dependencies(partial, "lvm2")
    libraries = {path.name: path for path in folder.rglob("*.so*")}
    files, wanted = {}, [next(folder.rglob(f"sbin/{program}")) for program in ("lvm", "dmsetup")]
    while wanted:
        path = wanted.pop()
        inside = f"{'lib/x86_64-linux-gnu' if '.so' in path.name else 'sbin'}/{path.name}"
        if inside not in files:
            files[inside] = path.read_bytes()
            needed = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
            wanted += [libraries[name] for name in re.findall(r"\(NEEDED\).*\[(.*)\]", needed) if not name.startswith("ld-")]
    loader = libraries["ld-linux-x86-64.so.2"]
    return {**files, "lib64/ld-linux-x86-64.so.2": loader.read_bytes(), "etc/lvm/lvm.conf": LVM_CONFIG.encode()}


def files_of(of: Kernel) -> dict:
    script = Tree()
    for folder in ("bin", "tmp"):
        script.folder(folder)
    script.file("bin/busybox", initramfs.busybox().read_bytes(), 0o100755)
    script.file("bin/sh", SCRIPT.encode(), 0o100755)
    script.file("bin/vmcore-guest", stripped(vmcore_guest()), 0o100755)
    files = {"etc/vmcore-guest.conf": CONFIG.encode(), "make": b"#!/bin/sh\n" + MAKE.encode(), "script": script.finish(),
             "sbin/vmcore-guest-init": stripped(vmcore_guest().with_name("vmcore-guest-init"))}
    for path in of.load_order(list(MODULES)):
        files[f"lib/modules/{of.release}/{path.name.split('.ko')[0]}.ko"] = module_bytes(path)
    return {**files, **lvm_files()}


def numbers(text: str) -> dict:
    """Paths of "NAME MAJOR:MINOR" lines, by the number."""
    return {number: name for name, number in re.findall(r"^(vd\w) (\d+:\d+)$", text, re.M)}


def assembled(table: str, disks: dict, out: Path) -> Path:
    """A volume, by the table that LVM gave the kernel."""
    with open(out, "wb") as whole:
        for line in table.splitlines():
            begin, length, kind, number, at = line.split()
            assert kind == "linear"
            with open(disks[number], "rb") as part:
                part.seek(int(at) * 512)
                whole.seek(int(begin) * 512)
                whole.write(part.read(int(length) * 512))
    return out


def saved_in(image: Path, folder: str, out: Path):
    """The newest dump in a folder of a disk; None if there is none."""
    times = [name for name in on_disk(image, folder or "/") if name[0].isdigit()]
    if not times or "vmcore" not in on_disk(image, f"{folder}/{times[-1]}"):
        return None
    return KdumpFile(from_disk(image, f"{folder}/{times[-1]}/vmcore", out))


def test(vmcorectl, _guests: list, findings) -> None:
    of = kernel("6.1")
    with scratch_folder() as scratch:
        folder = Path(scratch)
        one, two = new_disk(folder / "one", 80), new_disk(folder / "two", 420)
        usb, card, made_of = (ext4_disk(folder / name, size) for name, size in (("usb", 128), ("card", 128), ("volume", 200)))
        devices = ("-device", "qemu-xhci", *disk(usb, "usb", "usb-storage"),
                   "-device", "sdhci-pci", *disk(card, "card", "sd-card"))
        config = CaptureConfig(name="disks", kernel="6.1", crashkernel="256M", memory_mib=768, workload=False, port=False,
                               disks=(one, two, made_of), devices=devices, modules=MODULES, kernel_words=("no_timer_check",))
        with CaptureGuest(config, files=files_of(of)) as guest:
            made = guest.must("/make 2>&1", 240)
            status = guest.run("vmcore-guest status", 120)[1]
            listed = guest.must("rm /boot/*.img /var/lib/vmcore-guest/*.img 2>/dev/null; vmcore-guest build -o /image &&"
                                " cpio -t < /image 2>/dev/null && stat -c '%s bytes' /image", 120)
            guest.must("lvm lvextend -l +4 vg/crash /dev/vdb; cat /script >> /image", 120)
            crash_table, raw_table = (guest.must(f"dmsetup table vg-{name}") for name in ("crash", "raw"))
            disks = numbers(guest.must("cd /sys/class/block; for d in vd?; do echo $d $(cat $d/dev); done"))
            guest.must(f"vmcore-guest load --kernel-image {guest.image} --initrd /image --append no_timer_check", 120)
            guest.crash()
            guest.wait_for_text("=== save ", END_SECONDS)
            host = ElfFile(guest.dump_elf(folder / "host.elf"))
            guest.wait_for_text("=== all are saved", END_SECONDS)
            guest.tell("")
            guest.wait_for_end(END_SECONDS)
            said = guest.console.replace("\r", "")
        disks = {number: {"vdb": one, "vdc": two}.get(name) for number, name in disks.items()}
        findings.check("made by LVM", has(made, "the guest", ["Logical volume vg/crash successfully resized"]))
        findings.check("status", [] if re.search(r"targets that can be reached *: PASS", status) else [status])
        modules = set(re.findall(r"^modules/(\w+?)\.ko\.gz$", listed.replace("-", "_"), re.M))
        findings.check("the image's modules", [f"no {name}" for name in MODULES if name not in modules])
        size = int(re.search(r"^(\d+) bytes$", listed, re.M)[1])
        findings.check("the image's size", [f"{size} bytes"] if size > MOST_IMAGE else [])

        codes = [int(code) for code in re.findall(r"^=== exit (\d+)", said, re.M)]
        findings.check("saved to each", [] if codes == [0, 0, 0, 0] else [str(codes), said[-8000:]])
        sectors = sum(int(line.split()[1]) for line in crash_table.splitlines())
        findings.check("the volume as it is now", ([] if len(crash_table.splitlines()) == 3 else [crash_table])
                       + has(said, "the capture kernel", [f" {sectors}\n"]))

        raw = assembled(raw_table, disks, folder / "raw")
        done = vmcorectl.run("receive", raw, "-o", folder / "received", "--verify")
        if not findings.check("raw volume", [] if done.returncode == 0 else [f"exit {done.returncode}", done.stderr]):
            return
        (folder / "stream").write_bytes(raw.read_bytes().rstrip(b"\0"))
        log = GuestStream(folder / "stream").log
        same(findings, "raw volume", KdumpFile(folder / "received"), host, log, 2048)
        for name, image, inside in (("volume", assembled(crash_table, disks, folder / "crash"), "/var/crash"), ("usb", usb, ""),
                                    ("card", card, "/crash")):
            ours = saved_in(image, inside, folder / f"{name}.vmcore")
            if findings.check(f"{name}: saved", [] if ours else ["there is no dump", *on_disk(image, inside or "/")]):
                same(findings, name, ours, host, log, 2048)
        opens_in_crash(findings, "volume", folder / "volume.vmcore", of)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
