# SPDX-License-Identifier: GPL-2.0-or-later
"""A user's fake of a QEMU: `deputy_liar.py SOCKET VICTIM [ARGUMENT]` serves a monitor at SOCKET, behind which the kernel
sees the process that runs VICTIM, a set-uid program that tells where its memory lies."""

import array
import contextlib
import json
import os
import socket
import struct
import sys
import time

BEGIN, SIZE = 1 << 20, 1 << 20          # of the RAM that the liar claims
HEADER = 65536


def elf() -> bytes:
    """The beginning of a dump: a PT_LOAD of the claimed RAM."""
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    registers = struct.pack("<III5sxxx336x", 5, 336, 1, b"CORE")
    note = struct.pack("<IIQQQQQQ", 4, 0, 64 + 2 * 56, 0, 0, len(registers), len(registers), 0)
    load = struct.pack("<IIQQQQQQ", 1, 0, HEADER, 0, BEGIN, SIZE, SIZE, 0)
    return (header + note + load + registers).ljust(HEADER, b"\0")


class Liar:
    """QEMU of a guest that runs, with all of its memory where the victim has its secret."""

    def __init__(self, pid: int, address: int):
        self.pid, self.address, self.file = pid, address, None

    def people(self, line: str) -> str:
        if line.startswith("gpa2hva "):
            at = int(line.split()[1], 16)
            return f"Host virtual address for {at:#x} (pc.ram) is {self.address + (at - BEGIN) % SIZE:#x}\r\n"
        if line.startswith("xp/"):
            at = int(line.split()[1], 16)
            words = int(line.split()[0][3:-2])
            return "".join(f"{at + 8 * i:016x}: 0x{0x41:016x} 0x{0x42:016x}\r\n" for i in range(0, words, 2))
        if line.startswith("info mtree"):
            return ('FlatView #0\r\n AS "memory", root: system\r\n'
                    f"  {BEGIN:016x}-{BEGIN + SIZE - 1:016x} (prio 0, ram): pc.ram\r\n")
        return ""

    def answer(self, name: str, words: dict):
        if name == "human-monitor-command":
            return self.people(words["command-line"])
        if name == "dump-guest-memory":
            with contextlib.suppress(OSError), os.fdopen(self.file, "wb") as file:
                file.write(elf())
        return {"query-name": {"name": "liar"}, "query-status": {"status": "paused", "running": False},
                "query-memory-size-summary": {"base-memory": SIZE, "plugged-memory": 0},
                "query-memdev": [{"id": "pc.ram", "size": SIZE, "share": False}], "query-memory-devices": [],
                "query-dump": {"status": "none", "completed": 0, "total": 0}, "query-migrate": {},
                "query-cpus-fast": [{"thread-id": self.pid, "cpu-index": 0}]}.get(name, {})

    def serve(self, client) -> None:
        client.sendall(b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}\r\n')
        text = b""
        while True:
            data, control, _, _ = client.recvmsg(1 << 16, socket.CMSG_SPACE(16))
            if not data:
                return
            for _, _, content in control:
                self.file = array.array("i", content)[0]
            text += data
            while b"\n" in text or text.strip().endswith(b"}"):
                line, _, text = text.partition(b"\n")
                if not line.strip():
                    continue
                command = json.loads(line)
                value = self.answer(command["execute"], command.get("arguments", {}))
                reply = {"return": value, "id": command.get("id")}
                client.sendall(json.dumps({k: v for k, v in reply.items() if v is not None}).encode() + b"\r\n")
                if command["execute"] == "dump-guest-memory":
                    event = {"event": "DUMP_COMPLETED", "data": {"result": {}, "error": "Broken pipe"},
                             "timestamp": {"seconds": int(time.time()), "microseconds": 0}}
                    client.sendall(json.dumps(event).encode() + b"\r\n")


def lie(path: str, victim: str, *argument: str) -> None:
    """Whoever listened is whom the kernel names: so it listens, and becomes the victim; its child serves."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.set_inheritable(True)
    told, telling = os.pipe()
    pid = os.getpid()
    if os.fork() != 0:
        os.dup2(telling, 1)
        os.execv(victim, [victim, *argument])
    address = int(os.read(told, 64).decode(), 16)
    print("ready", flush=True)
    while True:
        client, _ = listener.accept()
        with client:
            with contextlib.suppress(OSError):
                Liar(pid, address).serve(client)


if __name__ == "__main__":
    lie(*sys.argv[1:])
