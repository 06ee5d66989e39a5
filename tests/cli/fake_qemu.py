# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU that is only its monitor, and gives a dump file as the memory of its guest."""

import array
import json
import os
import socket
import struct
import sys
import threading
from pathlib import Path


UUID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


class FakeQemu:
    """Listens at `path`. `dump` is what dump-guest-memory writes; `cut` bytes of it, where that is given. What was done
    to the guest is in `deeds`: "dump-guest-memory", "system_reset", "cont", "quit". A guest that is not `running` has
    panicked."""

    ACTIONS = ("dump-guest-memory", "system_reset", "cont", "quit", "set-action")

    def __init__(self, path: Path, dump: Path, name: str = "vm1", cut: int = -1):
        self.dump, self.name, self.cut = dump, name, cut
        self.deeds, self.running = [], True
        self.status = None      # where that is neither "running" nor "guest-panicked"
        self.actions = {"reboot": "reset", "shutdown": "poweroff", "panic": "shutdown"}
        self.clients = 0        # that have connected
        self.fails = False      # dumps of it end with an error after their headers
        self.says_amid = []     # events, (name, data), that come while a dump goes on
        self.refuses = ()       # commands that are errors
        self.line = None
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.listener.close()
        try:
            self.line.shutdown(socket.SHUT_RDWR)
        except (AttributeError, OSError):   # nobody is connected
            pass

    def end(self) -> None:
        """Its process ends: nobody listens any more, and its connection closes. The file of the socket stays."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.line.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            with line:
                self._talk(line)

    def _talk(self, line: socket.socket) -> None:
        self.clients += 1
        self.line, self.fd = line, -1
        self._say({"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}})
        text = b""
        while True:
            try:
                got, fds, _, _ = socket.recv_fds(line, 65536, 1)
            except ConnectionResetError:    # by one that was killed
                return
            if not got:
                return
            self.fd = array.array("i", fds)[0] if fds else self.fd
            text = (text + got).split(b"\xff")[-1]    # which drops what came before
            try:
                command = json.loads(text)
            except ValueError:
                continue
            text = b""
            if command["execute"] in self.ACTIONS:
                self.deeds.append(command["execute"])
            if command["execute"] in self.refuses:
                self._say({"error": {"class": "GenericError", "desc": "it does not want to"}, "id": command.get("id")})
                continue
            if command["execute"] == "set-action":
                self.actions.update(command["arguments"])
            elif command["execute"] == "system_reset" and self.status:
                self.status = "prelaunch"
            elif command["execute"] == "cont":
                self.status = None
            answer = self._answer(command["execute"])
            self._say({"return": answer, "id": command.get("id")} if answer is not None else
                      {"error": {"class": "CommandNotFound", "desc": "not here"}, "id": command.get("id")})
            if command["execute"] == "dump-guest-memory":
                self._write_dump(command["arguments"])
            elif command["execute"] == "system_reset":
                self._event("RESET")
            elif command["execute"] == "quit":
                return

    def reset_by_guest(self) -> None:
        """The guest resets: QEMU does what its actions say."""
        if self.actions["reboot"] == "reset":
            self._event("RESET", guest=True, reason="guest-reset")
            return
        self.status = "shutdown"
        self._event("SHUTDOWN", guest=True, reason="guest-reset")

    def power_off_by_guest(self) -> None:
        """Of a QEMU whose action on it is "pause"."""
        self.status = "shutdown"
        self._event("SHUTDOWN", guest=True, reason="guest-shutdown")

    def _say(self, message: dict) -> None:
        try:
            self.line.sendall(json.dumps(message).encode() + b"\r\n")
        except OSError:
            pass

    def _event(self, name: str, **data) -> None:
        self._say({"event": name, "data": data, "timestamp": {"seconds": 1, "microseconds": 0}})

    def _answer(self, command: str):
        return {"query-name": {"name": self.name}, "query-uuid": {"UUID": UUID},
                "query-version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""},
                "query-memory-size-summary": {"base-memory": 64 << 20},
                "query-status": {"status": self.status or ("running" if self.running else "guest-panicked"),
                                 "running": self.running and not self.status},
                "query-dump": {"status": "none", "completed": 0, "total": 0}, "query-migrate": {},
                **dict.fromkeys(("qmp_capabilities", "getfd", "closefd", *self.ACTIONS), {})}.get(command)

    def _range(self, begin: int, length: int) -> bytes:
        """An ELF dump of that part of memory, as QEMU writes it."""
        contents = self.dump.read_bytes()
        header = bytearray(contents[:64])
        (table,) = struct.unpack_from("<Q", header, 32)
        (entries,) = struct.unpack_from("<H", header, 56)
        segments = [list(struct.unpack_from("<IIQQQQQQ", contents, table + 56 * i)) for i in range(entries)]
        struct.pack_into("<Q", header, 32, 64)
        parts = []
        for segment in segments:
            kind, _, offset, _, physical, size, _, _ = segment
            if kind == 4:
                parts.append((segment, contents[offset:offset + size]))
            elif kind == 1 and physical <= begin < physical + size:
                at = offset + begin - physical
                piece = contents[at:at + min(length, physical + size - begin)]
                parts.append(([kind, 0, 0, 0, begin, len(piece), len(piece), 0], piece))
        struct.pack_into("<H", header, 56, len(parts))
        at, table = 64 + 56 * len(parts), b""
        for segment, piece in parts:
            segment[2], at = at, at + len(piece)
            table += struct.pack("<IIQQQQQQ", *segment)
        return bytes(header) + table + b"".join(piece for _, piece in parts)

    def _write_dump(self, arguments: dict) -> None:
        if self.running:
            self._event("STOP")
        for name, data in self.says_amid:
            self._event(name, **data)
        contents = self._range(arguments["begin"], arguments["length"]) if "begin" in arguments else self.dump.read_bytes()
        error = {"error": "no memory"} if self.fails else {}
        with os.fdopen(self.fd, "wb") as pipe:
            try:
                pipe.write(contents[:self.cut] if self.cut >= 0 else contents)
                pipe.flush()
            except OSError as failure:
                error = {"error": str(failure)}
        self._event("DUMP_COMPLETED", result={"total": 1, "status": "completed", "completed": 1}, **error)
        if self.running:
            self._event("RESUME")


def main() -> None:
    """fake_qemu.py SOCKET DUMP WORD...: a process of its own, with QEMU's words on its command line. Each line of its
    standard input is a method without arguments, or nothing; then it prints how it is."""
    qemu = FakeQemu(Path(sys.argv[1]), Path(sys.argv[2]))
    for line in sys.stdin:
        if line.strip():
            getattr(qemu, line.strip())()
        print(json.dumps({"status": qemu.status, "actions": qemu.actions, "deeds": qemu.deeds}), flush=True)


if __name__ == "__main__":
    main()
