# SPDX-License-Identifier: GPL-2.0-or-later
"""receive: what a guest's own capture kernel sends, as it should be and as it should not."""

import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

from harness import FAILED, INTERRUPTED, MAKE_DUMP, NOT_AS_ASKED, USAGE, VMCORECTL, Cli, main

MAKE_STREAM = Path(MAKE_DUMP).with_name("make_stream")
HEADER = struct.Struct("<8sIIQ16sII")    # docs/formats/guest-stream.md
HELLO, LOG, FACTS, NOTES, REPLACE, MAP, PAGES, END, ALIVE = range(1, 10)


def crc_of_byte(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc


CRC_TABLE = [crc_of_byte(byte) for byte in range(256)]


def crc32c(data: bytes) -> int:
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


class Frame:
    def __init__(self, whole: bytes):
        self.whole = whole
        _, self.kind, self.size, self.sequence, self.stream, *_ = HEADER.unpack_from(whole)

    def saying(self, payload: bytes, stream=None, sequence=None) -> bytes:
        """A frame like this one with another payload, whole as it looks."""
        header = HEADER.pack(self.whole[:8], self.kind, len(payload),
                             self.sequence if sequence is None else sequence, stream or self.stream,
                             crc32c(payload), 0)[:-4]
        return header + struct.pack("<I", crc32c(header)) + payload


def frames_of(stream: bytes) -> list:
    frames = []
    while stream:
        size = HEADER.size + HEADER.unpack_from(stream)[2]
        frames.append(Frame(stream[:size]))
        stream = stream[size:]
    return frames


def joined(frames) -> bytes:
    return b"".join(frame if isinstance(frame, bytes) else frame.whole for frame in frames)


def unread(peer) -> int:
    """What was sent to this socket's other end and not taken there."""
    return struct.unpack("i", fcntl.ioctl(peer, termios.TIOCOUTQ, bytes(4)))[0]


class Receive(Cli):
    def stream(self, kind="elf-6.12", *options) -> bytes:
        path = self.dumps / "-".join(["stream", kind, *options])
        if not path.exists():
            subprocess.run([MAKE_STREAM, self.dump(kind), path, *options], check=True)
        return path.read_bytes()

    def frames(self) -> list:
        return frames_of(self.stream())

    def write(self, data: bytes, name="stream") -> Path:
        (self.folder / name).write_bytes(data)
        return self.folder / name

    def receive(self, data: bytes, *options, code=0) -> dict:
        """What receive says of these bytes in a file."""
        done = self.run_cli("receive", self.write(data), "-o", "out", "--force", "--output", "json", *options, code=code)
        return json.loads(done.stdout)

    def broken(self, data: bytes, *options, says=()) -> dict:
        """A stream that breaks after some of its pages."""
        told = self.receive(data, *options, code=NOT_AS_ASKED)
        self.assertTrue(told["incomplete"])
        texts = "; ".join(remark["text"] for remark in told["remarks"])
        for part in says:
            self.assertIn(part, texts)
        path = self.folder / told["file"]
        self.assertIn("incomplete", path.name)
        self.assertTrue(self.info(path)["incomplete"])
        path.unlink()
        return told

    def serve(self, deliver) -> Path:
        """A socket as QEMU listens on one for a channel; `deliver` is called with who connects."""
        path = self.folder / "channel"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(300)    # where nobody connects, the test fails and does not wait for ever

        def run():
            with listener, listener.accept()[0] as peer:
                try:
                    deliver(peer)
                except OSError:
                    pass
        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        return path

    def test_the_dump_is_that_of_the_guest(self):
        told = self.receive(self.stream("elf-6.12", "31", "drill-7"), "--verify")
        self.assertEqual((told["release"], told["incomplete"], told["as_asked"]), ("6.12.0-test", False, True))
        self.assertEqual(told["guest"]["tag"], "drill-7")
        self.assertEqual(told["guest"]["memory"], 64 << 20)
        self.assertEqual(told["guest"]["crash"], "claim")
        self.assertIn("are the guest's own claim", "; ".join(remark["text"] for remark in told["remarks"]))
        self.assertEqual(told["guest"]["panic"], "Kernel panic - not syncing: test")
        self.run_cli("convert", self.dump(), "direct", "--format", "elf")
        self.run_cli("convert", "out", "received", "--format", "elf")
        self.assertEqual(self.info("direct")["pages"]["in_file"], self.info("received")["pages"]["in_file"])
        info = self.info("out")
        self.assertEqual(info["level"]["reached"], 31)
        self.assertEqual(info["capture"]["crash"], "claim")
        self.assertIn("crash           the guest's own claim", self.run_cli("info", "out").stdout.decode())
        self.assertEqual(self.run_cli("dmesg", "out").stdout, self.run_cli("dmesg", self.dump()).stdout)
        self.assertEqual((self.folder / "out.dmesg").read_bytes(), self.run_cli("dmesg", self.dump()).stdout)
        for name in ("out", "out.dmesg"):
            self.assertEqual((self.folder / name).stat().st_mode & 0o777, 0o600)

    def test_the_pages_are_those_of_the_guest(self):
        """Level 0 on both ends: all of RAM, byte by byte."""
        self.receive(self.stream("elf-6.12", "0"), "-d", "0", "--format", "elf")
        self.run_cli("convert", self.dump(), "direct", "-d", "0", "--format", "elf")
        sizes = [(self.folder / name).stat().st_size for name in ("out", "direct")]
        memory = [(self.folder / name).read_bytes()[-(64 << 20):] for name in ("out", "direct")]
        self.assertEqual(memory[0], memory[1], sizes)

    def test_it_is_filtered_further(self):
        told = self.receive(self.stream("elf-6.12", "0"), "-d", "31")
        self.assertEqual(told["level"]["reached"], 31)
        self.assertEqual(told["pages"]["kept"], self.receive(self.stream())["pages"]["kept"])

    def test_a_socket(self):
        path = self.serve(lambda peer: [peer.sendall(frame.whole) for frame in self.frames()])
        done = self.run_cli("receive", path, "-o", "out", "--wait", "60")
        for part in ("6.12.0-test", "written       out"):
            self.assertIn(part, done.stdout.decode())
        for part in ("its capture kernel sends a dump of 64.0 MiB", "Kernel panic - not syncing: test", "out.dmesg"):
            self.assertIn(part, done.stderr.decode())
        self.assertEqual(self.names(), ["channel", "out", "out.dmesg"])

    def test_the_log_is_there_before_any_page(self):
        frames = self.frames()
        seen = []

        def deliver(peer):
            peer.sendall(joined(frame for frame in frames if frame.kind in (HELLO, LOG, FACTS)))
            for _ in range(600):
                seen[:] = self.names()
                if "out.dmesg" in seen:
                    break
                time.sleep(0.1)
            peer.sendall(joined(frame for frame in frames if frame.kind not in (HELLO, LOG, FACTS)))
        self.run_cli("receive", self.serve(deliver), "-o", "out")
        self.assertEqual(seen, ["channel", "out.dmesg"])

    def test_a_guest_that_plans_is_not_silent(self):
        """And its log, which is over then, is there."""
        frames = self.frames()
        first = next(number for number, frame in enumerate(frames) if frame.kind == FACTS)
        rest = [frame.saying(frame.whole[HEADER.size:], sequence=frame.sequence + 5) for frame in frames[first:]]
        seen = []

        def deliver(peer):
            peer.sendall(joined(frames[:first]))
            for number in range(5):
                frames[0].kind = ALIVE
                peer.sendall(frames[0].saying(b"", sequence=first + number))
                time.sleep(1)
            seen.extend(self.names())
            peer.sendall(joined(rest))
        self.run_cli("receive", self.serve(deliver), "-o", "out", "--idle", "4")
        self.assertEqual(seen, ["channel", "out.dmesg"])

    def interrupted(self, frames, signals, *options, code) -> str:
        """What receive says that has these frames, and is interrupted as it waits for more."""
        taken, over = threading.Event(), threading.Event()
        self.addCleanup(over.set)

        def deliver(peer):
            peer.sendall(joined(frames))
            while unread(peer):
                time.sleep(0.02)
            taken.set()
            over.wait(120)
        # Unbuffered: what readline() took ahead, communicate() would not see.
        program = subprocess.Popen([VMCORECTL, "receive", self.serve(deliver), "-o", "out", *options], cwd=self.folder,
                                   stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0)
        self.addCleanup(program.kill)
        while not taken.is_set() or "out.dmesg" not in self.names():
            self.assertIsNone(program.poll())
            time.sleep(0.1)
        said = ""
        for number in signals:
            program.send_signal(number)
            while "a second interruption discards it" not in said:
                line = program.stderr.readline().decode()
                self.assertTrue(line, said)
                said += line
        said += program.communicate(timeout=120)[1].decode()
        over.set()
        self.assertEqual(program.returncode, code, said)
        return said

    def test_what_came_before_an_interruption_is_kept(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                said = self.interrupted(self.frames()[:-1], [number], code=NOT_AS_ASKED)
                self.assertIn("the guest's stream is broken: interrupted", said)
                self.assertTrue(self.info("out.incomplete")["incomplete"])
                for name in self.names():
                    (self.folder / name).unlink()

    def test_an_interruption_before_any_page(self):
        frames = self.frames()
        first = next(number for number, frame in enumerate(frames) if frame.kind == PAGES)
        said = self.interrupted(frames[:first], [signal.SIGINT], code=INTERRUPTED)
        self.assertIn("no page of the guest's memory arrived: interrupted", said)
        self.assertEqual(self.names(), ["channel", "out.dmesg"])

    def test_another_interruption_gives_it_up(self):
        frames = frames_of(self.stream("slow-6.12"))
        self.interrupted(frames[:-1], [signal.SIGINT, signal.SIGTERM], "--compress", "zstd", "--compress-level", "19",
                         code=INTERRUPTED)
        self.assertEqual(self.names(), ["channel", "out.dmesg"])

    def test_a_fifo(self):
        fifo = self.folder / "fifo"
        os.mkfifo(fifo)
        self.refused("receive", "./fifo", "-o", "out", "--wait", "1", says=["the guest sent nothing within 1 s"])

        def write():
            with open(fifo, "wb") as end:
                end.write(self.stream())
        writer = threading.Thread(target=write)
        writer.start()
        self.run_cli("receive", "./fifo", "-o", "out")
        writer.join()
        self.assertFalse(self.info("out")["incomplete"])

    def test_standard_input_and_output(self):
        with open(self.write(self.stream()), "rb") as stream, open(self.folder / "copy", "wb") as copy:
            subprocess.run([VMCORECTL, "receive", "-", "-o", "-", "-q"], stdin=stream, stdout=copy, check=True,
                           cwd=self.folder)
        self.assertFalse(self.info("copy")["incomplete"])
        self.assertTrue(any(name.endswith(".vmcore.dmesg") for name in self.names()))

    def test_noise_and_stale_frames(self):
        stale = frames_of(self.stream("elf-6.1"))
        noise = b"[    0.000000] console noise\r\n" * 100 + stale[0].whole[:40]
        told = self.receive(noise + joined(stale[1:]) + self.stream() + b"what a disk had before" * 1000)
        self.assertEqual((told["release"], told["incomplete"]), ("6.12.0-test", False))

    def test_replay(self):
        frames = self.frames()
        told = self.receive(joined(frame.whole * 2 for frame in frames))
        self.assertFalse(told["incomplete"])
        again = [frame.saying(frame.whole[HEADER.size:], sequence=frame.sequence + 100)
                 for frame in frames if frame.kind == PAGES][:1]
        self.broken(joined(frames[:-1] + again), says=["arrived before"])

    def test_cut_off(self):
        frames = self.frames()
        first = next(number for number, frame in enumerate(frames) if frame.kind == PAGES)
        for number in range(first + 1, len(frames)):
            self.broken(joined(frames[:number]), says=["cut off"])
        self.broken(joined(frames)[:-1], says=["cut off"])
        for number in range(1, first + 1):
            told = self.receive(joined(frames[:number]), code=FAILED)
            self.assertIn("no page", told["error"]["text"])
            self.assertEqual(told["guest"]["log"], "out.dmesg" if number > 1 else None)

    def test_cut_off_it_shows_its_kernel_and_its_log(self):
        frames = self.frames()
        pages = [number for number, frame in enumerate(frames) if frame.kind == PAGES]
        log = self.run_cli("dmesg", self.dump()).stdout
        for number in (pages[len(pages) // 10], pages[len(pages) // 2], pages[-1]):
            told = self.receive(joined(frames[:number]), code=NOT_AS_ASKED)
            self.assertEqual(self.run_cli("dmesg", told["file"]).stdout, log)
            self.assertEqual(self.info(told["file"])["kernel"]["release"], "6.12.0-test")
            (self.folder / told["file"]).unlink()

    def test_a_damaged_frame(self):
        frames = self.frames()
        largest = max((frame for frame in frames if frame.kind == PAGES), key=lambda frame: frame.size)
        spoilt = bytearray(largest.whole)
        spoilt[-1] ^= 1
        largest.whole = bytes(spoilt)
        told = self.broken(joined(frames), says=["pages, but"])
        self.assertGreater(told["pages"]["lost"], 0)

    def test_strict(self):
        told = self.receive(joined(self.frames()[:-1]), "--strict", code=FAILED)
        self.assertIn("--strict", told["error"]["text"])
        self.assertEqual(self.names(), ["out.dmesg", "stream"])

    def test_silence(self):
        frames = self.frames()

        def deliver(peer):
            peer.sendall(joined(frames[:-1]))
            peer.recv(1)
        done = self.run_cli("receive", self.serve(deliver), "-o", "out", "--idle", "1", code=NOT_AS_ASKED)
        self.assertIn("the guest sent nothing for 1 s", done.stderr.decode())
        self.assertIn("out.incomplete", self.names())

    def test_a_trickle(self):
        stream = self.stream()

        def deliver(peer):
            peer.sendall(stream[:-50])
            for byte in stream[-50:]:
                time.sleep(0.3)
                peer.sendall(bytes([byte]))
        done = self.run_cli("receive", self.serve(deliver), "-o", "out", "--deadline", "4", code=NOT_AS_ASKED)
        self.assertIn("the stream took longer than 4 s", done.stderr.decode())

    def test_nobody_speaks(self):
        self.refused("receive", "-q", self.serve(lambda peer: peer.recv(1)), "-o", "out", "--wait", "1",
                     says=["the guest sent nothing within 1 s"])

    def held(self, path) -> subprocess.Popen:
        """receive that has the line and waits."""
        locks = Path("/run/vmcorectl" if os.geteuid() == 0 else os.environ["XDG_RUNTIME_DIR"] + "/vmcorectl") / "locks"
        status = path.stat()
        program = subprocess.Popen([VMCORECTL, "receive", path, "-o", "first"], cwd=self.folder, stderr=subprocess.DEVNULL)
        self.addCleanup(program.wait)
        self.addCleanup(program.kill)
        lock = locks / f"file-{status.st_dev}-{status.st_ino}"
        for _ in range(300):
            if lock.exists() and lock.read_text().startswith(f"{program.pid} "):    # not one that a reused inode had
                return program
            self.assertIsNone(program.poll())
            time.sleep(0.1)
        self.fail("it takes no lock")

    def test_two_do_not_receive_from_one_channel(self):
        """The second would get nothing as long as the first lives: it is told so at once, and by whom."""
        if os.geteuid() != 0 and "XDG_RUNTIME_DIR" not in os.environ:
            self.skipTest("needs XDG_RUNTIME_DIR")
        path = self.folder / "channel"
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(str(path))
        listener.listen(5)
        program = self.held(path)
        said = self.refused("receive", path, "-o", "out", "--wait", "60", says=[f"(pid {program.pid})"])
        self.assertIn("connected to" if "is connected to" in said else "receives what the guest sends", said)
        (self.folder / "link").symlink_to(path)
        self.refused("receive", "./link", "-o", "out", "--wait", "60", says=[f"(pid {program.pid})"])

    def test_two_do_not_read_from_one_pipe(self):
        if os.geteuid() != 0 and "XDG_RUNTIME_DIR" not in os.environ:
            self.skipTest("needs XDG_RUNTIME_DIR")
        os.mkfifo(self.folder / "pipe")
        program = self.held(self.folder / "pipe")
        self.refused("receive", "./pipe", "-o", "out", "--wait", "60",
                     says=[f"another vmcorectl (pid {program.pid}) receives what the guest sends"])
        program.kill()
        program.wait()
        self.refused("receive", "./pipe", "-o", "out", "--wait", "1", says=["the guest sent nothing"])

    def test_another_program_has_the_channel(self):
        """By a relative path, as QEMU may have been started with."""
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        here = os.open(".", os.O_RDONLY)
        self.addCleanup(os.close, here)
        os.chdir(self.folder)
        try:
            listener.bind("channel")
        finally:
            os.fchdir(here)
        listener.listen(5)
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(self.folder / "channel"))
            self.refused("receive", "-q", self.folder / "channel", "-o", "out", "--wait", "60",
                         says=[f"(pid {os.getpid()}) is connected to"])
        self.refused("receive", "-q", self.folder / "channel", "-o", "out", "--wait", "1", says=["the guest sent nothing"])

    def test_only_noise(self):
        def deliver(peer):
            while True:
                peer.sendall(b"noise" * 10000)
        self.refused("receive", "-q", self.serve(deliver), "-o", "out", says=["that are not a guest's stream"])

    def test_endless(self):
        """A guest that sends its log for ever."""
        hello, log = self.frames()[:2]
        payload = b"x" * (256 << 10)
        crc = crc32c(payload)

        def deliver(peer):
            peer.sendall(hello.whole)
            for sequence in range(1, 1 << 20):
                header = HEADER.pack(log.whole[:8], LOG, len(payload), sequence, log.stream, crc, 0)[:-4]
                peer.sendall(header + struct.pack("<I", crc32c(header)) + payload)
        done = self.run_cli("receive", self.serve(deliver), "-o", "out", code=FAILED)
        self.assertIn("more data arrived than a guest of 64 MiB can send", done.stderr.decode())

    def test_lies_about_memory(self):
        frames = self.frames()
        text = frames[0].whole[HEADER.size:]
        huge = frames[0].saying(text + b"RAM=100000000-400000000000\n")
        told = self.receive(huge + joined(frames[1:]), code=FAILED)
        self.assertIn("more than it can have", told["error"]["text"])
        self.assertEqual(told["guest"]["log"], "out.dmesg")
        told = self.receive(self.stream(), "--memory", "64M")
        self.assertFalse(told["incomplete"])
        small = frames[0].saying(text.replace(b"RAM=0-4000000", b"RAM=0-1000"))
        told = self.receive(small + joined(frames[1:]), code=FAILED)
        self.assertIn("outside of the announced RAM", told["error"]["text"])

    def test_the_log_cannot_steer_a_terminal(self):
        frames = self.frames()
        for hostile, harmless in ((b"\x1b]0;owned\x07 caf\xc3\xa9", b"\\x1b]0;owned\\x07 caf\xc3\xa9"),
                                  ("\x9b31m".encode(), b"\\xc2\\x9b31m"),
                                  ("a\u202ecba\u2067\u200f".encode(),
                                   b"a\\xe2\\x80\\xaecba\\xe2\\x81\\xa7\\xe2\\x80\\x8f"),
                                  (b"\xff\x9b1 \xc3", b"\\xff\\x9b1 \\xc3")):
            with self.subTest(hostile):
                self.receive(joined([frames[0], frames[1].saying(hostile + b"\n"), *frames[2:]]))
                self.assertEqual((self.folder / "out.dmesg").read_bytes(), harmless + b"\n")

    def test_the_log_may_be_cut_within_a_character(self):
        frames = self.frames()
        self.assertNotEqual(frames[2].kind, LOG)
        whole = "caf\u00e9 \u202e \U0001f600\n".encode()
        for cut in range(1, len(whole)):
            first, second = frames[1].saying(whole[:cut]), frames[1].saying(whole[cut:], sequence=2)
            rest = [frame.saying(frame.whole[HEADER.size:], sequence=frame.sequence + 1) for frame in frames[2:]]
            self.receive(joined([frames[0], first, second, *rest]))
            self.assertEqual((self.folder / "out.dmesg").read_text(), "caf\u00e9 \\xe2\\x80\\xae \U0001f600\n")

    def test_encrypted_memory(self):
        frames = self.frames()
        text = frames[0].whole[HEADER.size:].replace(b"ENCRYPTED=0", b"ENCRYPTED=1")
        end = frames[-1].saying(b"INCOMPLETE=1\nREASON=encrypted memory\nPAGES=0\n", sequence=1)
        told = self.receive(frames[0].saying(text) + end, code=FAILED)
        self.assertIn("encrypted", told["error"]["text"])
        self.assertIn("encrypt-to", told["error"]["text"])

    def pstore(self, log_frames: int) -> bytes:
        """As vmcore-guest collect sends it."""
        hello, log, *_, end = self.frames()
        text = b"".join(line for line in hello.whole[HEADER.size:].splitlines(True) if not line.startswith(b"RAM="))
        logs = [log.saying((b"%d" % number) * (256 << 10), sequence=1 + number) for number in range(log_frames)]
        return joined([hello.saying(text + b"PSTORE=1\n"), *logs,
                       end.saying(b"INCOMPLETE=0\nPAGES=0\n", sequence=1 + log_frames)])

    def test_what_pstore_kept(self):
        told = self.receive(self.pstore(1), code=NOT_AS_ASKED)
        self.assertEqual((told["guest"]["log"], told["error"]["code"]), ("out.dmesg", "not_found"))
        self.assertEqual(self.names(), ["out.dmesg", "stream"])
        self.assertEqual((self.folder / "out.dmesg").stat().st_size, 256 << 10)
        told = self.receive(self.pstore(0), code=FAILED)
        self.assertIsNone(told["guest"]["log"])

    def test_no_more_than_the_bandwidth(self):
        """Six MiB: the guest waits before the last of them are taken."""
        started = time.monotonic()
        self.receive(self.pstore(24), "--bandwidth", "2M", code=NOT_AS_ASKED)
        self.assertGreater(time.monotonic() - started, 1)

    def test_no_more_than_the_quota(self):
        told = self.broken(self.stream("elf-6.12", "0"), "--max-size", "1M", says=["than fit into the available room (1 MiB)"])
        self.assertLessEqual((told["pages"]["kept"] - told["pages"]["lost"]) * 4096, 1 << 20)

    def test_the_guests_reason(self):
        frames = self.frames()
        end = frames[-1].saying(b"INCOMPLETE=1\nREASON=its deadline\nPAGES=1\n")
        self.broken(joined([*frames[:-1], end]), says=["the guest gave up: its deadline"])

    def test_another_crash(self):
        self.broken(joined(self.frames()[:-1]) + self.stream("elf-6.1"), says=["another crash"])

    def test_what_is_there_is_not_replaced(self):
        self.write(b"mine", "out")
        self.write(self.stream())
        self.refused("receive", "stream", "-o", "out", says=["out exists already"], code=FAILED)

    def test_what_there_is_room_for_is_kept(self):
        if os.geteuid() != 0 or not shutil.which("mount"):
            self.skipTest("needs a small file system")
        spool = self.folder / "spool"
        spool.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", spool]).returncode:
            self.skipTest("needs a small file system")
        self.addCleanup(subprocess.run, ["umount", spool])
        told = self.broken(self.stream("elf-6.12", "0"), "--spool", "spool", says=["than fit into the available room"])
        self.assertGreater(told["pages"]["lost"], 0)

    def test_what_cannot_be_received(self):
        self.run_cli("receive", code=USAGE)
        self.refused("receive", "missing/channel", says=["missing/channel"])
        self.refused("receive", "./", says=["./"])
        self.refused("receive", "vsock:99999999999", says=["vsock"])
        self.refused("receive", self.dump(), "-o", "out", says=[f"{self.dump()}: no guest's stream arrived"])
        self.refused("receive", "/dev/null", "-o", "out", says=["/dev/null: no guest's stream arrived, nor anything else"])
        stream = self.write(self.stream())
        for words in (["convert", stream, "out"], ["info", stream], ["dmesg", stream]):
            self.refused(*words, says=["vmcorectl receive FILE"])

    def test_a_name_that_is_taken_is_told_before_the_guest_crashes(self):
        self.write(b"mine", "out.dmesg")
        self.refused("receive", self.serve(lambda peer: peer.recv(1)), "-o", "out", says=["out.dmesg exists already"])

    def test_vsock_listens(self):
        with subprocess.Popen([VMCORECTL, "receive", "vsock:", "--wait", "1", "-o", "out"], cwd=self.folder,
                              stderr=subprocess.PIPE) as program:
            text = program.stderr.read().decode()
        self.assertEqual(program.returncode, FAILED)
        self.assertTrue("the guest sent nothing" in text or "no vsock" in text, text)


if __name__ == "__main__":
    main()
