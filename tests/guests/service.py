# SPDX-License-Identifier: GPL-2.0-or-later
"""The end of a service that runs vmcorectl as its job: it holds the guest's monitor, and lends it (docs/jobs.md)."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

from peers import schemas


class Monitor:
    """A QMP connection that is kept."""

    def __init__(self, path: Path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.rest, self.events = b"", []
        self._message()
        self.ask("qmp_capabilities")

    def _message(self) -> dict:
        while b"\n" not in self.rest:
            got = self.socket.recv(65536)
            if not got:
                raise EOFError("QEMU closed the monitor")
            self.rest += got
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def ask(self, command: str, **arguments):
        """The answer; events that come before it are in `events`."""
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments, "id": "service"}).encode() + b"\n")
        while True:
            message = self._message()
            if "event" in message:
                self.events.append(message["event"])
            elif "error" in message:
                raise RuntimeError(f"{command}: {message['error']['desc']}")
            else:
                return message["return"]

    def settle(self) -> None:
        """No message is half read."""
        assert not self.rest, self.rest

    def close(self) -> None:
        self.socket.close()


class Job:
    """A job process: `events` with the seconds since its start, `code`, `text` that it printed."""

    def __init__(self, program: str, *words, lend: Monitor = None, on_event=None):
        ours, theirs = os.pipe()
        lent = []
        if lend:
            lend.settle()
            lent = [lend.socket.fileno()]
            words = (*words, "--monitor-fd", lent[0])
        started = time.monotonic()
        process = subprocess.Popen([program, *map(str, words), "--report-fd", str(theirs)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=(theirs, *lent), text=True)
        os.close(theirs)
        self.events = []
        with os.fdopen(ours) as lines:
            for line in lines:
                event = json.loads(line)
                schemas.check(event)
                self.events.append((time.monotonic() - started, event))
                if on_event:
                    on_event(event)
        self.text = process.stderr.read()
        process.stderr.close()
        self.code = process.wait(60)

    def of(self, name: str) -> list:
        return [event for _, event in self.events if event["event"] == name]

    def when(self, name: str) -> float:
        """Seconds until the first of them; -1 if there is none."""
        return next((seconds for seconds, event in self.events if event["event"] == name), -1)
