#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`dump --crash-guest` on a libvirt domain: by an NMI and by QEMU's guest agent, which the domain survives (its panic kernel
sends the dump and reboots it), and by its keyboard, unarmed. And what libvirt sees of a crash that was not ordered."""

import json
import subprocess
import sys
import time
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

AGENT_SECONDS = 60      # for what it is told to run, under TCG
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

    def crash(self, way: str, name: str, *words) -> subprocess.CompletedProcess:
        return self.run("dump", "-c", self.rig.uri, self.rig.name, "--crash-guest", way, "--yes", "-o", self.folder / name,
                        "--output", "json", *words)

    def whole(self, way: str, panic: str, *words) -> None:
        self.rig.wait_for("\nARMED", BOOT_SECONDS, self.boots)
        done = self.crash(way, way, *words)
        print(f"  {way}: exit {done.returncode} {done.stderr[:600]}", flush=True)
        info = json.loads(self.run("info", "--output", "json", self.folder / way).stdout or "{}")
        self.check(way, done, 0, {
            "by order": info.get("capture", {}).get("crash") == "ordered",
            "the guest's own": info.get("capture", {}).get("method") == "guest", "complete": info.get("incomplete") is False,
            "panic": panic in json.loads(done.stdout or "{}").get("guest", {}).get("panic", "")})
        self.boots += 1

    def untainted(self) -> None:
        self.rig.wait_for("\nARMED", BOOT_SECONDS, self.boots)
        done = self.crash("agent", "agent")
        self.check("the agent, without --allow-taint", done, 1, {"said": "allow this with --allow-taint" in done.stderr})

    def seen(self) -> None:
        """A crash that nobody here ordered, and that the guest's kernel tells QEMU of."""
        self.rig.wait_for("\nARMED", BOOT_SECONDS, self.boots)
        self.ask_agent("echo 1 > /sys/module/kernel/parameters/crash_kexec_post_notifiers")
        host = subprocess.Popen(self.rig.command(self.vmcorectl.path, "receive", "-c", self.rig.uri, self.rig.name, "-o",
                                                 self.folder / "seen"), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(3)
        self.rig.virsh("inject-nmi", self.rig.name)
        done = subprocess.CompletedProcess([], 0, *host.communicate(timeout=500))
        done.returncode = host.returncode
        info = json.loads(self.run("info", "--output", "json", self.folder / "seen").stdout or "{}")
        self.check("a crash that QEMU saw", done, 0, {"QEMU saw it": "QEMU saw it crash" in done.stderr,
                                                      "event": info.get("capture", {}).get("crash") == "event"})
        self.boots += 1

    def unarmed(self) -> None:
        """It tells QEMU of its panic, so nothing is waited for; but libvirt must not destroy it then."""
        self.rig.wait_for("\nARMED", BOOT_SECONDS, self.boots)
        self.ask_agent("vmcore-guest unload")
        self.check("without --force", self.crash("sysrq", "unarmed"), 1, {})
        done = self.crash("sysrq", "seen", "--force")
        self.check("a file that is there", done, 1, {"said": "replaces no file" in done.stderr})
        self.rig.virsh("set-lifecycle-action", self.rig.name, "crash", "destroy", "--live")
        done = self.crash("sysrq", "unarmed", "--force")
        self.check("libvirt would destroy it", done, 1, {"said": "on_crash is destroy" in done.stderr,
                                                         "it runs": self.rig.status() == "running"})
        self.rig.virsh("set-lifecycle-action", self.rig.name, "crash", "preserve", "--live")
        done = self.crash("sysrq", "unarmed", "--force", "--wait", "400")
        print(f"  unarmed: exit {done.returncode} {done.stderr[:600]}", flush=True)
        self.check("an unarmed guest, forced", done, 0, {
            "by its keyboard": "sysrq triggered crash" in self.run("dmesg", self.folder / "unarmed").stdout,
            "why, at once": "no capture kernel took over" in done.stderr,
            "from outside": json.loads(done.stdout or "{}").get("guest", {}).get("state_before") == "crashed (panicked)"})

    def ask_agent(self, command: str) -> None:
        words = {"execute": "guest-exec", "arguments": {"path": "/bin/sh", "arg": ["-c", command]}}
        pid = self.tell_agent(words)["pid"]
        until = time.monotonic() + AGENT_SECONDS
        while not self.tell_agent({"execute": "guest-exec-status", "arguments": {"pid": pid}})["exited"]:
            if time.monotonic() > until:
                raise TimeoutError(f"{command} does not end")
            time.sleep(0.2)

    def tell_agent(self, words: dict) -> dict:
        return json.loads(self.rig.virsh("qemu-agent-command", self.rig.name, json.dumps(words)))["return"]


def main_test(vmcorectl, _guests, findings) -> None:
    if not available():
        findings.skip("crash_domain", "no libvirt with its QEMU driver")
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
        case.untainted()
        case.whole("agent", "Kernel panic - not syncing: sysrq triggered crash", "--allow-taint")
        case.seen()
        case.unarmed()


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
