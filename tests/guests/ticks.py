# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a program in the guest stands still, as the host sees it: it counts in memory (workload.c, tick=CPU), and the
host watches the count. The guest's own clocks would not do: QEMU stops them with the guest.
"""

import os
import re
import threading
import time

from guests.guest import Guest

POLL_SECONDS = 0.0002


class Ticks:
    """with Ticks(guest) as ticks: ...; then ticks.longest: the longest time in seconds without a change, too long by
    one look at most, and by what the host keeps the guest or this thread waiting."""

    def __init__(self, guest: Guest):
        physical = re.search(r"^TICKS (\w+)", guest.console, re.M).group(1)
        text = guest.qmp("human-monitor-command", **{"command-line": f"gpa2hva 0x{physical}"})
        self.address = int(re.search(r" is (0x\w+)", text).group(1), 16)
        self.pid = guest.pid

    def __enter__(self):
        self.longest, self.ended = 0.0, threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _watch(self) -> None:
        memory = os.open(f"/proc/{self.pid}/mem", os.O_RDONLY)
        last, since = b"", time.monotonic()
        while not self.ended.is_set():
            value, now = os.pread(memory, 8, self.address), time.monotonic()
            if value != last:
                self.longest, last, since = max(self.longest, now - since), value, now
            time.sleep(POLL_SECONDS)
        self.longest = max(self.longest, time.monotonic() - since)     # it may stand still yet
        os.close(memory)
