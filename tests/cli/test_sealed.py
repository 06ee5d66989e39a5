# SPDX-License-Identifier: GPL-2.0-or-later
"""receive of streams that are sealed to a key, from a file and over TCP; key."""

import json
import re
import socket
import subprocess
import threading
import time

from harness import FAILED, NOT_AS_ASKED, VMCORECTL, Cli, main
from test_receive import HEADER, MAKE_STREAM, frames_of, joined

SEALED_KEY, SEALED = 16, 17


class Sealed(Cli):
    def setUp(self):
        super().setUp()
        self.key = self.folder.with_name(self.folder.name + "-key")
        self.addCleanup(self.key.unlink)
        self.public = self.make_key(self.key)

    def make_key(self, path) -> str:
        said = self.run_cli("key", path).stdout.decode()
        self.assertTrue(re.fullmatch(r"encrypt-to = x25519:[0-9a-f]{64}\n", said), said)
        return said.split()[-1]

    def stream(self, kind="elf-6.12") -> bytes:
        out = self.dumps / f"sealed-{self.public[-8:]}"
        subprocess.run([MAKE_STREAM, self.dump(kind), out, "31", "tag", self.public], check=True)
        return out.read_bytes()

    def receive(self, data: bytes, *options, code=0) -> dict:
        (self.folder / "stream").write_bytes(data)
        done = self.run_cli("receive", "./stream", "-o", "out", "--force", "--key", self.key, "--output", "json", *options,
                            code=code)
        return json.loads(done.stdout)

    def test_the_key(self):
        self.assertEqual(self.key.stat().st_mode & 0o777, 0o600)
        text = self.key.read_bytes()
        self.assertEqual(self.make_key(self.key), self.public)      # told once more
        self.assertEqual(self.key.read_bytes(), text)
        self.assertIn(b"x25519-secret:", text)
        (self.folder / "none").write_bytes(b"nothing\n")
        self.refused("key", "none", says=["none: the file holds no secret key"])
        self.refused("key", "no/folder", says=["No such file"])

    def test_the_dump_is_that_of_the_guest(self):
        stream = self.stream()
        self.assertEqual({frame.kind for frame in frames_of(stream)}, {SEALED_KEY, SEALED})
        self.assertNotIn(b"Kernel panic", stream)
        told = self.receive(stream, "--verify")
        self.assertEqual((told["release"], told["incomplete"], told["guest"]["tag"]), ("6.12.0-test", False, "tag"))
        self.assertEqual(told["guest"]["panic"], "Kernel panic - not syncing: test")
        self.run_cli("convert", self.dump(), "direct")
        self.assertEqual(self.info("direct")["pages"]["in_file"], self.info("out")["pages"]["in_file"])

    def test_what_came_before_the_break_is_kept(self):
        frames = frames_of(self.stream())
        told = self.receive(joined(frames[:-2]), code=NOT_AS_ASKED)
        self.assertIn("cut off", "; ".join(remark["text"] for remark in told["remarks"]))
        spoilt = frames[-2].saying(bytes(frames[-2].size))      # its checksum is right
        told = self.receive(joined([*frames[:-2], spoilt, frames[-1]]), code=NOT_AS_ASKED)
        self.assertIn("a sealed piece was changed", "; ".join(remark["text"] for remark in told["remarks"]))
        self.assertGreater(told["pages"]["kept"] - told["pages"]["lost"], 0)
        self.assertTrue(self.info("out.incomplete")["incomplete"])

    def test_it_takes_its_key(self):
        (self.folder / "stream").write_bytes(self.stream())
        other = self.dumps / "other-key"
        self.make_key(other)
        self.refused("receive", "./stream", "-o", "out", "--key", other, says=["the stream is sealed to another key"])
        self.refused("receive", "./stream", "-o", "out", says=["the stream is sealed to a key", "--key"])
        self.refused("receive", "./stream", "-o", "out", "--key", "stream", says=["the file holds no secret key"])
        self.refused("receive", "./stream", "-o", "out", "--key", "none", says=["No such file"])
        subprocess.run([MAKE_STREAM, self.dump(), self.folder / "plain"], check=True)
        self.refused("receive", "./plain", "-o", "out", "--key", self.key, says=["the stream is not sealed"])

    def listening(self, *options):
        """receive on a port of this machine: the process, and the port."""
        holder = socket.socket()    # bound and not listening: nobody gets the port but who names it
        self.addCleanup(holder.close)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        program = subprocess.Popen([VMCORECTL, "receive", f"tcp:127.0.0.1:{port}", "-o", "out", "--key", self.key, *options],
                                   cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(program.kill)
        for _ in range(300):
            try:
                return program, port, socket.create_connection(("127.0.0.1", port), timeout=60)
            except ConnectionRefusedError:
                self.assertIsNone(program.poll())
                time.sleep(0.1)
        self.fail("it does not listen")

    def test_over_tcp(self):
        program, _, line = self.listening()
        with line:
            line.sendall(self.stream())
            self.assertEqual(line.recv(1), b"")     # it hangs up when it has all
        said = program.communicate(timeout=300)[1].decode()
        self.assertEqual(program.returncode, 0, said)
        self.assertIn("127.0.0.1: Kernel panic - not syncing: test", said)
        self.assertFalse(self.info("out")["incomplete"])

    def test_who_strays_there_does_no_harm(self):
        program, port, line = self.listening()
        line.close()
        with socket.create_connection(("127.0.0.1", port)) as stray:
            stray.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as stray:
            stray.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curious\r\n\r\n")
        said = program.stderr.readline().decode()
        self.assertIn("waiting for another", said)
        silent = socket.create_connection(("127.0.0.1", port))      # for as long as it is let
        self.addCleanup(silent.close)
        slow = socket.create_connection(("127.0.0.1", port))
        self.addCleanup(slow.close)
        slow.sendall(b"\xf1")
        stream, over = self.stream(), []

        def send():
            with socket.create_connection(("127.0.0.1", port), timeout=120) as guest:
                guest.sendall(stream)
                over.append(guest.recv(1))
        guest = threading.Thread(target=send)
        guest.start()
        said = program.communicate(timeout=300)[1].decode()
        guest.join()
        self.assertEqual((program.returncode, over), (0, [b""]), said)
        self.assertFalse(self.info("out")["incomplete"])

    def gets_in(self, port, program) -> None:
        """A genuine dump gets in beside these, which stay open for as long as they are let."""
        with socket.create_connection(("127.0.0.1", port), timeout=120) as guest:
            guest.sendall(self.stream())
            self.assertEqual(guest.recv(1), b"")
        said = program.communicate(timeout=300)[1].decode()
        self.assertEqual(program.returncode, 0, said)
        self.assertFalse(self.info("out")["incomplete"])

    def crowd(self, port, size, words) -> list:
        lines = []
        for number in range(size):
            lines.append(socket.create_connection(("127.0.0.1", port), timeout=60))
            self.addCleanup(lines[-1].close)
            try:
                lines[-1].sendall(words)
            except OSError:
                pass        # it was hung up on
        return lines

    def test_silent_ones_keep_no_guest_out(self):
        """Those that begin as a stream does, with a key even, and then say nothing more: 24 of them took 3 s each."""
        begin = frames_of(self.stream())[0].whole
        for size, words in ((24, begin), (200, begin), (24, begin[:47]), (200, begin + begin[:48])):
            with self.subTest(size=size, words=len(words)):
                program, port, line = self.listening("--force", "--wait", "60")
                lines = [line, *self.crowd(port, size, words)]
                self.gets_in(port, program)
                for each in lines:
                    each.close()

    def test_those_that_drip_keep_no_guest_out(self):
        begin, over = frames_of(self.stream())[0].whole, threading.Event()
        program, port, line = self.listening("--wait", "120")
        lines = self.crowd(port, 24, begin[:47])

        def drip():
            for byte in begin[47:]:
                for each in lines:
                    try:
                        each.sendall(bytes([byte]))
                    except OSError:
                        pass
                if over.wait(0.05):
                    return
        dripping = threading.Thread(target=drip)
        dripping.start()
        self.gets_in(port, program)
        line.close()
        over.set()
        dripping.join()

    def test_whoever_comes_too_late_is_hung_up_on(self):
        """One stream is taken; who connects meanwhile learns so, and may try another time."""
        frames = frames_of(self.stream())
        program, port, line = self.listening("--wait", "120")
        with socket.create_connection(("127.0.0.1", port), timeout=60) as guest:
            guest.sendall(joined(frames[:-1]))
            self.assertEqual(line.recv(1), b"")
            with self.assertRaises((ConnectionRefusedError, ConnectionResetError)):
                for _ in range(600):    # what listens is closed a moment later
                    socket.create_connection(("127.0.0.1", port), timeout=60).close()
                    time.sleep(0.1)
            guest.sendall(frames[-1].whole)
            self.assertEqual(guest.recv(1), b"")
        self.assertEqual(program.wait(timeout=300), 0, program.communicate()[1])

    def test_tcp_that_cannot_be(self):
        for address in ("tcp:", "tcp:x", "tcp:host:1", "tcp:1:", "tcp:[::1]"):
            self.refused("receive", address, "-o", "out", "--key", self.key, says=["give a port number"])
        self.refused("receive", "tcp:127.0.0.1:0", "-o", "out", says=["over TCP only sealed streams are accepted"])
        self.refused("receive", "tcp:192.0.2.1:30317", "-o", "out", "--key", self.key, says=["tcp:192.0.2.1:30317"])
        self.refused("receive", "tcp:127.0.0.1:0", "-o", "out", "--key", self.key, "--wait", "1",
                     says=["the guest sent nothing within 1 s"])


if __name__ == "__main__":
    main()
