# SPDX-License-Identifier: GPL-2.0-or-later
"""What a capture kernel saved of a crash, beside what the host's own QEMU dumps of the same guest meanwhile: page by page.

The capture kernel changes the first MiB and the memory that was reserved for it, which are not compared.
"""

import re
import socket
import threading
from pathlib import Path

from guests.capture_rig import CaptureConfig, CaptureGuest, build_image
from guests.kernels import Kernel, kernel
from peers import bits, compare, readers
from peers.guest_stream import GuestStream
from peers.kdumpfile import ElfFile, KdumpFile

MOST_IMAGE = 4 << 20                      # with the modules of any one file system
MOST_PORT_IMAGE = 27 * (1 << 20) // 10
LOW_PAGES = 256
LEAST_LEFT_MIB = 16     # of what is recommended
END_SECONDS = 300       # under TCG, beside others; usually 20


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


def room_to_spare(console: str) -> list:
    """The capture kernel's own account of its memory."""
    left = re.search(r"vmcore-guest: (\d+) of \d+ MiB of memory were free", console)
    if not left:
        return ["the capture kernel tells nothing of its memory"]
    print(f"  {left[0]}", flush=True)
    return [left[0]] if int(left[1]) < LEAST_LEFT_MIB else []


def opens_in_crash(findings, what: str, vmcore: Path, of: Kernel, stack: tuple = ("panic",)) -> None:
    """`stack`: what the backtrace of the task that crashed must show."""
    try:
        said = readers.crash(vmcore, of, ("sys", "bt"))
        findings.check(f"{what}: crash", has(said["sys"], "crash", ["PANIC: "]) + has(said["bt"], "bt", stack))
    except readers.ReaderError as error:
        findings.check(f"{what}: crash", [str(error)])


def received(vmcorectl, findings, what: str, stream: GuestStream, folder: Path, of: Kernel, stack: tuple) -> None:
    """What vmcorectl makes of the stream."""
    out = folder / "received"
    done = vmcorectl.run("receive", folder / "stream", "-o", out, "--verify")
    if findings.check(f"{what}: receive", [] if done.returncode == 0 else [f"exit {done.returncode}", done.stderr]):
        findings.check(f"{what}: receive: pages", compare.page_sets(KdumpFile(out).kept, stream.kept))
        opens_in_crash(findings, what, out, of, stack)
    for path in folder.glob("received*"):
        path.unlink()


def to_the_host(vmcorectl, findings, config: CaptureConfig, folder: Path, way: str, words: list,
                stack: tuple = ("panic",), files: dict = None, rig=CaptureGuest) -> None:
    """A crash that is saved by the port; the host dumps the guest as well meanwhile. `words` must be in its log. `rig`
    makes the guest."""
    of, name = kernel(config.kernel), config.name
    image = build_image(of, folder)
    findings.check(f"{name}: image", [f"{len(image)} bytes"] if len(image) > MOST_PORT_IMAGE else [])
    with rig(config, image, files) as guest:
        guest.load()
        listener = Listener(guest, folder / "stream")
        guest.crash(way)
        if not listener.first.wait(END_SECONDS):
            findings.check(name, ["nothing came", guest.console[-3000:]])
            return
        host = ElfFile(guest.dump_elf(folder / "host.elf"))
        guest.wait_for_end(END_SECONDS)
        listener.join(10)
        console = guest.console
    stream = GuestStream(folder / "stream")
    findings.check(f"{name}: order", [] if stream.kinds[:4] == [1, 2, 9, 3] and stream.kinds[-1] == 8
                   else [f"frames of kinds {stream.kinds}"])
    findings.check(f"{name}: hello", [] if stream.hello["RELEASE"] == of.release else [str(stream.hello)])
    findings.check(f"{name}: log", has(stream.log, "the log", words))
    findings.check(f"{name}: all announced pages came", compare.page_sets(stream.sent, stream.kept))
    findings.check(f"{name}: end", [] if stream.end.get("INCOMPLETE", "0") == "0" else [str(stream.end)])
    findings.check(f"{name}: pages", same_as_host(stream, host, stream.log))
    findings.check(f"{name}: console", has(console, "the console", ["crashed: ", "the crash is saved"]))
    findings.check(f"{name}: memory", room_to_spare(console))
    received(vmcorectl, findings, name, stream, folder, of, stack)
    (folder / "host.elf").unlink()
