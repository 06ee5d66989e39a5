#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Many QEMUs that are only their monitors: one process, one folder of sockets, one dump file as the memory of each guest.

    fleet = Fleet(folder, dump, 300); fleet.start()
    fleet.panic(["vm007", "vm008"])                     # GUEST_PANICKED, and the guest stands still

Run as a program it reads lines from standard input: `panic NAME...`, `state` (a line of JSON for each guest), `end`:

    fake_fleet.py FOLDER DUMP COUNT

A monitor serves one client, and answers what vmcorectl's method qmp asks: dumps of all memory, and of a range as QEMU
lays them out.
"""

import json
import os
import selectors
import socket
import struct
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# ELF-64 (elf.h): header, program header; PT_LOAD, PT_NOTE.
EHDR, PHDR = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
LOAD, NOTE = 1, 4
ALL = (0, 1 << 64)


# Of [guests]: the memory of each guest is dumped, however often it crashes.
EVERY_DUMP = 'signature-rate = 1000\nrepeat-window = "1s"'


def config(service: str = "", guests: str = EVERY_DUMP) -> str:
    """vmcored's for such guests, with the places {sockets} and {store}; `service` and `guests`: more lines of a section."""
    return f"""[service]
connect = []
qmp-folders = ["{{sockets}}"]
{service}
[store]
folder = "{{store}}"
keep-free-share = "0%"

[guests]
arm = true
after-crash = "restart"
guest-rate = 1000
{guests}
"""


class Memory:
    """A dump in ELF, as QEMU's dump-guest-memory writes it: whole, or a part of the guest's memory."""

    def __init__(self, path: Path):
        self.bytes = path.read_bytes()
        self.header = EHDR.unpack_from(self.bytes)
        place, number = self.header[5], self.header[10]
        segments = [PHDR.unpack_from(self.bytes, place + i * PHDR.size) for i in range(number)]
        self.notes = b"".join(self.bytes[s[2]:s[2] + s[5]] for s in segments if s[0] == NOTE)
        self.loads = [(s[4], s[2], s[5]) for s in segments if s[0] == LOAD]      # address, offset, size in the file

    def within(self, begin: int, end: int) -> list:
        """(address, offset, size) of what the file has of that range."""
        parts = []
        for address, offset, size in self.loads:
            first, last = max(begin, address), min(end, address + size)
            if first < last:
                parts.append((first, offset + first - address, last - first))
        return parts

    def dump(self, begin: int, end: int):
        """The pieces of an ELF file, one after another."""
        parts = self.within(begin, end)
        at = EHDR.size + PHDR.size * (1 + len(parts))
        headers = [PHDR.pack(NOTE, 0, at, 0, 0, len(self.notes), len(self.notes), 0)]
        at += len(self.notes)
        for address, _, size in parts:
            headers.append(PHDR.pack(LOAD, 0, at, 0, address, size, size, 0))
            at += size
        fields = list(self.header)
        fields[5], fields[6], fields[10], fields[11:] = EHDR.size, 0, len(headers), [0, 0, 0]
        yield EHDR.pack(*fields) + b"".join(headers) + self.notes
        for _, offset, size in parts:
            yield memoryview(self.bytes)[offset:offset + size]


class Guest:
    """One monitor. `deeds`: what was done to the guest, (seconds since the epoch, command)."""

    def __init__(self, fleet, name: str, path: Path):
        self.fleet, self.name = fleet, name
        self.uuid = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        self.status, self.deeds, self.clients = "running", [], 0
        self.line, self.fd, self.text = None, -1, ""
        self.saying = threading.Lock()      # a dump's end is told by its own thread
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.listener.bind(str(path))
        self.listener.listen()

    def describe(self) -> dict:
        return {"name": self.name, "status": self.status, "clients": self.clients, "deeds": self.deeds}

    def say(self, message: dict) -> None:
        with self.saying:
            if self.line:
                try:
                    self.line.sendall(json.dumps(message).encode() + b"\r\n")
                except OSError:
                    pass

    def tell(self, event: str, **data) -> None:
        now = time.time()
        stamp = {"seconds": int(now), "microseconds": int(now % 1 * 1e6)}
        self.say({"event": event, "data": data, "timestamp": stamp})

    def accept(self) -> None:
        self.line, _ = self.listener.accept()
        self.line.setblocking(True)
        self.text, self.clients = "", self.clients + 1
        self.fleet.selector.unregister(self.listener)       # until this client has gone
        self.fleet.selector.register(self.line, selectors.EVENT_READ, self.read)
        self.say({"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""}, "capabilities": []}})

    def hang_up(self) -> None:
        self.fleet.selector.unregister(self.line)
        with self.saying:
            self.line.close()
            self.line = None
        self.fleet.selector.register(self.listener, selectors.EVENT_READ, self.accept)

    def read(self) -> None:
        try:
            got, fds, _, _ = socket.recv_fds(self.line, 65536, 1)
        except OSError:
            got, fds = b"", []
        if fds:
            self.fd = fds[0]
        if not got:
            self.hang_up()
            return
        self.text += got.decode()
        while self.text.strip():
            try:
                command, end = json.JSONDecoder().raw_decode(self.text.lstrip())
            except ValueError:
                return
            self.text = self.text.lstrip()[end:]
            self.obey(command)

    def obey(self, command: dict) -> None:
        name, arguments, number = command["execute"], command.get("arguments", {}), command.get("id")
        if name in ("dump-guest-memory", "system_reset", "cont", "stop", "quit", "set-action", "inject-nmi"):
            self.deeds.append((time.time(), name))
        answer = self.answer(name)
        self.say({"return": answer, "id": number} if answer is not None else
                 {"error": {"class": "CommandNotFound", "desc": "The command has not been found"}, "id": number})
        if name == "dump-guest-memory":
            begin = arguments.get("begin", 0)
            end = begin + arguments["length"] if "length" in arguments else ALL[1]
            fd, self.fd = self.fd, -1
            self.fleet.writers.submit(self.dump, fd, begin, end)
        elif name == "system_reset":
            self.status = "prelaunch" if self.status != "running" else "running"
            self.tell("RESET", guest=False, reason="host-qmp-system-reset")
        elif name == "cont":
            self.status = "running"
            self.tell("RESUME")
        elif name == "stop":
            self.status = "paused"
            self.tell("STOP")

    def answer(self, command: str):
        running = self.status == "running"
        return {"query-name": {"name": self.name}, "query-uuid": {"UUID": self.uuid},
                "query-version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""},
                "query-memory-size-summary": {"base-memory": self.fleet.memory.loads[-1][0] + self.fleet.memory.loads[-1][2]},
                "query-status": {"status": self.status, "running": running, "singlestep": False},
                "query-dump": {"status": "none", "completed": 0, "total": 0}, "query-migrate": {},
                **dict.fromkeys(("qmp_capabilities", "getfd", "closefd", "dump-guest-memory", "system_reset", "cont", "stop",
                                 "quit", "set-action", "inject-nmi"), {})}.get(command)

    def dump(self, fd: int, begin: int, end: int) -> None:
        ran = self.status == "running"
        if ran:
            self.tell("STOP")
        error = {}
        try:
            with os.fdopen(fd, "wb", buffering=0) as pipe:
                for piece in self.fleet.memory.dump(begin, end):
                    view = memoryview(piece)
                    while view:
                        view = view[pipe.write(view):]
        except OSError as failure:
            error = {"error": str(failure)}
        self.tell("DUMP_COMPLETED", result={"total": 1, "status": "failed" if error else "completed", "completed": 1}, **error)
        if ran:
            self.tell("RESUME")

    def panic(self) -> None:
        self.status = "guest-panicked"
        self.deeds.append((time.time(), "panic"))
        self.tell("GUEST_PANICKED", action="pause")
        self.tell("STOP")


class Fleet:
    """`guests` by name: vm000, vm001 ..., each with its monitor at FOLDER/NAME.qmp."""

    def __init__(self, folder: Path, dump: Path, count: int):
        self.memory = Memory(dump)
        self.selector = selectors.DefaultSelector()
        self.writers = ThreadPoolExecutor(64)
        self.guests = {}
        for i in range(count):
            name = f"vm{i:03}"
            self.guests[name] = guest = Guest(self, name, folder / f"{name}.qmp")
            self.selector.register(guest.listener, selectors.EVENT_READ, guest.accept)

    def start(self) -> None:
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            for key, _ in self.selector.select():
                key.data()

    def panic(self, names) -> None:
        for name in names:
            self.guests[name].panic()


def main() -> None:
    folder, dump, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    fleet = Fleet(folder, dump, count)
    fleet.start()
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["panic"]:
            fleet.panic(words[1:])
        elif words == ["state"]:
            for guest in fleet.guests.values():
                print(json.dumps(guest.describe()), flush=True)
        elif words == ["end"]:
            break


if __name__ == "__main__":
    main()
