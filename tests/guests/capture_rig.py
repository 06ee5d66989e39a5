# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with a panic kernel: a Debian kernel under QEMU with crashkernel=, vmcore-guest and a capture image inside.

    with CaptureGuest(CaptureConfig(name="mine", kernel="6.1", crashkernel="128M")) as guest:
        guest.load()                            # vmcore-guest load, of guest.capture
        guest.crash()                           # returns at once
        guest.wait_for_text("CAPTURE", 60)      # what the panic kernel says
        guest.wait_for_end(60)                  # QEMU's own end: the panic kernel rebooted (-no-reboot)

`guest.run(words)` runs a command in the guest, by a shell on its second serial port. `guest.port` is the host's end of
the virtio-serial port, a listening UNIX socket. Beside READY nothing of the workload is needed: workload=False.

Without crash_kexec_post_notifiers QEMU hears nothing of a crash for which a panic kernel is loaded.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from guests import crasher, initramfs
from guests.debian import run
from guests.guest import Config, Guest, GuestError, chosen_accel, memory_options
from guests.kernels import Kernel, module_bytes

PORT_NAME = "org.vmcorectl.dump.0"
MODULES = [*initramfs.MODULES, "virtio_console"]
# Where vmcore-guest looks for them.
CAPTURE_IMAGE = "/var/lib/vmcore-guest/capture-{release}.img"

INIT = (initramfs.INIT.replace("mount -t tmpfs tmpfs /tmp\n", "mount -t tmpfs tmpfs /tmp\nmount -t tmpfs tmpfs /run\n")
        .replace("/workload {arguments}", "/shell &\n{last}"))

# Commands in lines, each answered by what it printed and a last line with its exit code. Always in the tree of its own
# terminal, so that it lives as long as the guest.
SHELL = """#!/bin/sh
exec </dev/ttyS1 >/dev/ttyS1 2>&1
stty raw -echo
echo SHELL
while read -r line; do
    eval "$line" </dev/null
    echo "
=== $?"
done
"""

# A capture image that only shows that it runs.
STUB_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
echo "CAPTURE $(stat -c %s /proc/vmcore) $(cat /proc/cmdline)"
reboot -f
"""


@dataclass(frozen=True)
class CaptureConfig(Config):
    crashkernel: str = "256M"       # "": none is reserved
    arguments: str = ""             # further words for the kernel
    port: bool = True               # the virtio-serial port to the host
    disks: tuple = ()               # raw images: /dev/vdb and on
    devices: tuple = ()             # further words for QEMU
    workload: bool = True           # fill memory with what filters must tell apart
    reboots: bool = False           # stays when the guest reboots; else QEMU ends then

    def kernel_arguments(self) -> str:
        reserved = [f"crashkernel={self.crashkernel}"] if self.crashkernel else []
        return " ".join([super().kernel_arguments(), *reserved, self.arguments]).strip()


def vmcore_guest() -> Path:
    """The program under test."""
    path = os.environ.get("VMCORE_GUEST")
    if not path or not Path(path).exists():
        raise FileNotFoundError("VMCORE_GUEST must name the vmcore-guest under test")
    return Path(path)


def build_image(of: Kernel, folder: Path, config: str = "", fstab: str = "", words: tuple = ()) -> bytes:
    """By vmcore-guest, of the kernel's package as it was unpacked."""
    root, image, file = folder / f"root-{of.release}", folder / "image", folder / "conf"
    if not root.exists():
        subprocess.run(["cp", "-al", of.root, root], check=True)
        (root / "etc").mkdir(exist_ok=True)
    (root / "etc/fstab").write_text(fstab)
    file.write_text(config)
    subprocess.run([vmcore_guest(), "build", "--root", root, "--kernel", of.release, "--config", file, "-o", image, *words],
                   check=True, stdout=subprocess.DEVNULL)
    return image.read_bytes()


class Tree(initramfs.Archive):
    """An archive whose folders are made as they are needed."""

    def __init__(self):
        super().__init__()
        self.folders = set()

    def folder(self, name: str) -> None:
        for part in [*reversed(Path(name).parents), Path(name)]:
            if str(part) != "." and part not in self.folders:
                self.folders.add(part)
                self.add(str(part), 0o40755)

    def file(self, name: str, content: bytes, mode: int = 0o100644) -> None:
        name = name.lstrip("/")
        self.folder(str(Path(name).parent))
        self.add(name, mode, content)


def with_busybox(init: str) -> Tree:
    tree = Tree()
    for folder in ("bin", "proc", "sys", "dev", "tmp", "run", "disk"):
        tree.folder(folder)
    tree.file("bin/busybox", initramfs.busybox().read_bytes(), 0o100755)
    tree.file("init", init.encode(), 0o100755)
    return tree


def stub_image(of: Kernel) -> bytes:
    """With what vmcore-guest knows its own images by: the kernel's release, and a sum of all bytes."""
    tree, empty = with_busybox(STUB_INIT), b"\nSUM=" + b"0" * 64
    tree.file("etc/vmcore-guest.image", f"RELEASE={of.release}".encode() + empty + b"\n")
    image = tree.finish()
    return image.replace(empty, b"\nSUM=" + hashlib.sha256(image).hexdigest().encode())


def build(kernel: Kernel, config: CaptureConfig, capture: bytes, files: dict) -> bytes:
    workload = f"/workload {shlex.join(config.workload_arguments())}"
    tree = with_busybox(INIT.format(last=workload if config.workload else "echo READY; sleep 100000"))
    tree.file("workload", initramfs.workload().read_bytes(), 0o100755)
    files = {"shell": SHELL.encode(), **files}
    order = []
    for path in kernel.load_order([*MODULES, *config.modules]):
        order.append(path.name.split(".ko")[0] + ".ko")
        tree.file(f"modules/{order[-1]}", module_bytes(path))
    tree.file("modules/order", "\n".join(order).encode() + b"\n")
    tree.file("sbin/vmcore-guest", stripped(vmcore_guest()), 0o100755)
    tree.file(f"boot/vmlinuz-{kernel.release}", kernel.image.read_bytes())
    tree.file(f"boot/config-{kernel.release}", kernel.config.read_bytes())
    for name, content in files.items():
        tree.file(name, content, 0o100755 if content.startswith((b"#!", b"\x7fELF")) else 0o100644)
    tree.file(CAPTURE_IMAGE.format(release=kernel.release), capture)    # last: newer than what it is made of
    return tree.finish()


def stripped(program: Path) -> bytes:
    with tempfile.NamedTemporaryFile() as out:
        run(["strip", "-o", out.name, program])
        return Path(out.name).read_bytes()


class Events:
    """QEMU's events, kept as they come."""

    def __init__(self, path: Path):
        self.list = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.socket.sendall(b'{"execute": "qmp_capabilities"}\n')
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with self.socket.makefile("r") as lines:
            self.list += (message for message in map(json.loads, lines) if "event" in message)

    @property
    def names(self) -> list:
        return [event["event"] for event in self.list]


class CaptureGuest(Guest):
    """`capture`: the bytes of the capture image; without it one that says CAPTURE and reboots. `files`: more that lie
    in the guest, by path; "shell" is what runs there beside the workload."""

    def __init__(self, config: CaptureConfig, capture: bytes = b"", files: dict = None):
        super().__init__(config)
        self.capture, self.files = capture or stub_image(self.kernel), files or {}
        self.events, self.shell, self.greeted = None, None, False

    @property
    def port(self) -> Path:
        return self.folder / "dump.sock"

    @property
    def image(self) -> str:
        """The panic kernel, as the guest names it."""
        return f"/boot/vmlinuz-{self.kernel.release}"

    @property
    def capture_image(self) -> str:
        return CAPTURE_IMAGE.format(release=self.kernel.release)

    def _start(self) -> None:
        config, folder = self.config, self.folder
        (folder / "initrd").write_bytes(build(self.kernel, config, self.capture, self.files))
        shutil.copyfile(initramfs.disk(), folder / "disk")
        with open(folder / "qemu.log", "wb") as log:
            self.process = subprocess.Popen([str(word) for word in self._command()], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        self._wait(lambda: (folder / "shell.sock").exists() and (folder / "witness.sock").exists(), "QEMU", 60)
        self.events = Events(folder / "witness.sock")
        self.shell = socket.socket(socket.AF_UNIX)
        self.shell.connect(str(folder / "shell.sock"))
        self.greeted = False

    def _command(self) -> list:
        config, folder = self.config, self.folder
        accel = chosen_accel(config.accel)
        processor = ("max" if accel == "tcg" else "host") + (",la57=on" if config.la57 else ",la57=off")
        disks = [(folder / "disk", "cache=unsafe"), *((disk, "cache=writeback") for disk in config.disks)]
        return [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-name", config.name,
            "-machine", config.machine, "-accel", accel, "-cpu", processor, *memory_options(config, folder),
            "-kernel", self.kernel.image, "-initrd", folder / "initrd", "-append", config.kernel_arguments(),
            *(word for path, cache in disks for word in ("-drive", f"file={path},format=raw,if=virtio,{cache}")),
            "-chardev", f"socket,id=console,path={folder / 'console.sock'},server=on,wait=off,"
                        f"logfile={folder / 'console.log'}", "-serial", "chardev:console",
            "-chardev", f"socket,id=shell,path={folder / 'shell.sock'},server=on,wait=off", "-serial", "chardev:shell",
            "-qmp", f"unix:{self.qmp_socket},server=on,wait=off",
            "-qmp", f"unix:{folder / 'witness.sock'},server=on,wait=off",
            "-device", "pvpanic-pci", "-action", "panic=pause",
            *([] if config.reboots else ["-no-reboot"]),
            *(["-device", "vmcoreinfo"] if config.vmcoreinfo else []),
            *(["-device", "virtio-serial-pci", "-chardev", f"socket,id=dump,path={self.port},server=on,wait=off",
               "-device", f"virtserialport,chardev=dump,name={PORT_NAME}"] if config.port else []),
            *config.devices,
        ]

    def close(self) -> None:
        if self.shell is not None:
            self.shell.close()
            self.shell = None
        super().close()

    def run(self, command: str, seconds: float = 60) -> tuple:
        """Runs a line of shell in the guest: (exit code, what it printed)."""
        if not self.greeted:
            self._hear(rb"SHELL\r?\n$", command, seconds)     # what is sent earlier gets lost
            self.greeted = True
        self.shell.sendall(command.encode() + b"\n")
        text, code = self._hear(rb"\n=== (\d+)\r?\n$", command, seconds)
        return code, text.replace("\r\n", "\n").strip("\n")

    def _hear(self, end: bytes, command: str, seconds: float) -> tuple:
        """What the shell says up to `end`, and the number in that."""
        self.shell.settimeout(seconds)
        said = b""
        while not (found := re.search(end, said)):
            part = self.shell.recv(65536)
            if not part:
                raise GuestError(f"{command}: the guest ended:\n{said.decode(errors='replace')}")
            said += part
        return said[:found.start()].decode(errors="replace"), int(found[1]) if found.groups() else 0

    def must(self, command: str, seconds: float = 60) -> str:
        """The same, of one that must succeed: what it printed."""
        code, text = self.run(command, seconds)
        if code != 0:
            raise GuestError(f"{self.config.name}: {command}: exit {code}\n{text}\n{self.console[-2000:]}")
        return text

    def tell_shell(self, command: str) -> None:
        """A command that does not come back."""
        self.shell.sendall(command.encode() + b"\n")

    def load(self, append: str = "") -> None:
        """The panic kernel, with the capture image."""
        self.must(f"vmcore-guest load --kernel-image {self.image} --initrd {self.capture_image} --append '{append}'")

    def crash(self, way: str = "sysrq") -> None:
        """Crashes the guest; does not wait for what comes of it."""
        if way == "nmi":            # by the host, into whatever a CPU does
            self.must("echo 1 > /proc/sys/kernel/unknown_nmi_panic")
            self.qmp("inject-nmi")
        elif way == "interrupt":    # a break on the serial line, and then a key, is sysrq in its interrupt
            self.must("echo 1 > /proc/sys/kernel/sysrq")
            self.qmp("chardev-send-break", id="console")
            self.tell("c")
        elif way in crasher.WAYS:   # by a module: files={"crasher.ko": crasher.module(kernel)}
            self.must("cd /proc/sys/kernel; echo 1 > panic_on_oops; echo 1 > softlockup_panic; echo 1 > watchdog_thresh")
            self.tell_shell(f"insmod /crasher.ko how={way}")
        elif way == "oom":
            self.must("echo 2 > /proc/sys/vm/panic_on_oom")
            self.tell_shell("tail /dev/zero")
        else:
            self.tell_shell("echo c > /proc/sysrq-trigger")

    def wait_for_text(self, text: str, seconds: float, times: int = 1) -> None:
        """Until the console has shown that text, that often; whatever else it shows."""
        self._wait(lambda: self.console.count(text) >= times, f'"{text}" on the console', seconds)

    def wait_for_boot(self, number: int, seconds: float) -> None:
        """Until it is READY for that time, the first boot being 1."""
        self._wait(lambda: len(re.findall(r"^READY\r?$", self.console, re.M)) >= number, f"boot {number}", seconds)
        self.greeted = False

    def wait_for_size(self, vmem: str, size: int, seconds: float) -> None:
        """Until the guest has so many bytes of a virtio-mem device."""
        self._wait(lambda: self.qmp("qom-get", path=f"/machine/peripheral/{vmem}", property="size") == size,
                   f"{size >> 20} MiB of virtio-mem", seconds)

    def wait_for_end(self, seconds: float) -> None:
        """Until QEMU ended by itself."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise GuestError(f"{self.config.name}: it did not end within {seconds} s:\n{self.console[-3000:]}")
            time.sleep(0.1)
