#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""From the package to the first dump, as its user goes: a Debian 12 host with libvirt's system daemon and one domain, in a
root of its own (chroot, process and mount namespaces). The package is installed, the domain is checked, panics, is dumped
and reported on, in less than five minutes. What it prints is the transcript of docs/first-use.md."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs
from guests.debian_root import INSIDE, Tree, copy_of, make_package
from guests.guest import BOOT_SECONDS, Config
from guests.harness import SKIP, run_test, scratch_folder
from guests.kernels import kernel
from guests.libvirt_rig import DOMAIN

VMCORECTL = Path(os.environ.get("VMCORECTL", ""))
HOST = "libvirt-daemon-system+libvirt-daemon-driver-qemu+libvirt-clients+qemu-system-x86"
LIMIT = 300     # seconds

# The host as its user finds it: libvirt runs, and so does vm1.
BEFORE = f"""set -e
mount -t tmpfs none /run
mkdir -p /run/libvirt /run/lock
mount --bind /vm /vm
virtlogd -d
libvirtd -d > /dev/null 2>&1
virsh -q create /vm/domain.xml
for _ in $(seq {BOOT_SECONDS}); do grep -q READY /vm/console.log && break; sleep 1; done
grep -q READY /vm/console.log
exec bash /vm/steps
"""
# What the user types. The panic is not typed: the guest's kernel does that by itself.
STEPS = """started=$(date +%s%N)
type() { printf '# %s\\n' "$*"; eval "$*"; code=$?; [ $code = 0 ] || echo "(exit status $code)"; }
cd /root
type 'apt-get update -qq'
type 'apt-get install -qq ./vmcorectl_*.deb > /dev/null 2>&1'
type 'vmcorectl check vm1'
printf 'panic 0\\n' | /vm/say; while [ "$(virsh domstate vm1)" != "crashed" ]; do sleep 0.2; done
type 'virsh domstate vm1 --reason'
type 'vmcorectl dump vm1 -o vm1.vmcore'
type 'vmcorectl report vm1.vmcore'
echo "seconds: $(( ($(date +%s%N) - started) / 1000000 ))"
virsh -q destroy vm1 > /dev/null
"""
SAY = """#!/usr/bin/perl
use IO::Socket::UNIX;
my $console = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => "/vm/console.sock") or die "$!";
print $console <STDIN>;
$console->flush();
sleep 1;
"""


def set_up(root: Tree, folder: Path) -> None:
    vm = root.folder / "vm"
    vm.mkdir(mode=0o755)
    chosen = kernel("6.12")
    config = Config(name="vm1")
    shutil.copyfile(chosen.image, vm / "vmlinuz")
    (vm / "initrd").write_bytes(initramfs.build(chosen, config.workload_arguments()))
    shutil.copyfile(initramfs.disk(), vm / "disk")
    root.write("/vm/domain.xml", DOMAIN.format(
        accel="qemu", cpu="maximum", name="vm1", numa="", memory=512, folder="/vm", cmdline=config.kernel_arguments(),
        on_crash="preserve", machine="q35", backing="", cpus=2, words="", devices="", emulator="/usr/bin/qemu-system-x86_64"))
    # QEMU's user makes its sockets there. A root without services has no cgroups, and no security labels.
    vm.chmod(0o777)
    root.write("/etc/libvirt/qemu.conf", 'cgroup_controllers = []\nsecurity_driver = "none"\nnamespaces = []\n')
    root.write("/vm/before", BEFORE, 0o755)
    root.write("/vm/steps", STEPS, 0o755)
    root.write("/vm/say", SAY, 0o755)
    package = make_package(VMCORECTL.parents[1], folder / "package", component="host")
    shutil.copy(package, root.folder / "root")
    shutil.copyfile("/etc/resolv.conf", root.folder / "etc/resolv.conf")


def typed(root: Tree) -> str:
    """What the user saw."""
    words = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "sh", "-c", INSIDE, root.folder, "chroot",
             root.folder, "bash", "/vm/before"]
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=1200, check=False,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})
    return done.stdout


def test(_vmcorectl, _guests: list, findings) -> None:
    with copy_of(HOST) as root, scratch_folder() as folder:
        set_up(root, Path(folder))
        begun = time.monotonic()
        seen = typed(root)
        print(seen)
        print(f"with libvirt's start and the guest's boot: {time.monotonic() - begun:.0f} s")
        took = re.search(r"^seconds: (\d+)", seen, re.M)
        findings.check("every command succeeds", [] if took and "(exit status" not in seen else [seen[-3000:]])
        findings.check("within five minutes", [] if took and int(took[1]) < LIMIT * 1000 else [str(took)])
        findings.check("the dump is complete", [] if (root.folder / "root/vm1.vmcore").exists() else ["no vm1.vmcore"])
        findings.check("the report names the crash", [] if "sysrq" in seen.split("report vm1.vmcore")[-1] else ["no sysrq"])


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("SKIPPED: a root of its own needs root")
        sys.exit(SKIP)
    sys.exit(run_test(test, [], __doc__))
