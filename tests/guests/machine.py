# SPDX-License-Identifier: GPL-2.0-or-later
"""A bare QEMU, which need not run a kernel: beside Guest, for what a guest is before and without one."""

import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

MEMORY_MIB = 256


class Machine:
    """A QEMU with two monitors: `qmp` for vmcorectl, `witness` for the test."""

    def __init__(self, *words):
        self.folder = Path(tempfile.mkdtemp(prefix="vmcorectl-32-"))
        self.qmp = self.folder / "qmp.sock"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-name", "old", "-accel", "tcg",
             "-m", f"{MEMORY_MIB}M", "-serial", f"file:{self.folder / 'console.log'}",
             "-qmp", f"unix:{self.qmp},server=on,wait=off",
             "-qmp", f"unix:{self.folder / 'witness.sock'},server=on,wait=off", *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_until(lambda: self.qmp.exists() and (self.folder / "witness.sock").exists(), 60)

    def wait_until(self, condition, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"QEMU: {self.process.poll()}: {self.console[-2000:]}")
            time.sleep(0.2)

    @property
    def console(self) -> str:
        log = self.folder / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def tell(self, command: str) -> None:
        """One command to its first monitor, which nobody else may have open."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(60)
            monitor.connect(str(self.qmp))
            lines = monitor.makefile("rw")
            lines.readline()    # the greeting
            for word in ("qmp_capabilities", command):
                lines.write(json.dumps({"execute": word}) + "\n")
                lines.flush()
                while "event" in json.loads(lines.readline()):
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        subprocess.run(["rm", "-r", self.folder], check=True)
