# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads a guest's stream (docs/formats/guest-stream.md) as the host got it: whole, in order, of one guest. For tests that
look at what the guest sent; what a host does with damaged ones is not its concern.

    stream = GuestStream(path)
    stream.hello["RELEASE"], stream.log, stream.kept, stream.page(pfn), stream.end
"""

import struct
from pathlib import Path

from peers import bits, codecs
from peers.kdumpfile import FormatError, parse_notes

PAGE = 4096
MAGIC = b"\xf1vmcore\x1c"
HELLO, LOG, FACTS, NOTES, REPLACE_NOTE, MAP, PAGES, END = range(1, 9)
HEADER = 48


def texts(payload: bytes) -> dict:
    """KEY -> value; of RAM, which comes often, a list."""
    values = {"RAM": []}
    for line in payload.decode().splitlines():
        key, _, value = line.partition("=")
        if key == "RAM":
            values["RAM"].append(tuple(int(part, 16) for part in value.split("-")))
        else:
            values[key] = value
    return values


class GuestStream:
    kind = "stream"

    def __init__(self, path):
        self.path = Path(path)
        self.data = self.path.read_bytes()
        self.hello, self.facts, self.end = {}, {}, {}
        self.log, self.notes, self.kinds = "", [], []
        self.kept = 0
        self._frames, self._cached = {}, (-1, b"")
        log, maps = [], []
        for number, (kind, at, size) in enumerate(self._all_frames()):
            payload = self.data[at:at + size]
            if not self.kinds or self.kinds[-1] != kind:
                self.kinds.append(kind)
            if kind == HELLO:
                self.hello = texts(payload)
            elif kind == LOG:
                log.append(payload)
            elif kind == FACTS:
                self.facts = texts(payload)
            elif kind == NOTES:
                self.notes += parse_notes(payload)
            elif kind == MAP:
                maps.append(payload)
            elif kind == PAGES:
                self._index(at, size)
            elif kind == END:
                self.end = texts(payload)
        self.log = b"".join(log).decode(errors="replace")
        for payload in maps:
            first, pages = struct.unpack_from("<QQ", payload)
            plain = payload[16:] if len(payload) - 16 == pages // 8 else codecs.zstd_page(payload[16:], pages // 8)
            self.kept |= bits.from_bytes(plain) << first

    def _all_frames(self):
        at = sequence = 0
        while at + HEADER <= len(self.data):
            magic, kind, size, number = struct.unpack_from("<8sIIQ", self.data, at)
            if magic != MAGIC or number != sequence or at + HEADER + size > len(self.data):
                raise FormatError(f"{self.path}: no frame {sequence} at {at:#x}")
            yield kind, at + HEADER, size
            at, sequence = at + HEADER + size, sequence + 1

    def _index(self, at: int, size: int) -> None:
        runs, _ = struct.unpack_from("<II", self.data, at)
        rank = 0
        for number in range(runs):
            first, count = struct.unpack_from("<QQ", self.data, at + 8 + 16 * number)
            for page in range(count):
                self._frames[first + page] = (at, size, rank + page)
            rank += count

    @property
    def sent(self) -> int:
        """The pages that came."""
        return bits.from_members(self._frames)

    def page(self, pfn: int) -> bytes:
        at, size, rank = self._frames[pfn]
        if self._cached[0] != at:
            runs, codec = struct.unpack_from("<II", self.data, at)
            pages = sum(struct.unpack_from("<QQ", self.data, at + 8 + 16 * number)[1] for number in range(runs))
            begin = at + 8 + 16 * runs
            self._cached = (at, codecs.decode(codec, self.data[begin:at + size], pages * PAGE))
        return self._cached[1][rank * PAGE:(rank + 1) * PAGE]
