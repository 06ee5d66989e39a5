#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""PanicEvents (src/acquire/crash/panic_events.h) of a real libvirt, embedded and with a daemon, and of a monitor: what was
there, a panic, a reset, the end of the guest, the loss of the connection. No domain is tainted by it."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.guest import Config, Guest
from guests.harness import run_test
from guests.libvirt_rig import LibvirtRig, available, daemon_program


def program(vmcorectl) -> Path:
    return Path(vmcorectl.path).with_name("guest_events")


class Stream:
    """The lines of guest_events."""

    def __init__(self, command: list):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        text=True)
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(line.split(maxsplit=4))

    def wait_for(self, kind: str, seconds: float = 60) -> list:
        """The line, or nothing; it and those before are taken."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for number, line in enumerate(self.lines):
                if line[0] == kind:
                    del self.lines[:number + 1]
                    return line
            time.sleep(0.05)
        return []

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def check(findings, what: str, conditions: dict, stream: Stream) -> None:
    lines = [name for name, met in conditions.items() if not met]
    findings.check(what, lines and [*lines, *map(" ".join, stream.lines)])


def of_domain(vmcorectl, kind: str, findings) -> None:
    with LibvirtRig(kind) as rig:
        own = rig.folder / "bin"
        own.mkdir(mode=0o755)
        shutil.copy(program(vmcorectl), own / "guest_events")
        stream = Stream(rig.command(own / "guest_events", rig.uri))
        found = stream.wait_for("started")
        check(findings, f"{kind}: what was there", {"named": found[1:2] == [rig.name], "found": found[3:4] == ["found"]}, stream)
        rig.panic()
        panicked = stream.wait_for("panicked")
        print(f"  {kind}: {found} {panicked}", flush=True)
        check(findings, f"{kind}: a panic", {"now": panicked[3:4] == ["now"], "named": panicked[1:2] == [rig.name],
                                             "QEMU's words": '"action"' in panicked[-1]}, stream)
        if kind != "embed":     # which one process at a time can use
            again = Stream(rig.command(own / "guest_events", rig.uri))
            crashed = again.wait_for("panicked")
            check(findings, f"{kind}: a guest that had crashed", {"found": crashed[3:4] == ["found"]}, again)
            again.close()
        rig.qmp("system_reset")
        check(findings, f"{kind}: a reset", {"told": bool(stream.wait_for("reset"))}, stream)
        check(findings, f"{kind}: no second panic", {"none": all(line[0] != "panicked" for line in stream.lines)}, stream)
        if kind == "embed":
            rig.qmp("quit")
            check(findings, f"{kind}: the end of the guest", {"told": bool(stream.wait_for("stopped"))}, stream)
        else:
            rig.restart_daemon()
            check(findings, f"{kind}: the daemon ends", {"told": bool(stream.wait_for("connection-lost"))}, stream)
        stream.close()
        findings.check(f"{kind}: not tainted by commands", [line for line in rig.taints() if "custom-monitor" in line])


def of_monitor(vmcorectl, findings) -> None:
    with Guest(Config(name="events", words=("-action", "reboot=reset"))) as guest:
        stream = Stream([program(vmcorectl), "--qmp", guest.folder / "witness.sock"])
        found = stream.wait_for("started")
        guest.panic()
        panicked = stream.wait_for("panicked")
        print(f"  monitor: {found} {panicked}", flush=True)
        check(findings, "monitor: a panic", {"named": panicked[1:2] == ["events"], "now": panicked[3:4] == ["now"],
                                             "QEMU's words": "pause" in panicked[-1]}, stream)
        guest.qmp("system_reset")
        check(findings, "monitor: a reset", {"told": bool(stream.wait_for("reset"))}, stream)
        guest.qmp("quit")
        check(findings, "monitor: QEMU ends", {"told": bool(stream.wait_for("connection-lost"))}, stream)
        stream.close()


def main_test(vmcorectl, _guests, findings) -> None:
    of_monitor(vmcorectl, findings)
    if not available():
        findings.skip("events of libvirt", "no libvirt with its QEMU driver")
        return
    of_domain(vmcorectl, "embed", findings)
    if daemon_program("session"):
        of_domain(vmcorectl, "session", findings)
    else:
        findings.skip("events of a daemon", "no libvirtd")


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
