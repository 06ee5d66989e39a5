# SPDX-License-Identifier: GPL-2.0-or-later
"""One real guest: a Debian kernel under QEMU, run until it is READY, panicked on request, dumped by QEMU.

    with Guest(Config(name="mine", kernel="6.12")) as guest:
        guest.panic()                       # or not: a running guest can be dumped as well
        guest.dump_elf("/tmp/raw.elf")

`guest.qmp_socket` is the QMP socket. QMP serves one client at a time, so qmp() connects for each use.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from guests import initramfs
from guests.cache import cache_dir, lock
from guests.kernels import kernel
from peers import tools

BOOT_SECONDS = 240      # TCG on a busy machine; usually 15
DUMP_SECONDS = 240
BOOT_ATTEMPTS = 3       # under TCG a kernel that patches its code now and then oopses while it boots


@dataclass(frozen=True)
class Config:
    """What a guest is made of, and how it ends."""
    name: str
    kernel: str = "6.1"
    memory_mib: int = 1024
    cpus: int = 2
    nodes: int = 1
    la57: bool = False
    kaslr: bool = True
    vmcoreinfo: bool = True
    panic_device: bool = True
    pti: bool = False
    panic_cpu: int = 0          # -1: dumped alive, stopped by QEMU wherever its CPUs are
    spin_cpu: int = -1          # a CPU that stays in user mode
    offline_cpu: int = -1
    pair_cpu: int = -1          # a CPU that counts in two pages at once
    tick_cpu: int = -1          # a CPU that counts, for ticks.py
    backend: str = "ram"        # a name of BACKENDS
    dimm_mib: int = 0           # a DIMM beside the memory
    maxmem: str = ""            # room for what is plugged in: 8G where there is a DIMM from the start
    machine: str = "q35"
    words: tuple = ()           # more of QEMU's command line; {folder} is the guest's
    kernel_words: tuple = ()
    modules: tuple = ()         # beside those of every guest
    qemu: str = ""              # the installed one, or a name of peers/tools.py
    accel: str = os.environ.get("VMCORECTL_ACCEL", "tcg")   # tcg, kvm or auto

    def kernel_arguments(self) -> str:
        words = ["console=ttyS0", "loglevel=4", "pti=on" if self.pti else "pti=off", *self.kernel_words]
        if not self.kaslr:
            words.append("nokaslr")
        return " ".join(words)

    def workload_arguments(self) -> list:
        words = []
        if self.spin_cpu >= 0:
            words.append(f"spin={self.spin_cpu}")
        if self.offline_cpu >= 0:
            words.append(f"offline={self.offline_cpu}")
        if self.pair_cpu >= 0:
            words.append(f"pair={self.pair_cpu}")
        if self.tick_cpu >= 0:
            words.append(f"tick={self.tick_cpu}")
        return words


class GuestError(Exception):
    pass


BACKENDS = {
    "ram": "memory-backend-ram",
    "ram-shared": "memory-backend-ram,share=on",
    "ram-prealloc": "memory-backend-ram,prealloc=on",
    "ram-unreserved": "memory-backend-ram,reserve=off",
    "memfd": "memory-backend-memfd,share=on",
    "memfd-private": "memory-backend-memfd,share=off",
    "file": "memory-backend-file,share=on,mem-path={folder}/ram{number}",
    "file-private": "memory-backend-file,share=off,mem-path={folder}/ram{number}",
    "huge": "memory-backend-memfd,share=on,hugetlb=on,hugetlbsize=2M",
    "huge-private": "memory-backend-memfd,share=off,hugetlb=on,hugetlbsize=2M",
    "huge-1G": "memory-backend-memfd,share=on,hugetlb=on,hugetlbsize=1G",
    "huge-1G-private": "memory-backend-memfd,share=off,hugetlb=on,hugetlbsize=1G",
}


def virtio_mem(backend: str, requested_mib: int = 0) -> tuple:
    """Words for memory of which the guest has as much as is asked of it: "memory-backend-..." with its options."""
    return ("-object", f"memory-backend-{backend},id=vmem,size=1G", "-device",
            f"virtio-mem-pci,id=vmem,memdev=vmem,requested-size={requested_mib}M")


PANIC = {"qemu-5.2": ["-device", "pvpanic", "-no-shutdown"]}    # what makes a guest that panics pause


def installed(name: str) -> tuple:
    """(the words that start a QEMU, its environment): one of peers/tools.py does not lie where it was made to lie."""
    if not name:
        return ["qemu-system-x86_64"], None
    root = tools.root(name)
    firmware = [word for folder in ("qemu", "seabios") for word in ("-L", root / "usr/share" / folder)]
    return ([*tools.command(name), *firmware],
            {**os.environ, "QEMU_MODULE_DIR": str(root / "usr/lib/x86_64-linux-gnu/qemu")})


def memory_options(config: Config, folder: Path) -> list:
    maxmem = config.maxmem or ("8G" if config.dimm_mib else "")
    words = ["-m", f"{config.memory_mib}M" + (f",slots=2,maxmem={maxmem}" if maxmem else ""),
             "-smp", f"{config.cpus},sockets={config.cpus}"]
    if config.backend == "mem-path":    # QEMU's older way to say it
        return [*words, "-mem-path", folder, "-mem-prealloc"]

    def backend(number, size) -> list:
        kind = BACKENDS[config.backend].format(folder=folder, number=number)
        return ["-object", f"{kind},id=ram{number},size={size}M"]

    if config.dimm_mib:
        words += [*backend("dimm", config.dimm_mib), "-device", "pc-dimm,id=dimm,memdev=ramdimm"]
    for node in range(config.nodes):
        words += backend(node, config.memory_mib // config.nodes)
        if config.nodes > 1:
            words += ["-numa", f"node,nodeid={node},memdev=ram{node},cpus={node}"]
    if config.nodes == 1:
        words += ["-machine", "memory-backend=ram0"]
    return words


class Guest:
    def __init__(self, config: Config, boot_seconds: float = BOOT_SECONDS):
        """boot_seconds: the longest wait for READY; 0: no wait, for guests that do not boot."""
        self.config = config
        self.boot_seconds = boot_seconds
        self.kernel = kernel(config.kernel)
        self.folder = None
        self.process = None

    def __enter__(self):
        for attempt in range(BOOT_ATTEMPTS):
            self.folder = Path(tempfile.mkdtemp(prefix="vmcorectl-guest-"))
            try:
                self._start()
                if self.boot_seconds:
                    self.wait_for_line("READY", self.boot_seconds)
                break
            except BaseException as error:
                died = "Kernel panic" in self.console
                self.close()
                if attempt + 1 == BOOT_ATTEMPTS or not (died and isinstance(error, GuestError)):
                    raise
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def qmp_socket(self) -> Path:
        return self.folder / "qmp.sock"

    @property
    def console(self) -> str:
        log = self.folder / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def _start(self) -> None:
        config, folder = self.config, self.folder
        (folder / "initrd").write_bytes(initramfs.build(
            self.kernel, config.workload_arguments(), config.modules))
        shutil.copyfile(initramfs.disk(), folder / "disk")
        accel = chosen_accel(config.accel)
        processor = ("max" if accel == "tcg" else "host") + (",la57=on" if config.la57 else ",la57=off")
        program, environment = installed(config.qemu)
        command = [
            *program, "-nodefaults", "-no-user-config", "-display", "none", "-name", config.name,
            "-machine", config.machine, "-accel", accel, "-cpu", processor, *memory_options(config, folder),
            "-kernel", self.kernel.image, "-initrd", folder / "initrd", "-append", config.kernel_arguments(),
            "-drive", f"file={folder / 'disk'},format=raw,if=virtio,cache=unsafe",
            "-chardev", f"socket,id=console,path={folder / 'console.sock'},server=on,wait=off,"
                        f"logfile={folder / 'console.log'}", "-serial", "chardev:console",
            "-qmp", f"unix:{self.qmp_socket},server=on,wait=off",
            "-qmp", f"unix:{folder / 'witness.sock'},server=on,wait=off",
            "-no-reboot",
        ]
        if config.panic_device:
            command += PANIC.get(config.qemu, ["-device", "pvpanic-pci", "-action", "panic=pause"])
        if config.vmcoreinfo:
            command += ["-device", "vmcoreinfo"]
        command += [word.format(folder=folder) for word in config.words]
        with open(folder / "qemu.log", "wb") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, env=environment)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def wait_for_line(self, line: str, seconds: float) -> None:
        def seen() -> bool:
            if "FAILED" in self.console or "Kernel panic" in self.console:
                raise GuestError(f"{self.config.name}: the guest failed:\n{self.console[-3000:]}")
            return re.search(rf"^{line}\r?$", self.console, re.M) is not None

        self._wait(seen, f"{line} on the console", seconds)

    def _wait(self, condition, what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise GuestError(f"{self.config.name}: QEMU ended:\n{(self.folder / 'qemu.log').read_text()}"
                                 f"{self.console[-3000:]}")
            if time.monotonic() > deadline:
                raise GuestError(f"{self.config.name}: no {what} within {seconds} s:\n{self.console[-3000:]}")
            time.sleep(0.1)

    def tell(self, line: str) -> None:
        """Sends the workload a line by the serial console."""
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(self.folder / "console.sock"))
            console.sendall(line.encode() + b"\n")
            time.sleep(0.2)

    def qmp(self, name: str, **arguments):
        """Runs one QMP command; its "return" value."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(DUMP_SECONDS)
            monitor.connect(str(self.qmp_socket))
            lines = monitor.makefile("rw")
            lines.readline()    # the greeting
            answer = None
            for command, words in (("qmp_capabilities", {}), (name, arguments)):
                lines.write(json.dumps({"execute": command, "arguments": words}) + "\n")
                lines.flush()
                answer = next(reply for reply in map(json.loads, lines) if "event" not in reply)
                if "error" in answer:
                    raise GuestError(f"{command}: {answer['error']['desc']}")
            return answer["return"]

    def status(self) -> str:
        return self.qmp("query-status")["status"]

    def panic(self, cpu: int = 0, seconds: float = 60) -> None:
        """Crashes the guest on a CPU and waits until QEMU has been told by pvpanic and has paused it."""
        self.tell(f"panic {cpu}")
        self._wait(lambda: self.status() == "guest-panicked", "guest-panicked state", seconds)

    def finish(self) -> None:
        """Brings the guest into the state in which its configuration wants it dumped."""
        if self.config.panic_cpu >= 0:
            self.panic(self.config.panic_cpu)
        else:
            self.stop_in_user_mode(self.config.spin_cpu)

    def stop_in_user_mode(self, cpu: int, attempts: int = 100) -> None:
        """Stops the guest at a moment when that CPU is not in an interrupt."""
        for _ in range(attempts):
            time.sleep(0.1)
            self.qmp("stop")
            registers = self.qmp("human-monitor-command", **{"command-line": "info registers -a"})
            if "CPL=3" in registers.split(f"CPU#{cpu}")[1].split("CPU#")[0]:
                return
            self.qmp("cont")
        raise GuestError(f"{self.config.name}: CPU {cpu} was never seen in user mode")

    def dump_elf(self, path) -> Path:
        """QEMU's own dump of all RAM. Zero blocks become holes of the file."""
        path = Path(path).resolve()
        self.qmp("dump-guest-memory", paging=False, protocol=f"file:{path}")
        subprocess.run(["fallocate", "--dig-holes", str(path)], check=True)
        return path


def chosen_accel(wanted: str) -> str:
    """kvm only where it boots the kernel: /dev/kvm may open and hang all the same. Tried once, then remembered."""
    if wanted != "auto":
        return wanted
    if not Path("/dev/kvm").exists():
        return "tcg"
    record = cache_dir("guests") / "accel"
    with lock("accel"):
        if not record.exists():
            try:
                with Guest(Config(name="probe", accel="kvm"), boot_seconds=20):
                    record.write_text("kvm")
            except GuestError:
                record.write_text("tcg")
    return record.read_text()
