#!/usr/bin/python3
"""`dump --crash-guest` on libvirt domains: by an NMI, by its keyboard, and by QEMU's guest agent, each of which the
domain survives: its panic kernel sends the dump and reboots it."""

import json
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import capture_rig
from guests.capture_rig import CaptureConfig, build_image
from guests.guest import BOOT_SECONDS
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel
from guests.libvirt_rig import LibvirtRig, available
from peers import tools

CHANNEL = "<channel type='unix'><source mode='bind' path='{{folder}}/{0}'/><target type='virtio' name='{0}'/></channel>"
DEVICES = "".join(map(CHANNEL.format, (capture_rig.PORT_NAME, "org.qemu.guest_agent.0")))
# At each boot: every way is open, and the panic kernel is loaded.
ARM = """#!/bin/sh
echo 1 > /proc/sys/kernel/unknown_nmi_panic
echo 1 > /proc/sys/kernel/sysrq
vmcore-guest load --kernel-image /boot/vmlinuz-{release} --initrd {capture} || exit
for port in /sys/class/virtio-ports/*; do
    if grep -qx org.qemu.guest_agent.0 $port/name; then
        /agent/ld-linux-x86-64.so.2 --library-path /agent /agent/qemu-ga -p /dev/${{port##*/}} -t /run -f /run/ga.pid &
    fi
done
sleep 1
echo ARMED
"""


def agent() -> dict:
    """QEMU's guest agent and its libraries, as files of a guest."""
    loader, *words = tools.command("guest-agent")
    listed = subprocess.run([loader, *words[:2], "--list", words[2]], check=True, capture_output=True, text=True).stdout
    libraries = [line.split()[2] for line in listed.splitlines() if "=> /" in line]
    return {f"agent/{Path(path).name}": Path(path).read_bytes() for path in (loader, words[2], *libraries)}


class Case:
    def __init__(self, vmcorectl, rig, findings):
        self.vmcorectl, self.rig, self.findings = vmcorectl, rig, findings
        self.folder = rig.folder / "home/out"
        self.folder.mkdir()
        rig.own(self.folder)
        self.boots = 1

    def run(self, *words) -> subprocess.CompletedProcess:
        return subprocess.run(self.rig.command(self.vmcorectl.path, *words), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=500)

    def check(self, what: str, done, code: int, conditions: dict) -> None:
        lines = [name for name, met in conditions.items() if not met]
        if done.returncode != code:
            lines.append(f"exit {done.returncode}, expected {code}")
        self.findings.check(f"{self.rig.kind}: {what}", lines and [*lines, done.stdout[-1500:], done.stderr[-1500:]])

    def crash(self, way: str, *words) -> subprocess.CompletedProcess:
        return self.run("dump", "-c", self.rig.uri, self.rig.name, "--crash-guest", way, "--yes", "-o", self.folder / way,
                        "--output", "json", *words)

    def whole(self, way: str, panic: str, *words) -> None:
        self.rig.wait_for("\nARMED", BOOT_SECONDS, self.boots)
        done = self.crash(way, *words)
        print(f"  {way}: exit {done.returncode} {done.stderr[:600]}", flush=True)
        info = json.loads(self.run("info", "--output", "json", self.folder / way).stdout or "{}")
        self.check(way, done, 0, {
            "the guest's own": info.get("capture", {}).get("method") == "guest", "complete": info.get("incomplete") is False,
            "panic": panic in json.loads(done.stdout or "{}").get("guest", {}).get("panic", "")})
        self.boots += 1


def main_test(vmcorectl, _guests, findings) -> None:
    if not available():
        print("SKIPPED: no libvirt")
        return
    chosen = kernel("6.1")
    arm = ARM.format(release=chosen.release, capture=capture_rig.CAPTURE_IMAGE.format(release=chosen.release))
    with scratch_folder() as scratch:
        capture = build_image(chosen, Path(scratch))
        initrd = capture_rig.build(chosen, CaptureConfig(name="domain", workload=False), capture,
                                   {"shell": arm.encode(), **agent()})
    with LibvirtRig("session", version="6.1", initrd=initrd, kernel_words=("crashkernel=160M",), devices=DEVICES) as rig:
        case = Case(vmcorectl, rig, findings)
        case.whole("nmi", "Kernel panic - not syncing: NMI")
        case.whole("sysrq", "Kernel panic - not syncing: sysrq triggered crash")
        case.check("the agent, without --allow-taint", case.crash("agent"), 1, {})
        case.whole("agent", "Kernel panic - not syncing: sysrq triggered crash", "--allow-taint")


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
