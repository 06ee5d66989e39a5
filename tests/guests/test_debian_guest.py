#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole way on a Debian guest with systemd: the package is installed, `vmcore-guest setup` run, and the guest booted
with the command line that GRUB would give it. Its service loads the panic kernel, and again when the network, which one
of its targets needs, is another than at the setup. It crashes on purpose, the host receives the dump of that crash, and
it comes up again."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.capture_rig import PORT_NAME, vmcore_guest
from guests.debian_machine import Machine, boot_with, in_root, put_kernel
from guests.debian_root import Tree, copy_of, make_package
from guests.harness import SKIP, run_test
from guests.kernels import kernel

SECONDS = 600           # under TCG, beside others; usually 100
# Its address comes by DHCP, of QEMU. There is no ssh to build the image with: the port takes the dump.
MAC = "52:54:00:12:34:57"
CONFIG = "target = port\ntarget = ssh:me@192.0.2.1\n"
DHCP = f"[Match]\nMACAddress={MAC}\n[Network]\nDHCP=ipv4\n"
# On the first boot it crashes, on the second it ends.
STEPS = """#!/bin/sh
for second in $(seq 300); do
    grep -q "network = .*,10.0.2.15/24,10.0.2.2" /var/lib/vmcore-guest/capture-*.img && break
    sleep 1
done
systemctl start vmcore-guest-network.service    # waits for it
for second in $(seq 30); do     # udev may have it loaded again at this moment
    vmcore-guest status --output json > /run/status
    status=$?
    [ $status = 0 ] && break
    sleep 1
done
# Where an image cannot be kept, one in memory serves until there is room again.
mount -t tmpfs -o size=64k none /var/lib/vmcore-guest
vmcore-guest load 2> /run/full
loaded=$(grep -o "/run/vmcore-guest/capture-[^\\"]*" /run/vmcore-guest/loaded)
umount /var/lib/vmcore-guest
vmcore-guest load
dmesg -n 1                  # nobody else speaks on the console: the kernel, systemd
kill -s RTMIN+21 1
exec > /dev/ttyS0           # not before: the getty hangs it up when it starts
echo "NETWORK $(cat /var/lib/vmcore-guest/network)"
cat /run/status
echo "STATUS $status"
echo "FULL $loaded $(grep -c 'cannot be written' /run/full)"
if [ -e /var/crashed ]; then
    echo "DONE"
    systemctl poweroff
    exit 0
fi
touch /var/crashed
vmcore-guest test --yes --tag on-purpose
"""


def set_up(root: Tree, folder: Path) -> str:
    """Gives the root a kernel, and vmcore-guest; the words that GRUB would boot it with."""
    put_kernel(root)
    shutil.copy(make_package(vmcore_guest().parents[1], folder), root.folder / "package.deb")
    in_root(root, "dpkg", "-i", "/package.deb")
    root.write("/etc/vmcore-guest.conf", CONFIG)
    root.write("/etc/systemd/network/card.network", DHCP)
    in_root(root, "systemctl", "enable", "systemd-networkd")
    in_root(root, "vmcore-guest", "setup", code=3)      # ssh is left to us
    boot_with(root, STEPS, "vmcore-guest.service")
    words = re.search(rf"linux\t/boot/vmlinuz-{re.escape(kernel('6.1').release)} (.*)", root.read("/boot/grub/grub.cfg"))[1]
    return words.replace("root=UUID=1b4e28ba-2fa1-11d2-883f-0016d3cca427", "root=/dev/vda")


def boot(root: Tree, words: str, folder: Path) -> tuple:
    """The guest, and the socket of its port."""
    port = folder / "dump.sock"
    machine = Machine(root, words, folder, "-device", "vmcoreinfo", "-device", "pvpanic-pci", "-device", "virtio-serial-pci",
                      "-chardev", f"socket,id=dump,path={port},server=on,wait=off",
                      "-device", f"virtserialport,chardev=dump,name={PORT_NAME}",
                      "-netdev", "user,id=net", "-device", f"virtio-net-pci,netdev=net,mac={MAC},romfile=")
    machine.wait_for(port)
    return machine, port


def test(vmcorectl, _guests: list, findings) -> None:
    with copy_of("plain") as root, tempfile.TemporaryDirectory(dir=root.folder.parent) as scratch:
        folder = Path(scratch)
        words = set_up(root, folder)
        findings.check("GRUB's command line", [] if re.search(r"\bcrashkernel=\d+M\b", words) else [words])
        machine, port = boot(root, words, folder)
        try:
            out = folder / "vmcore"
            done = vmcorectl.run("receive", port, "-o", out, "--output", "json", "--wait", SECONDS, seconds=2 * SECONDS)
            findings.check("received", [] if done.returncode == 0 else [done.stderr, machine.text()[-4000:]])
            guest = json.loads(done.stdout or "{}").get("guest", {})
            findings.check("it is that crash", [] if guest.get("tag") == "on-purpose" and "sysrq triggered crash" in (
                guest.get("panic") or "") else [str(guest)])
            info = json.loads(vmcorectl.run("info", "--output", "json", out).stdout or "{}")
            findings.check("the dump has its tag", [] if info.get("capture", {}).get("tag") == "on-purpose" else [str(info)[:500]])
            machine.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            findings.check("it comes up again, and ends", [machine.text()[-4000:]])
        finally:
            machine.close()
        findings.check("status at both boots", [] if machine.text().count("STATUS 0") == 2 else
                       machine.lines('STATUS|"result"|"hint"'))
        findings.check("the network that came later", [] if machine.text().count(
            f"NETWORK {MAC},10.0.2.15/24,10.0.2.2") == 2 else [machine.text()[-4000:]])
        findings.check("an image in memory where there is no room", [] if len(re.findall(
            r"FULL /run/vmcore-guest/capture-\S+\.img 1\b", machine.text())) == 2 else [machine.text()[-4000:]])
        findings.check("status names the broken target", [] if "install the OpenSSH client" in machine.text() else [
            machine.text()[-4000:]])
        log = vmcorectl.run("dmesg", out).stdout
        findings.check("the log", [] if "vmcore-guest" in log and "Kernel panic" in log else [log[-2000:]])


if __name__ == "__main__":
    missing = [name for name in ("debootstrap", "unshare", "cpack") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        print(f"SKIPPED: needs {', '.join(missing) or 'root'}")
        sys.exit(SKIP)
    sys.exit(run_test(test, [], __doc__))
