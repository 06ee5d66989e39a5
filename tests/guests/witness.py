# SPDX-License-Identifier: GPL-2.0-or-later
"""A second monitor of a guest, which sees it stop and run."""

import json
import socket
import threading
import time
from pathlib import Path


class Witness:
    """Listens on a monitor of its own; how long the guest stood still since the last question. Keeps the events `names`."""

    def __init__(self, path: Path, names: tuple = ("STOP", "RESUME")):
        self.names = names
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.events = []
        self.seen = []      # names of the events at the last question
        lines = self.socket.makefile("rw")
        lines.readline()
        lines.write('{"execute": "qmp_capabilities"}\n')
        lines.flush()
        threading.Thread(target=self._listen, args=(lines,), daemon=True).start()

    def _listen(self, lines) -> None:
        for line in lines:
            message = json.loads(line)
            if message.get("event") in self.names:
                stamp = message["timestamp"]
                self.events.append((message["event"], stamp["seconds"] + stamp["microseconds"] / 1e6))

    def close(self) -> None:
        """The monitor serves one client at a time: now another may come."""
        self.socket.shutdown(socket.SHUT_RDWR)

    def wait_for_stop(self, seconds: float) -> bool:
        """Since the last question."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(name == "STOP" for name, _ in self.events):
                return True
            time.sleep(0.001)
        return False

    def paused(self) -> float:
        time.sleep(0.3)     # events may be under way
        events, self.events = self.events, []
        self.seen = [name for name, _ in events]
        total, since = 0.0, None
        for name, when in events:
            if name == "STOP":
                since = when
            elif since is not None:
                total, since = total + when - since, None
        return total


def blockers(query) -> list:
    lines = [f"blocker: {reason}" for reason in query("query-migrate").get("blocked-reasons", [])]
    return lines + (["a dump is active"] if query("query-dump")["status"] == "active" else [])
