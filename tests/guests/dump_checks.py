# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of `dump` share: running it, what it left behind, and whether it equals QEMU's own dump."""

import json
import re
import signal
import struct
import subprocess
import time
from pathlib import Path

from peers import bits, compare, schemas
from peers.kdumpfile import open_dump


def left_in(folder: Path) -> list:
    """Lines about files in a folder that should hold none, hidden ones too."""
    return [f"left behind: {path.name}" for path in sorted(Path(folder).iterdir())]


def pair_in(dump_file: Path, console: str) -> tuple:
    """(lock, first, second): the counters of the guest's pair (pair_cpu) as the dump has them."""
    seed = int(re.search(r"^PAIR ([0-9a-f]{16})", console, re.M).group(1), 16)
    dump, found = open_dump(str(dump_file)), {}
    for pfn in bits.members(dump.kept):
        page = dump.page(pfn)
        if struct.unpack_from("<Q", page)[0] == seed:
            _, number, count, lock = struct.unpack_from("<4Q", page)
            found[number] = (count, lock)
    return found[1][1], found[1][0], found[2][0]


# A busy host reads slowly, and most tests are about something else.
NO_LIMIT = ["--pause-limit", "none"]


def run_dump(program: list, words: list, seconds: float = 300):
    """(exit code, JSON or {}, standard error). Without a limit for the pause, unless the words have one."""
    limit = [] if "--pause-limit" in words else NO_LIMIT
    done = subprocess.run([*program, "dump", "--output", "json", *limit, *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=seconds)
    try:
        answer = json.loads(done.stdout)
        schemas.check(answer)
    except ValueError:
        answer = {}
    return done.returncode, answer, done.stderr.strip()


def expect(findings, what: str, pairs: list) -> bool:
    """`pairs`: (name, got, expected). Whether all is as expected."""
    return findings.check(what, [f"{name}: {got!r}, expected {expected!r}" for name, got, expected in pairs if got != expected])


def same_as_converted(vmcorectl, ours: Path, raw: Path, folder: Path, level: int = 31) -> list:
    """Lines about how our dump differs from QEMU's own of the same stopped guest after `convert`."""
    converted = folder / "converted"
    lines = vmcorectl.convert(raw, converted, level)
    if lines:
        return lines
    one, other = open_dump(str(ours)), open_dump(str(converted))
    lines = compare.page_sets(one.kept, other.kept) + compare.contents(one, other, one.kept & other.kept)
    converted.unlink()
    return lines


def handles(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal."""
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    return caught is not None and bool(int(caught[1], 16) >> number - 1 & 1)


def interrupt(command: list, signals: list, delay: float, watch=None):
    """Starts a command, sends it signals a tenth of a second apart; (exit code, seconds from the first to its end)."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not handles(process.pid, signals[-1]):
        time.sleep(0.01)    # its libraries are loaded
    time.sleep(delay)
    if watch:
        watch()
    started = time.monotonic()
    for number in signals:
        process.send_signal(number)
        time.sleep(0.1)
    code = process.wait(timeout=60)
    return code, time.monotonic() - started


SIGINT_TWICE = [signal.SIGINT, signal.SIGTERM]
