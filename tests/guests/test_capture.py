#!/usr/bin/python3
"""A capture image of `vmcore-guest build` saves real crashes: to the host by a virtio-serial port and to a disk. What it
saved equals, page by page, what QEMU dumps of the same guest while its panic kernel runs.

That kernel changes the first MiB and the memory that was reserved for it, which are not compared.
"""

import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.capture_rig import CaptureConfig, CaptureGuest, build_image
from guests.harness import run_test, scratch_folder
from guests.kernels import Kernel, kernel
from peers import bits, compare, readers
from peers.guest_stream import GuestStream
from peers.kdumpfile import ElfFile, KdumpFile

MOST_IMAGE = 4 << 20
LOW_PAGES = 256
END_SECONDS = 300       # under TCG, beside others; usually 20
SBIN = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/sbin:/usr/sbin"}


class Listener(threading.Thread):
    """The host's end of a port: keeps what comes until `most` bytes, then takes no more; hangs up behind an end."""

    def __init__(self, guest: CaptureGuest, out: Path, most: int = 1 << 40):
        super().__init__(daemon=True)
        self.out, self.most, self.bytes = out, most, 0
        self.first = threading.Event()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(guest.port))
        self.start()

    def run(self) -> None:
        tail = b""
        with open(self.out, "wb") as file:
            while self.bytes < self.most and b"PAGES=" not in tail:
                part = self.socket.recv(65536)
                if not part:
                    return
                file.write(part)
                file.flush()
                self.bytes += len(part)
                tail = (tail + part)[-64:]
                self.first.set()
        if self.bytes < self.most:
            self.socket.close()


def new_disk(path: Path, mebibytes: int) -> Path:
    with open(path, "wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "crashes", path], check=True, env=SBIN)
    return path


def on_disk(disk: Path, path: str) -> list:
    """The names in a folder of an ext4 image."""
    done = subprocess.run(["debugfs", "-R", f"ls -p {path}", disk], capture_output=True, text=True, env=SBIN, check=True)
    names = [line.split("/")[5] for line in done.stdout.splitlines() if line.startswith("/")]
    return sorted(name for name in names if name not in (".", "..", "lost+found"))


def from_disk(disk: Path, path: str, out: Path) -> Path:
    subprocess.run(["debugfs", "-R", f"dump {path} {out}", disk], capture_output=True, env=SBIN, check=True)
    return out


def reserved_pages(elf: ElfFile, console: str) -> int:
    """The first MiB, and what "crashkernel reserved" names; 6.1 says "Reserving 128MB of memory at 624MB"."""
    pages = (1 << LOW_PAGES) - 1
    for size, at in re.findall(r"Reserving (\d+)MB of (?:low )?memory at (\d+)MB for crashkernel", console):
        pages |= bits.from_ranges([(int(at) << 8, int(at) + int(size) << 8)])
    for begin, end in re.findall(r"crashkernel (?:low )?reserved: 0x([0-9a-f]+) - 0x([0-9a-f]+)", console):
        pages |= bits.from_ranges([(int(begin, 16) >> 12, int(end, 16) >> 12)])
    return pages


def same_as_host(ours, host: ElfFile, log: str) -> list:
    """Lines about how a dump differs from QEMU's."""
    reserved = reserved_pages(host, log)
    if reserved >> LOW_PAGES == 0:
        return ["the log tells nothing of crashkernel"]
    lines = compare.describe("kept, but in the reserved memory", ours.kept & reserved >> LOW_PAGES << LOW_PAGES)
    compared = ours.kept & host.kept & ~reserved
    if bits.count(compared) < 4096:
        lines.append(f"only {bits.count(compared)} pages to compare")
    return lines + compare.contents(ours, host, compared)


def has(text: str, what: str, words: list) -> list:
    return [f"{what} has no \"{word}\"" for word in words if word not in text]


def opens_in_crash(findings, what: str, vmcore: Path, of: Kernel) -> None:
    try:
        said = readers.crash(vmcore, of, ("sys", "bt"))
        findings.check(f"{what}: crash", has(said["sys"], "crash", ["PANIC: "]) + has(said["bt"], "bt", ["panic"]))
    except readers.ReaderError as error:
        findings.check(f"{what}: crash", [str(error)])


def received(vmcorectl, findings, what: str, stream: GuestStream, folder: Path, of: Kernel) -> None:
    """What vmcorectl makes of the stream."""
    out = folder / "received"
    done = vmcorectl.run("receive", folder / "stream", "-o", out, "--verify")
    if findings.check(f"{what}: receive", [] if done.returncode == 0 else [f"exit {done.returncode}", done.stderr]):
        findings.check(f"{what}: receive: pages", compare.page_sets(KdumpFile(out).kept, stream.kept))
        opens_in_crash(findings, what, out, of)
    for path in folder.glob("received*"):
        path.unlink()


def to_the_host(vmcorectl, findings, name: str, crashkernel: str, folder: Path, way: str, words: list) -> None:
    """A crash of a guest with a workload, by the port; the host dumps it as well, while it is saved."""
    of = kernel(name)
    image = build_image(of, folder)
    findings.check(f"{name}: image", [f"{len(image)} bytes"] if len(image) > MOST_IMAGE else [])
    with CaptureGuest(CaptureConfig(name="capture", kernel=name, crashkernel=crashkernel), image) as guest:
        guest.load()
        listener = Listener(guest, folder / "stream")
        guest.crash(way)
        if not listener.first.wait(END_SECONDS):
            findings.check(f"{name}: {way}", ["nothing came", guest.console[-3000:]])
            return
        host = ElfFile(guest.dump_elf(folder / "host.elf"))
        guest.wait_for_end(END_SECONDS)
        listener.join(10)
        console = guest.console
    stream = GuestStream(folder / "stream")
    findings.check(f"{name}: {way}: order", [] if stream.kinds[:4] == [1, 2, 9, 3] and stream.kinds[-1] == 8
                   else [f"frames of kinds {stream.kinds}"])
    findings.check(f"{name}: {way}: hello", [] if stream.hello["RELEASE"] == of.release else [str(stream.hello)])
    findings.check(f"{name}: {way}: log", has(stream.log, "the log", words))
    findings.check(f"{name}: {way}: all announced pages came", compare.page_sets(stream.sent, stream.kept))
    findings.check(f"{name}: {way}: end", [] if stream.end.get("INCOMPLETE", "0") == "0" else [str(stream.end)])
    findings.check(f"{name}: {way}: pages", same_as_host(stream, host, stream.log))
    findings.check(f"{name}: {way}: console", has(console, "the console", ["crashed: ", "the crash is saved"]))
    received(vmcorectl, findings, f"{name}: {way}", stream, folder, of)
    (folder / "host.elf").unlink()


def to_a_disk(findings, name: str, crashkernel: str, folder: Path, way: str, words: list) -> None:
    """The port comes first in the configuration, but this guest has none."""
    of = kernel(name)
    image = build_image(of, folder, "target = port\ntarget = file:LABEL=crashes:/var/crash\n",
                        "LABEL=crashes /x ext4 defaults\n")
    disk = new_disk(folder / "disk", 256)
    with CaptureGuest(CaptureConfig(name="disk", kernel=name, crashkernel=crashkernel, disks=(disk,), port=False),
                      image) as guest:
        guest.load()
        guest.crash(way)
        guest.wait_for_text("vmcore-guest: saved ", END_SECONDS)
        host = ElfFile(guest.dump_elf(folder / "host.elf"))
        guest.wait_for_end(END_SECONDS)
        console = guest.console
    findings.check(f"{name}: disk: console", has(console, "the console", [
        "port: this machine has no virtio-serial port named org.vmcorectl.dump.0", "the crash is saved"]))
    names = on_disk(disk, "/var/crash")
    dump = next((found for found in names if found[0].isdigit()), "")
    findings.check(f"{name}: disk: files", [] if len(names) == 4 and on_disk(disk, f"/var/crash/{dump}") == [
        "dmesg.txt", "vmcore"] else [f"{names}, {on_disk(disk, f'/var/crash/{dump}')}"])
    log = from_disk(disk, f"/var/crash/{dump}/dmesg.txt", folder / "dmesg").read_text(errors="replace")
    reason = from_disk(disk, "/var/crash/reboot-reason", folder / "reason").read_text()
    findings.check(f"{name}: disk: log", has(log, "dmesg.txt", words) + has(reason, "reboot-reason", words[:1]))
    vmcore = from_disk(disk, f"/var/crash/{dump}/vmcore", folder / "vmcore")
    findings.check(f"{name}: disk: pages", same_as_host(KdumpFile(vmcore), host, log))
    opens_in_crash(findings, f"{name}: disk", vmcore, of)
    (folder / "host.elf").unlink()


def host_stops_reading(findings, name: str, folder: Path) -> None:
    """The port's reader hangs, and the disk has no room: what is there is kept, and the guest ends all the same."""
    of = kernel(name)
    image = build_image(of, folder, "target = port\ntarget = file:/dev/vdb:/\non-failure = poweroff\n", "/dev/vdb /x ext4\n")
    disk = new_disk(folder / "small", 8)
    with CaptureGuest(CaptureConfig(name="stuck", kernel=name, crashkernel="128M", disks=(disk,), workload=False),
                      image) as guest:
        guest.load()
        listener = Listener(guest, folder / "stream", most=1 << 20)
        guest.crash()
        guest.wait_for_end(END_SECONDS)
        console = guest.console
    findings.check("stuck: console", has(console, "the console", [
        "port: the host took nothing for 30 s", "file: ", "MiB free, and a dump may need", "could not be saved"]))
    findings.check("stuck: ended as configured", has(console, "the console", ["Power down"]))
    with open(folder / "stream", "rb") as file:
        begin = file.read()
    findings.check("stuck: the log came first", [] if b"Kernel panic - not syncing" in begin else [f"{len(begin)} bytes"])
    del listener


def too_late(findings, name: str, folder: Path) -> None:
    """Nobody listens for longer than there is time: the deadline ends it, and the panic text was on the console. The
    crash is one in an interrupt."""
    of = kernel(name)
    image = build_image(of, folder, "target = port\n")
    with CaptureGuest(CaptureConfig(name="late", kernel=name, crashkernel="128M", workload=False), image) as guest:
        guest.load("vmcore.deadline=8")
        guest.crash("interrupt")
        guest.wait_for_end(END_SECONDS)
        console = guest.console
    findings.check("late: console", has(console, "the console", [
        "crashed: sysrq: Trigger a crash", "<IRQ>", "port: the deadline passed", "could not be saved", "Restarting system"]))


def test(vmcorectl, _guests: list, findings) -> None:
    with scratch_folder() as scratch:
        folder = Path(scratch)
        steps = {
            "port": lambda: to_the_host(vmcorectl, findings, "6.1", "128M", folder, "sysrq", ["sysrq triggered crash"]),
            "cloud": lambda: to_the_host(vmcorectl, findings, "6.1-cloud", "112M", folder, "oom", ["Out of memory", "panic_on_oom"]),
            "disk": lambda: to_a_disk(findings, "6.12", "160M", folder, "nmi", ["NMI"]),
            "stuck": lambda: host_stops_reading(findings, "6.1", folder),
            "late": lambda: too_late(findings, "6.1", folder),
        }
        for step in os.environ.get("STEPS", " ".join(steps)).split():
            steps[step]()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
