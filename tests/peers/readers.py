#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Opens a dump with every reader that users have: crash, drgn, libkdumpfile and makedumpfile, and returns what they say.

crash is trixie's 8.0.6 for both kernels: 8.0.2 of bookworm finds 3 tasks in a current 6.1, filtered or not.

    readers.py DUMP KERNEL     all of them, KERNEL being 6.1 or 6.12 (its vmlinux is fetched: large)

Each function raises ReaderError where the reader refuses the dump or complains. What names the file or is
known to differ without meaning (the dump's path, "PARTIAL DUMP") is taken out, so that outputs can be compared.
"""

import re
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.cache import cache_dir
from guests.kernels import Kernel, fetch_debuginfo, kernel
from peers import tools

CRASH_COMMANDS = ("sys", "bt -a", "log", "ps", "foreach bt", "mod", "files", "kmem -i", "kmem -s")

DRGN_SCRIPT = """
from drgn.helpers.linux.pid import for_each_task
print("release", prog["init_uts_ns"].name.release.string_().decode())
for task in sorted(for_each_task(prog), key=lambda task: task.pid.value_()):
    print(task.pid.value_(), task.comm.string_().decode())
try:
    print(prog.crashed_thread().stack_trace())
except Exception as error:
    print("no crashed thread:", type(error).__name__)
"""

KDUMPFILE_SCRIPT = """
import sys, addrxlat, kdumpfile
dump = kdumpfile.kdumpfile(sys.argv[1])
dump.attr["addrxlat.ostype"] = "linux"
for name in ("arch.name", "arch.page_size", "linux.vmcoreinfo.lines.OSRELEASE", "linux.vmcoreinfo.lines.PAGESIZE"):
    print(name, dump.attr[name])
root = int(dump.attr["linux.vmcoreinfo.lines.SYMBOL(init_uts_ns)"], 16)
print(dump.read(addrxlat.KVADDR, root, 400).hex())
"""


class ReaderError(Exception):
    pass


def checked(name: str, *words, seconds: float = 300):
    done = tools.run(name, *words, seconds=seconds)
    if done.returncode != 0:
        raise ReaderError(f"{name} {' '.join(map(str, words))}: exit {done.returncode}\n"
                          f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done


def script(text: str):
    """A file that holds the text, for readers that take commands from a file."""
    file = tempfile.NamedTemporaryFile("w", dir=cache_dir("scratch"), suffix=".txt")
    file.write(text)
    file.flush()
    return file


def crash(dump, of: Kernel, commands=CRASH_COMMANDS) -> dict:
    """command -> its output, in one session."""
    with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as folder:
        outputs = {command: Path(folder) / str(number) for number, command in enumerate(commands)}
        session = Path(folder) / "session"
        session.write_text("".join(f"{command} > {output}\n" for command, output in outputs.items()) + "quit\n")
        done = checked("crash", "-s", "-i", session, fetch_debuginfo(of), dump)
        texts = {command: normalised(output.read_text(errors="replace")) if output.exists() else ""
                 for command, output in outputs.items()}
    missing = [command for command, text in texts.items() if not text.strip()]
    if missing:
        raise ReaderError(f"crash {dump}: nothing from {', '.join(missing)}\n{done.stdout[-2000:]}{done.stderr}")
    return texts


def crash_log(dump, of: Kernel, name: str = "crash") -> str:
    """The kernel log by crash's minimal mode, which starts quickly."""
    with script("log\nquit\n") as file:
        done = checked(name, "-s", "--minimal", "-i", file.name, fetch_debuginfo(of), dump)
    start = done.stdout.find("[    0.0")
    if start < 0:
        raise ReaderError(f"crash --minimal {dump}: no log\n{done.stdout[-2000:]}{done.stderr}")
    return done.stdout[start:]


def normalised(text: str) -> str:
    """The output without what names the file."""
    return re.sub(r"^ *DUMPFILE: .*$", "DUMPFILE", text, flags=re.M)


def drgn(dump, of: Kernel, name: str = "drgn") -> str:
    """Release, all tasks and the crashed thread's stack, by drgn's default way of opening."""
    with script(DRGN_SCRIPT) as file:
        return without_user_frames(checked(name, "-m", "drgn", "-c", dump, "-s", fetch_debuginfo(of), file.name).stdout)


def without_user_frames(text: str) -> str:
    """A stack ends where user space begins: what follows is read from the user's own stack, which a filter takes away."""
    return re.split(r"^#\d+ +0x(?!ffff)[0-9a-f]+$", text, flags=re.M)[0]


def libkdumpfile(dump) -> str:
    """What libkdumpfile says the dump is, and the kernel's init_uts_ns read through its page tables."""
    with script(KDUMPFILE_SCRIPT) as file:
        return checked("libkdumpfile", file.name, dump).stdout


def makedumpfile_log(dump, name: str = "makedumpfile") -> str:
    """The kernel log by makedumpfile --dump-dmesg, which needs the note only."""
    with tempfile.TemporaryDirectory(dir=cache_dir("scratch")) as folder:
        log = Path(folder) / "dmesg"
        checked(name, "--dump-dmesg", dump, log)
        return log.read_text(errors="replace")


def makedumpfile_refilter(dump, out, level: int = 31) -> Path:
    """makedumpfile reads the dump and filters it again."""
    checked("makedumpfile", "-l", "-d", level, dump, out)
    return Path(out)


def main() -> int:
    dump, of = sys.argv[1], kernel(sys.argv[2])
    for command, output in crash(dump, of).items():
        print(f"--- crash: {command}\n{output}")
    print(f"--- drgn\n{drgn(dump, of)}")
    print(f"--- libkdumpfile\n{libkdumpfile(dump)}")
    print(f"--- makedumpfile --dump-dmesg\n{makedumpfile_log(dump)[-600:]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
