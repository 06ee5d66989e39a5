#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""One crash, saved to every place that the capture side knows: a raw disk, xfs, btrfs and vfat on virtio-blk,
virtio-scsi and NVMe, vsock. What lies there equals, page by page, what QEMU dumps of the same guest. A part of its
memory is virtio-mem: because of the image's module not even who reads all of /proc/vmcore touches what is not plugged in.

init saves to the raw disk and then starts /bin/sh, as configured, which is a script that saves the same crash to all the
others. There is no host's end of vsock without /dev/vhost-vsock: the line goes by vsock_loopback to a listener in the
capture kernel.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs
from guests.capture_checks import MOST_IMAGE, has, opens_in_crash, same_as_host
from guests.capture_rig import CaptureConfig, CaptureGuest, Tree, build_image, stripped, vmcore_guest
from guests.guest import virtio_mem
from guests.harness import run_test, scratch_folder
from guests.kernels import Kernel, kernel, module_bytes, module_file
from guests.test_capture import SBIN
from peers import bits
from peers.guest_stream import GuestStream
from peers.kdumpfile import ElfFile, KdumpFile

MIB = 1 << 20
PLUGGED = 192           # a block of the kernel's, and a half
END_SECONDS = 600       # under TCG, beside others; usually 60
MOST_INIT = 5 * MIB // 2
SLOT = 64               # MiB of the disk for copies that each has

CONFIG = "target = raw:/dev/vdb\ntarget = file:LABEL=XFS:/\ntarget = file:LABEL=BTRFS:/\n" \
         "target = file:/dev/nvme0n1:/\non-success = shell\nlevel = 0\n"
FSTAB = "LABEL=XFS /x xfs\nLABEL=BTRFS /b btrfs\n/dev/nvme0n1 /v vfat\n"

# What `build` looks through in the guest: their names, and that they need no others, are all that matters.
INSTALLED = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "nvme", "xfs", "btrfs", "vfat")
HERE = "target = file:LABEL=BTRFS:/\ntarget = file:/dev/nvme0n1:/\n"

SCRIPT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
for module in $(cat /extra/order); do insmod /extra/$module || echo "note: $module was not loaded"; done
save() { echo "=== save $*"; vmcore-guest save --config /extra/conf "$@"; echo "=== exit $?"; }
# TYPE DEVICE FOLDER SLOT: what is in the folder, and its newest dump for the host
copy() {
    mount -t $1 -o ro $2 /look || return
    newest=$(ls -d /look$3/[0-9]* | tail -n 1)
    echo "=== $1 holds $(ls /look$3 | tr '\\n' ' '): $(cat /look$3/reboot-reason)"
    echo "=== $1 has $(stat -c %s $newest/vmcore) bytes"
    dd if=$newest/vmcore of=/dev/vdd bs=1M seek=$4 conv=notrunc 2>/dev/null
    umount /look
}
dd if=/proc/vmcore of=/dev/null bs=1M
save --target raw:/dev/vdb
save --target file:LABEL=XFS:/var/crash
save --target file:LABEL=BTRFS:/
for time in 1 2 3; do save --target file:/dev/nvme0n1:/crash; done
save --target file:LABEL=SMALL:/
save --target file:LABEL=absent:/ --target raw:LABEL=XFS --target raw:/dev/vde --target raw:/dev/sda --target raw:/dev/sdb --target file:/var/crash
(sleep 3; vsock_listener 30317 > /dev/vdc) &
save --target vsock --level 17
copy xfs /dev/vde /var/crash 0
for disk in sda sdb; do copy btrfs /dev/$disk / 64; done      # one of them is: they come in any order
copy vfat /dev/nvme0n1 /crash 128
sync
echo "=== all are saved"
read line
reboot -f
"""


def new_disk(path: Path, mebibytes: int, make: list = None) -> Path:
    with open(path, "wb") as file:
        file.truncate(mebibytes * MIB)
    if make:
        subprocess.run([*make, path], check=True, env=SBIN, stdout=subprocess.DEVNULL)
    return path


def script_archive(of: Kernel) -> bytes:
    """What the kernel unpacks over the capture image: a /bin/sh, and what it needs."""
    tree = Tree()
    for folder in ("bin", "extra", "look"):
        tree.folder(folder)
    tree.file("bin/busybox", initramfs.busybox().read_bytes(), 0o100755)
    tree.file("bin/sh", SCRIPT.encode(), 0o100755)
    tree.file("bin/vmcore-guest", stripped(vmcore_guest()), 0o100755)
    tree.file("bin/vsock_listener", initramfs.compiled("vsock_listener.c").read_bytes(), 0o100755)
    tree.file("extra/conf", b"keep = 2\n")
    order = []
    for path in of.load_order(["vsock_loopback"]):
        order.append(path.name.split(".ko")[0] + ".ko")
        tree.file(f"extra/{order[-1]}", module_bytes(path))
    tree.file("extra/order", "\n".join(order).encode() + b"\n")
    return tree.finish()


def disk(path: Path, name: str, device: str) -> tuple:
    return ("-drive", f"file={path},format=raw,if=none,id={name},cache=writeback", "-device", f"{device},drive={name}")


def part(path: Path, at: int, size: int, out: Path) -> Path:
    with open(path, "rb") as file:
        file.seek(at)
        out.write_bytes(file.read(size))
    return out


def touched_of_memfd(pid: int) -> float:
    """MiB of a process's memfd that were ever written or read."""
    return sum(fd.stat().st_blocks for fd in Path(f"/proc/{pid}/fd").iterdir() if "memfd:" in os.readlink(fd)) * 512 / MIB


def same(findings, what: str, ours, host: ElfFile, log: str, at_least: int = 4096) -> None:
    """`at_least` pages are kept, and those that are equal the host's."""
    lines = same_as_host(ours, host, log)
    if bits.count(ours.kept) < at_least:
        lines.append(f"only {bits.count(ours.kept)} pages are kept")
    findings.check(f"{what}: pages", lines)


def builds_for_its_disks(guest: CaptureGuest) -> list:
    """In the guest itself: the drivers of its disks and their file systems, and no others. A raw target that holds a file
    system is refused."""
    wanted = {"virtio_pci", "virtio_scsi", "sd_mod", "nvme", "btrfs", "vfat"}
    guest.must("until [ -e /dev/sda ] && [ -e /dev/nvme0n1 ]; do sleep 0.1; done")
    listed = guest.must("vmcore-guest build --config /here --init /bin/busybox -o /tmp/image && cpio -t < /tmp/image")
    found = set(re.findall(r"^modules/(\w+)\.ko\.gz$", listed, re.M))
    lines = [] if found == wanted else [f"{sorted(found)}, not {sorted(wanted)}"]
    raw = "until [ -e /dev/sdb ]; do sleep 0.1; done; for disk in sda sdb; do echo target = raw:/dev/$disk; done > /tmp/raw"
    code, text = guest.run(f"{raw}; vmcore-guest build --config /tmp/raw --init /bin/busybox -o /tmp/none")
    return lines + ([] if code == 1 else [f"exit {code}"]) + has(text, "build", ["it holds a file system ("])


def all_targets(vmcorectl, findings, name: str, folder: Path) -> None:
    of = kernel(name)
    image = build_image(of, folder, CONFIG, FSTAB)
    raw, line, copies = new_disk(folder / "raw", 768), new_disk(folder / "line", 768), new_disk(folder / "copies", 3 * SLOT)
    xfs = new_disk(folder / "xfs", 320, ["mkfs.xfs", "-q", "-L", "XFS"])
    btrfs = new_disk(folder / "btrfs", 256, ["mkfs.btrfs", "-q", "-L", "BTRFS"])
    vfat = new_disk(folder / "vfat", 128, ["mkfs.vfat", "-n", "CRASHES"])
    small = new_disk(folder / "small", 16, ["mkfs.vfat", "-F", "16", "-n", "SMALL"])
    devices = ("-device", "virtio-scsi-pci", *disk(btrfs, "btrfs", "scsi-hd"), *disk(small, "small", "scsi-hd"),
               *disk(vfat, "vfat", "nvme,serial=1"), *virtio_mem("memfd,share=on", PLUGGED))
    config = CaptureConfig(name="targets", kernel=name, crashkernel="256M", disks=(raw, line, copies, xfs), devices=devices,
                           memory_mib=640, maxmem="8G", workload=False, modules=("virtio_mem", "virtio_scsi", "sd_mod", "nvme"),
                           arguments="memhp_default_state=online_movable")
    installed = {f"lib/modules/{of.release}/{module}.ko": module_file(b"depends=\0") for module in INSTALLED}
    with CaptureGuest(config, image + script_archive(of), {"here": HERE.encode(), **installed}) as guest:
        findings.check(f"{name}: build", builds_for_its_disks(guest))
        guest.wait_for_size("vmem", PLUGGED * MIB, 60)
        guest.must("dd if=/dev/urandom of=/tmp/fill bs=1M count=100")
        guest.load()
        guest.crash()
        guest.wait_for_text("=== save ", END_SECONDS)
        host = ElfFile(guest.dump_elf(folder / "host.elf"))
        plugged_in = guest.qmp("qom-get", path="/machine/peripheral/vmem", property="memaddr") >> 12
        guest.wait_for_text("=== all are saved", END_SECONDS)
        touched = touched_of_memfd(guest.pid)
        guest.tell("")
        guest.wait_for_end(END_SECONDS)
        said = guest.console.replace("\r", "")
    (folder / "stream").write_bytes(line.read_bytes().rstrip(b"\0"))
    stream = GuestStream(folder / "stream")
    log = stream.log

    findings.check(f"{name}: init", has(said, "the console", [
        "vmcore-guest: raw: ", "MiB of pages to /dev/vdb", "vmcore-guest: the crash is saved"]))
    findings.check(f"{name}: virtio-mem", [] if abs(touched - PLUGGED) < 1 else [
        f"{PLUGGED} MiB are plugged in, and {touched:.0f} were touched when all of /proc/vmcore was read"])

    done = vmcorectl.run("receive", raw, "-o", folder / "received", "--verify")
    if findings.check(f"{name}: raw: receive", [] if done.returncode == 0 else [f"exit {done.returncode}", done.stderr]):
        same(findings, f"{name}: raw", KdumpFile(folder / "received"), host, log)
        opens_in_crash(findings, f"{name}: raw", folder / "received", of)
        again = vmcorectl.run("info", "--output", "json", folder / "received").stdout
        findings.check(f"{name}: raw: the later of two", has(again.replace(" ", ""), "info", ['"reached":31']))

    for number, (kind, place) in enumerate((("xfs", "/var/crash"), ("btrfs", ""), ("vfat", "/crash"))):
        size = re.search(rf"^=== {kind} has (\d+) bytes", said, re.M)
        if findings.check(f"{name}: {kind}", [] if size else ["nothing is there", said[-6000:]]):
            vmcore = part(copies, number * SLOT * MIB, int(size[1]), folder / kind)
            same(findings, f"{name}: {kind}", KdumpFile(vmcore), host, log)
            held = re.search(rf"^=== {kind} holds (.*)", said, re.M)[1]
            findings.check(f"{name}: {kind}: reason", has(held, "reboot-reason", ["sysrq", f"vmcore collected: {place}/2"]))
    findings.check(f"{name}: vfat: keeps two", [] if re.search(r"=== vfat holds \S+\.1 \S+\.2 ", said) else [said[-6000:]])
    findings.check(f"{name}: no room", has(said, "the console", ["MiB free"]))
    findings.check(f"{name}: refused", has(said, "the console", [
        "device LABEL=absent was not found; block devices: ", '"LABEL=XFS" is not /dev/NAME',
        "/dev/vde: it holds a file system (xfs): to use it for dumps, clear its first MiB",
        ": it holds a file system (btrfs)", "/var/crash is in memory and is lost at the reboot"]))
    codes = [int(code) for code in re.findall(r"^=== exit (\d+)", said, re.M)]
    findings.check(f"{name}: exit codes", [] if codes == [0, 0, 0, 0, 0, 0, 1, 1, 0] else [str(codes), said[-6000:]])

    same(findings, f"{name}: vsock", stream, host, log)
    kept = bits.count(stream.kept >> plugged_in & (1 << PLUGGED * 256) - 1)
    findings.check(f"{name}: vsock: virtio-mem", [] if kept > 1024 else [f"{kept} pages of it are kept"])


def sizes(findings, name: str, folder: Path) -> None:
    """The image of each kind of target, on a disk that nothing is known of."""
    for kind in ("port", "ext4", "xfs", "btrfs", "vfat"):
        target = "port" if kind == "port" else "file:UUID=1:/var/crash"
        image = build_image(kernel(name), folder, f"target = {target}\n", f"UUID=1 /x {kind}\n")
        findings.check(f"{name}: image: {kind}", [f"{len(image)} bytes"] if len(image) > MOST_IMAGE else [])


def test(vmcorectl, _guests: list, findings) -> None:
    with scratch_folder() as scratch:
        init = vmcore_guest().with_name("vmcore-guest-init").stat().st_size
        findings.check("init", [f"{init} bytes"] if init > MOST_INIT else [])
        for name in ("6.1", "6.12"):
            sizes(findings, name, Path(scratch))
        all_targets(vmcorectl, findings, "6.1", Path(scratch))


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
