# SPDX-License-Identifier: GPL-2.0-or-later
"""A libvirt of the test's own, with one domain: an embedded driver, or a session daemon (libvirtd, or virtqemud). Nothing
of the system's is started, configured or touched. libvirt's unprivileged side is used: root becomes nobody for it.

The domain has a QMP socket beside libvirt's, as a witness of how the guest really stands.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from guests import initramfs
from guests.debian import Suite
from guests.guest import BOOT_ATTEMPTS, BOOT_SECONDS, Config, GuestError
from guests.kernels import kernel
from peers import tools

NOBODY = 65534
KVM = os.environ.get("VMCORECTL_ACCEL") == "kvm"
# An embedded driver of libvirt 9.0 dies of the event of a dump whose libvirt was killed, if it starts just then; and
# there is one at a time: a vmcorectl that is about to end has it still (driver.pid).
VIRSH_ATTEMPTS = 20

DOMAIN = """<domain type='{accel}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name><memory unit='MiB'>{memory}</memory><vcpu>{cpus}</vcpu>
  <os><type arch='x86_64' machine='{machine}'>hvm</type><kernel>{folder}/vmlinuz</kernel><initrd>{folder}/initrd</initrd>
    <cmdline>{cmdline}</cmdline></os>
  {backing}<features><acpi/><vmcoreinfo state='on'/></features><cpu mode='{cpu}'>{numa}</cpu>
  <on_crash>{on_crash}</on_crash>
  <devices><emulator>{emulator}</emulator>
    <disk type='file' device='disk'><driver name='qemu' type='raw' cache='unsafe'/><source file='{folder}/disk'/>
      <target dev='vda' bus='virtio'/></disk>
    <serial type='unix'><source mode='bind' path='{folder}/console.sock'/>
      <log file='{folder}/console.log' append='off'/><target port='0'/></serial>
    <panic model='isa'/><memballoon model='none'/><video><model type='none'/></video>{devices}
  </devices>
  <qemu:commandline><qemu:arg value='-qmp'/><qemu:arg value='unix:{folder}/witness.sock,server=on,wait=off'/>{words}</qemu:commandline>
</domain>"""


def daemon_program(kind: str) -> str | None:
    """libvirtd, or virtqemud where there is one: Debian ships none."""
    return shutil.which("virtqemud" if kind == "virtqemud" else "libvirtd", path="/usr/sbin:/sbin:/usr/bin")


def newest_daemon(folder: Path) -> list:
    """The words that run Debian sid's libvirtd, with its own C library, from a tree below `folder` that all may read."""
    tree = folder / "libvirt"
    if not tree.exists():
        subprocess.run(["cp", "-a", tools.root("libvirt-newest") / "usr", tree], check=True)
        Suite("sid").fetch("libvirt-daemon", tree.with_name("libvirtd"), only=("*/sbin/libvirtd",))
    libraries = tree / "lib/x86_64-linux-gnu"
    return ["env", f"LIBVIRT_DRIVER_DIR={libraries}/libvirt/connection-driver", libraries / "ld-linux-x86-64.so.2",
            "--library-path", libraries, folder / "libvirtd/usr/sbin/libvirtd"]


def available() -> bool:
    return all(map(shutil.which, ("virsh", "setpriv"))) and (
        list(Path("/usr/lib").glob("**/connection-driver/libvirt_driver_qemu.so")) != [])


class LibvirtRig:
    """with LibvirtRig("embed", "session", "virtqemud" or "newest", memory_mib) as rig: rig.uri, rig.name, rig.command(words)

    "newest" is a session daemon of Debian sid. `initrd`, `kernel_words`, `devices` (XML; {folder} is the rig's) and
    `on_crash` are a test's own, as are `backing` (XML) and `qemu_words`, which libvirt passes on."""

    def __init__(self, kind: str, memory_mib: int = 512, version: str = "6.12", name: str = "dump-test", nodes: int = 1,
                 initrd: bytes = b"", kernel_words: tuple = (), devices: str = "", machine: str = "q35", backing: str = "",
                 qemu_words: tuple = (), on_crash: str = "preserve"):
        self.kind, self.memory_mib, self.version, self.name, self.nodes = kind, memory_mib, version, name, nodes
        self.initrd, self.kernel_words, self.devices = initrd, kernel_words, devices
        self.machine, self.backing, self.qemu_words, self.on_crash = machine, backing, qemu_words, on_crash
        self.daemon = None
        self.folder = None
        self.huge_pages = None

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="vmcorectl-lv-", dir="/tmp"))    # sockets need short paths
        self.folder.chmod(0o755)
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def uri(self) -> str:
        if self.kind == "embed":
            return f"qemu:///embed?root={self.folder}/home/root"
        return f"qemu:///session?socket={self._socket}"

    @property
    def _socket(self) -> Path:
        return self.runtime / "libvirt" / ("virtqemud-sock" if self.kind == "virtqemud" else "libvirt-sock")

    @property
    def runtime(self) -> Path:
        """A folder of the user that libvirt and vmcorectl run as."""
        return self.folder / "home/run"

    @property
    def console(self) -> str:
        log = self.folder / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _reachable(self, program: str) -> str:
        """nobody may not see into the build tree: the programs are run from a copy."""
        own = self.folder / "bin"
        if not own.exists():
            own.mkdir(mode=0o755)
            for name in ("vmcorectl", "vmcore-worker", "vmcore-holder"):
                shutil.copy(Path(program).parent / name, own / name)
        return str(own / "vmcorectl")

    def command(self, *words) -> list:
        home = self.folder / "home"
        if os.geteuid() == 0 and words and Path(words[0]).name == "vmcorectl" and Path(words[0]).is_absolute():
            words = (self._reachable(words[0]), *words[1:])
        groups = f"--groups={os.stat('/dev/kvm').st_gid}" if KVM else "--clear-groups"
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", groups] if os.geteuid() == 0 else []
        return [*become, "env", f"HOME={home}", f"XDG_RUNTIME_DIR={home}/run", f"XDG_CONFIG_HOME={home}/config",
                f"XDG_CACHE_HOME={home}/cache", *map(str, words)]

    def virsh(self, *words, check: bool = True) -> str:
        for _ in range(VIRSH_ATTEMPTS):
            done = subprocess.run(self.command("virsh", "-q", "-c", self.uri, *words), stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=120)
            if done.returncode >= 0 and "driver.pid" not in done.stderr:
                break
            time.sleep(0.05)
        if check and done.returncode != 0:
            daemon = f" (its daemon: {self.daemon.poll()})" if self.daemon else ""
            raise GuestError(f"virsh {' '.join(map(str, words))}: {done.stderr.strip()}{daemon}")
        return (done.stdout + done.stderr).strip()

    def own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)

    def _start(self) -> None:
        config = Config(name=self.name, kernel_words=self.kernel_words)
        chosen = kernel(self.version)
        shutil.copyfile(chosen.image, self.folder / "vmlinuz")
        (self.folder / "initrd").write_bytes(self.initrd or initramfs.build(chosen, config.workload_arguments()))
        shutil.copyfile(initramfs.disk(), self.folder / "disk")
        (self.folder / "domain.xml").write_text(DOMAIN.format(
            accel="kvm" if KVM else "qemu", cpu="host-passthrough" if KVM else "maximum", name=self.name, numa=self._numa(), memory=self.memory_mib, folder=self.folder, cmdline=config.kernel_arguments(),
            on_crash=self.on_crash, machine=self.machine, backing=self.backing, cpus=max(2, self.nodes),
            words="".join(f"<qemu:arg value='{word}'/>" for word in self.qemu_words),
            devices=self.devices.format(folder=self.folder), emulator=shutil.which("qemu-system-x86_64")))
        for part in ("home", "home/run", "home/root"):
            (self.folder / part).mkdir(mode=0o700)
        for path in [self.folder, *self.folder.rglob("*")]:
            self.own(path)
        if "<hugepages/>" in self.backing:
            self._mount_huge_pages()
        if self.kind != "embed":
            self.start_daemon()
        self.virsh("create", self.folder / "domain.xml")
        self.wait_for("READY", BOOT_SECONDS)

    def _mount_huge_pages(self) -> None:
        """libvirt wants their file system, which a host need not have mounted."""
        self.huge_pages = self.folder / "huge"
        self.huge_pages.mkdir()
        owner = f"uid={NOBODY},gid={NOBODY},mode=0700"
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", owner, "none", self.huge_pages], check=True)
        settings = self.folder / "home/config/libvirt/qemu.conf"
        settings.parent.mkdir(parents=True)
        settings.write_text(f'hugetlbfs_mount = "{self.huge_pages}"\n')
        for path in (settings, settings.parent, settings.parent.parent):
            self.own(path)

    def _numa(self) -> str:
        """Nodes of one vCPU and a part of the memory each."""
        if self.nodes == 1:
            return ""
        cells = "".join(f"<cell id='{node}' cpus='{node}' memory='{self.memory_mib // self.nodes}' unit='MiB'/>"
                        for node in range(self.nodes))
        return f"<numa>{cells}</numa>"

    def wait_for_reboot(self, boots: int = 2) -> None:
        """Until the guest was READY so many times; one that died on its way is reset again."""
        for _ in range(BOOT_ATTEMPTS):
            deaths = self.console.count("end Kernel panic")
            deadline = time.monotonic() + BOOT_SECONDS
            while time.monotonic() < deadline and self.console.count("end Kernel panic") == deaths:
                if self.console.count("\nREADY") >= boots:
                    return
                time.sleep(0.2)
            self.virsh("reset", self.name)
            self.virsh("resume", self.name, check=False)
        raise GuestError(f"{self.name} does not boot again:\n{self.console[-2000:]}")

    def start_daemon(self) -> None:
        """A child of the daemon before may hold the lock of its pid file for a moment: then it is started again, as systemd
        would do."""
        program = newest_daemon(self.folder) if self.kind == "newest" else [daemon_program(self.kind)]
        deadline = time.monotonic() + 30
        while True:
            with open(self.folder / "daemon.log", "ab") as log:
                begin = log.tell()
                self.daemon = subprocess.Popen(self.command(*program), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            while not self._socket.exists() and self.daemon.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            if self._socket.exists():
                return
            said = (self.folder / "daemon.log").read_bytes()[begin:].decode(errors="replace")
            if time.monotonic() > deadline or "Failed to acquire pid file" not in said:
                raise GuestError(f"{program[-1]}: {said}")
            time.sleep(0.5)

    def restart_daemon(self) -> int:
        """Stopped and started again, as for an upgrade; how it ended."""
        self.daemon.send_signal(signal.SIGTERM)
        code = self.daemon.wait(timeout=60)
        self._socket.unlink(missing_ok=True)
        self.start_daemon()
        return code

    def wait_for(self, line: str, seconds: float, times: int = 1) -> None:
        deadline = time.monotonic() + seconds
        while self.console.count(line) < times:
            if time.monotonic() > deadline:
                raise GuestError(f"{self.name}: no {line} within {seconds} s:\n{self.console[-2000:]}")
            time.sleep(0.2)

    def qmp(self, name: str, **arguments):
        """One command to QEMU itself, beside libvirt."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(120)
            monitor.connect(str(self.folder / "witness.sock"))
            lines = monitor.makefile("rw")
            lines.readline()
            answer = None
            for command, words in (("qmp_capabilities", {}), (name, arguments)):
                lines.write(json.dumps({"execute": command, "arguments": words}) + "\n")
                lines.flush()
                answer = next(reply for reply in map(json.loads, lines) if "event" not in reply)
            return answer.get("return", answer)

    def status(self) -> str:
        return self.qmp("query-status")["status"]

    def tell(self, line: str) -> None:
        """Sends the workload a line by the serial console."""
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(self.folder / "console.sock"))
            console.sendall(line.encode() + b"\n")
            time.sleep(0.2)

    def send_panic(self) -> None:
        self.tell("panic 0")

    def panic(self) -> None:
        self.send_panic()
        deadline = time.monotonic() + 60
        while self.status() != "guest-panicked":
            if time.monotonic() > deadline:
                raise GuestError("the guest did not panic")
            time.sleep(0.1)

    def taints(self) -> list:
        """What libvirt noted in the domain's log."""
        logs = [path for path in self.folder.rglob(f"{self.name}.log") if "qemu" in path.parts]
        return [line for path in logs for line in path.read_text(errors="replace").splitlines() if "tainted" in line]

    def dump_elf(self, path: Path) -> Path:
        """libvirt's own dump of all RAM of a guest that stands still. (Behind its back, by the witness, the event
        of a dump that it does not know of makes libvirtd 9.0 crash.)"""
        target = self.folder / "home/raw"
        self.virsh("dump", "--memory-only", self.name, target)
        shutil.copyfile(target, path)
        target.unlink()
        subprocess.run(["fallocate", "--dig-holes", str(path)], check=True)
        return path

    def close(self) -> None:
        if self.folder is None:
            return
        try:
            self.qmp("quit")        # whatever libvirt does
        except (OSError, ValueError, StopIteration):
            pass
        if self.daemon is not None:
            self.daemon.terminate()
            self.daemon.wait(timeout=30)
        if self.huge_pages:
            subprocess.run(["umount", self.huge_pages], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = None
