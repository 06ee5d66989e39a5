#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A crash goes over a network: to a listening vmcorectl, sealed to its key, and to an sshd of this host by the ssh
client that the image was given. What arrives equals what QEMU dumps while the panic kernel runs. A host with another
key than the known one gets nothing.

QEMU's user network shows the guest 127.0.0.1 of this host as 10.0.2.2; nothing else is connected to.
"""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.capture_checks import END_SECONDS, MOST_IMAGE, has, opens_in_crash, same_as_host
from guests.capture_rig import CaptureConfig, CaptureGuest, build_image
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel
from guests.test_remote import SSHD, Sshd
from peers.kdumpfile import ElfFile, KdumpFile

KERNEL = "6.1"
MAC = "52:54:00:12:34:56"
NETWORK = f"network = {MAC},10.0.2.15/24,10.0.2.2\n"
CARD = ("-netdev", "user,id=net", "-device", f"virtio-net-pci,netdev=net,mac={MAC},romfile=")


class Listener:
    """vmcorectl receive on a free port of this host."""

    def __init__(self, vmcorectl, folder: Path):
        self.out, key = folder / "tcp.vmcore", folder / "tcp.key"
        self.public = subprocess.run([vmcorectl.path, "key", key], check=True, capture_output=True, text=True).stdout
        self.holder = socket.socket()   # bound and not listening: nobody gets the port but who names it
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holder.bind(("127.0.0.1", 0))
        self.port = self.holder.getsockname()[1]
        self.process = subprocess.Popen(
            [vmcorectl.path, "receive", f"tcp:127.0.0.1:{self.port}", "--key", key, "-o", self.out, "--verify"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.holder.close()


def crashed(image: bytes, crashkernel: str, folder: Path) -> tuple:
    """Crashes a guest with that image: the host's dump of it, and its console."""
    with CaptureGuest(CaptureConfig(name="net", kernel=KERNEL, crashkernel=crashkernel, port=False, devices=CARD,
                                    cpus=1, workload=False),
                      image) as guest:
        guest.load()
        guest.crash()
        guest.wait_for_text("vmcore-guest: saved ", END_SECONDS)
        host = ElfFile(guest.dump_elf(folder / "host.elf"))
        guest.wait_for_end(END_SECONDS)
        return host, guest.console


def arrived(findings, what: str, dump: Path, host: ElfFile, console: str) -> None:
    findings.check(f"{what}: console", has(console, "the console", ["MiB of pages to ", "the crash is saved"]))
    if not findings.check(f"{what}: there", [] if dump.exists() else [console[-3000:]]):
        return
    log = dump.with_name(dump.name + ".dmesg").read_text(errors="replace")
    findings.check(f"{what}: log", has(log, "the log", ["sysrq triggered crash"]))
    findings.check(f"{what}: pages", same_as_host(KdumpFile(dump), host, log))
    opens_in_crash(findings, what, dump, kernel(KERNEL))


def over_tcp(vmcorectl, findings, folder: Path) -> None:
    listener = Listener(vmcorectl, folder)
    try:
        image = build_image(kernel(KERNEL), folder,
                            f"target = tcp:10.0.2.2:{listener.port}\n{listener.public}{NETWORK}")
        findings.check("tcp: image", [f"{len(image)} bytes"] if len(image) > MOST_IMAGE else [])
        host, console = crashed(image, "128M", folder)
        said = listener.process.communicate(timeout=END_SECONDS)[0]
    finally:
        listener.close()
    findings.check("tcp: receive", [] if listener.process.returncode == 0 else [said])
    arrived(findings, "tcp", listener.out, host, console)


def give_client(root: Path) -> None:
    """The ssh of this machine into the root that the image is built of, with the libraries that ldd tells, laid out as
    Arch does it: by links in folders that the loader, which is Debian's, does not look into by itself."""
    client = shutil.which("ssh")
    told = subprocess.run(["ldd", client], check=True, capture_output=True, text=True).stdout
    (root / "usr/lib").mkdir(parents=True, exist_ok=True)
    for link, target in (("lib64", "usr/lib"), ("usr/lib64", "lib")):
        (root / link).symlink_to(target)
    for path in re.findall(r"(/\S+) \(0x", told):
        shutil.copyfile(path, root / "usr/lib" / Path(path).name)
    (root / client.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(client, root / client.lstrip("/"))


def over_ssh(vmcorectl, findings, folder: Path) -> None:
    far, out = folder / "far", folder / "ssh.vmcore"
    far.mkdir()
    (far / "vmcorectl").write_text(f'#!/bin/sh\ncd {folder} && exec {Path(vmcorectl.path).resolve()} "$@"\n')
    (far / "vmcorectl").chmod(0o755)
    sshd = Sshd(folder, far)
    try:
        if not sshd.reachable():
            findings.skip("ssh", "sshd lets nobody in: " + (folder / "sshd.log").read_text()[-500:])
            return
        of = kernel(KERNEL)
        build_image(of, folder, NETWORK)                # its root is there then
        root = folder / f"root-{of.release}"
        give_client(root)
        secrets = root / "etc/vmcore-guest"
        secrets.mkdir(parents=True)
        shutil.copyfile(sshd.key, secrets / "ssh-key")
        host_key = (folder / "host_key.pub").read_text()
        (secrets / "ssh-known-hosts").write_text(f"[10.0.2.2]:{sshd.port} {host_key}")
        (secrets / "others").write_text(f"[10.0.2.2]:{sshd.port} {(folder / 'key.pub').read_text()}")
        target = f"target = ssh:{getpass.getuser()}@10.0.2.2:{sshd.port}\nssh-client = {shutil.which('ssh')}\n"
        image = build_image(of, folder, f"{target}{NETWORK}ssh-command = vmcorectl receive - -o {out}\n")
        print(f"  the image has {len(image) / (1 << 20):.1f} MiB", flush=True)
        host, console = crashed(image, "144M", folder)
        arrived(findings, "ssh", out, host, console)
        image = build_image(of, folder, f"{target}{NETWORK}ssh-known-hosts = /etc/vmcore-guest/others\n")
        with CaptureGuest(CaptureConfig(name="foe", kernel=KERNEL, crashkernel="144M", port=False, devices=CARD, cpus=1,
                                        workload=False), image) as guest:
            guest.load()
            guest.crash()
            guest.wait_for_end(END_SECONDS)
            findings.check("ssh: another host's key", has(guest.console, "the console", [
                "Host key verification failed", "the crash could not be saved"]))
    finally:
        sshd.close()


def test(vmcorectl, _guests: list, findings) -> None:
    with scratch_folder() as scratch:
        folder = Path(scratch)
        steps = {"tcp": lambda: over_tcp(vmcorectl, findings, folder), "ssh": lambda: over_ssh(vmcorectl, findings, folder)}
        for step in os.environ.get("STEPS", " ".join(steps)).split():
            if step == "ssh" and SSHD is None:
                findings.skip("ssh", "no sshd")
                continue
            began = time.monotonic()
            steps[step]()
            print(f"  {step}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
