#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What first-dump.sh shows once vmcorectl is built: guests crash and are dumped, by QMP, through libvirt, by a capture
kernel of their own, and by vmcored, which nobody has to tell.

The guests are Debian kernels with a busybox initramfs. They run under KVM where that boots them, else under TCG
(slower). Nothing of the machine's own libvirt is used.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from guests.capture_rig import CaptureConfig, CaptureGuest, build_image
from guests.guest import Config, Guest
from guests.kernels import kernel
from guests.libvirt_rig import LibvirtRig, available, daemon_program
from guests.vmcored_rig import Service


def title(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def show(command: list) -> None:
    """Runs a command as the reader would, shown with its output."""
    print("$ " + " ".join(map(str, command)), flush=True)
    subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, check=True)


def show_log(vmcorectl: Path, dump: Path) -> None:
    """The panic line and the end of the log, from the dump alone."""
    log = subprocess.run([vmcorectl, "dmesg", dump], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                         check=True).stdout.splitlines()
    print(f"$ {vmcorectl} dmesg {dump}")
    print("  the panic:      " + next((line for line in log if "Kernel panic" in line), "(none found)"))
    print(f"  the last 5 of {len(log)} lines:")
    print("\n".join("    " + line for line in log[-5:]), flush=True)


def by_qmp(vmcorectl: Path, out: Path, accel: str) -> None:
    title("A guest under plain QEMU")
    with Guest(Config(name="first-dump", accel=accel)) as guest:
        print(f"It runs Linux {guest.kernel.release} with {guest.config.memory_mib} MiB. It panics now.", flush=True)
        guest.panic()
        dump = out / "by-qmp.vmcore"
        show([vmcorectl, "dump", "--qmp", guest.qmp_socket, "-o", dump])
        print(f"QEMU says that the guest is: {guest.status()}")
    print("What happened, from the dump alone:", flush=True)
    show([vmcorectl, "report", dump])


def by_libvirt(vmcorectl: Path, out: Path) -> None:
    title("A guest under a libvirt of its own (qemu:///embed, no daemon)")
    if not available():
        print("skipped: virsh, setpriv or libvirt's QEMU driver is missing")
        return
    with LibvirtRig("embed", name="first-dump") as rig:
        for name, what in (("running", "It is dumped while it runs, so it has to pause."),
                           ("panicked", "It panics now.")):
            print(what, flush=True)
            if name == "panicked":
                rig.panic()
            dump = rig.runtime / f"by-libvirt-{name}.vmcore"
            show(rig.command(vmcorectl, "dump", "-c", rig.uri, rig.name, "-o", dump))
            print(f"QEMU says that the guest is: {rig.status()}")
            shutil.move(dump, out / dump.name)
    show_log(vmcorectl, out / "by-libvirt-panicked.vmcore")


def from_inside(vmcorectl: Path, out: Path, accel: str) -> None:
    title("A guest that sends its own dump: vmcore-guest has loaded a capture kernel")
    os.environ["VMCORE_GUEST"] = str(vmcorectl.with_name("vmcore-guest"))
    config = CaptureConfig(name="first-dump", accel=accel, crashkernel="128M")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        image = build_image(kernel(config.kernel), Path(folder))
    with CaptureGuest(config, image) as guest:
        guest.load()
        print("(guest) $ vmcore-guest status\n" + guest.run("vmcore-guest status")[1], flush=True)
        guest.must("echo 1 > /proc/sys/kernel/unknown_nmi_panic")
        dump = out / "from-inside.vmcore"
        show([vmcorectl, "dump", "--crash-guest", "nmi", "--yes", "--qmp", guest.qmp_socket, "--channel", guest.port,
              "-o", dump])
    show_log(vmcorectl, dump)


def by_itself(vmcorectl: Path, out: Path) -> None:
    title("A guest that panics while nobody looks: vmcored waits for it")
    if not available() or not daemon_program("session"):
        print("skipped: virsh, setpriv, libvirtd or its QEMU driver is missing")
        return
    with LibvirtRig("session", name="first-dump") as rig:
        service = Service(rig, vmcorectl, '[guests]\nafter-crash = "restart"\n')
        service.start()
        service.wait_for("connected to libvirt")
        print("It panics now.", flush=True)
        rig.send_panic()
        service.wait_for("its policy is carried out: restart")
        service.wait_for("first-dump: kept as")
        print("\n".join("  " + line for line in service.said().splitlines()), flush=True)
        rig.wait_for_reboot()
        print(f"QEMU says that the guest is: {rig.status()}. It has booted again.", flush=True)
        service.stop()
        shutil.copytree(service.store, out / "store")
    show([vmcorectl, "list", "--store", out / "store"])


def main() -> int:
    parser = argparse.ArgumentParser(description="Crash throw-away guests and dump them.")
    parser.add_argument("--bin", type=Path, required=True, help="the folder of vmcorectl and vmcore-worker")
    parser.add_argument("--out", type=Path, help="an existing folder for the dumps; default: a new one in /var/tmp")
    parser.add_argument("--accel", choices=("auto", "kvm", "tcg"), default="auto")
    options = parser.parse_args()
    vmcorectl = (options.bin / "vmcorectl").resolve()
    out = options.out or Path(tempfile.mkdtemp(prefix="first-dump-", dir="/var/tmp"))
    started = time.monotonic()
    by_qmp(vmcorectl, out, options.accel)
    by_libvirt(vmcorectl, out)
    from_inside(vmcorectl, out, options.accel)
    by_itself(vmcorectl, out)
    title(f"Done in {time.monotonic() - started:.0f} s: the dumps are in {out}")
    show([vmcorectl, "info", out / "by-qmp.vmcore"])
    print("\nTo open one, install crash, then paste the line 'open it with' above: it says which debug package the kernel\n"
          "needs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
