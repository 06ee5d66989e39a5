# SPDX-License-Identifier: GPL-2.0-or-later
"""What others do to a guest while it is dumped, and how the guest may then stand.

An action is done at once and returns an Outcome. States are QEMU's own names; "gone": there is no QEMU any more.
"""

import json
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from guests.guest import Guest, GuestError
from guests.libvirt_rig import LibvirtRig
from guests.processes import processes, role

LIMIT = 60      # seconds that anything may take: libvirt waits 30 for another's job by itself
# What QEMU calls a guest that was reset: one that stood still waits as a new one does.
RESET_STATE = {"running": "running", "paused": "prelaunch"}


@dataclass
class Outcome:
    done: str               # for the line of the trial
    states: set             # one of which the guest is in when all is over
    killed: bool = False    # vmcorectl itself


class PlainGuest:
    """A guest of QEMU that comes back from a saved state when it is gone. `ask` goes by the second monitor."""

    def __init__(self, guest: Guest):
        self.guest, self.saved = guest, guest.folder / "state"
        self.arguments = guest.process.args
        self.was_reset = False      # and boots
        self.ask("migrate", uri=f"exec:cat >{self.saved}")
        self._settled_migration()

    def ask(self, command: str, **arguments) -> dict:
        """QEMU's reply; ConnectionError where QEMU is no more."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(LIMIT)
            monitor.connect(str(self.guest.folder / "witness.sock"))
            lines = monitor.makefile("rw")
            lines.readline()
            for name, words in (("qmp_capabilities", {}), (command, arguments)):
                lines.write(json.dumps({"execute": name, "arguments": words}) + "\n")
                lines.flush()
                reply = next((reply for reply in map(json.loads, lines) if "event" not in reply), None)
                if reply is None:
                    raise ConnectionResetError(f"{name}: QEMU is gone")
            return reply

    def query(self, command: str):
        return self.ask(command)["return"]

    def state(self) -> str:
        try:
            return self.query("query-status")["status"]
        except (ConnectionError, FileNotFoundError):
            return "gone"

    def held(self) -> list:
        return []

    def taints(self) -> set:
        return set()

    def bring(self, state: str) -> None:
        """Into "running" or "paused", from whatever the last trial left."""
        if self.was_reset or self.state() not in ("running", "paused"):
            self._revive()
            self.was_reset = False
        self.ask("cont" if state == "running" else "stop")

    def _revive(self) -> None:
        self.guest.process.kill()
        self.guest.process.wait()
        with open(self.guest.folder / "qemu.log", "ab") as log:
            self.guest.process = subprocess.Popen([*self.arguments, "-incoming", f"exec:cat {self.saved}"],
                                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + LIMIT
        while self.state() != "running":
            if time.monotonic() > deadline:
                raise GuestError("the guest does not come back: " + (self.guest.folder / "qemu.log").read_text())
            time.sleep(0.05)
        # -no-reboot, which the guest was started with, would make a reset the end of QEMU
        self.ask("set-action", reboot="reset")

    def _settled_migration(self) -> str:
        deadline = time.monotonic() + LIMIT
        while (status := self.query("query-migrate").get("status")) not in ("completed", "failed", None):
            if time.monotonic() > deadline:
                raise GuestError(f"a migration hangs: {status}")
            time.sleep(0.05)
        return status

    def stop(self, found: str) -> Outcome:
        text = said(self.ask("stop"))       # refused while a dump of QEMU's own is active
        return Outcome(text, {"paused"} if text == "done" else {found})

    def stop_cont(self, found: str) -> Outcome:
        self.ask("stop")
        time.sleep(0.05)
        text = said(self.ask("cont"))       # refused then, too
        return Outcome(text, {"running"} if text == "done" else {found, "paused"})

    def reset(self, found: str) -> Outcome:
        """While a dump of its own holds a guest that ran, QEMU aborts: save-vm does not lead to prelaunch in its table
        of states (softmmu/runstate.c of 7.2), whoever it is that dumps."""
        self.was_reset = True
        log = self.guest.folder / "qemu.log"
        before = log.stat().st_size
        try:
            text = said(self.ask("system_reset"))
            self.guest.process.wait(timeout=0.3)
        except subprocess.TimeoutExpired:
            return Outcome(text, {found, RESET_STATE[found]})
        except ConnectionError:
            self.guest.process.wait(timeout=LIMIT)
        aborted = b"invalid runstate transition: 'save-vm' -> 'prelaunch'" in log.read_bytes()[before:]
        return Outcome("QEMU aborts", {"gone"}) if aborted else Outcome("QEMU ended", {found})

    def migrate(self, found: str) -> Outcome:
        reply = self.ask("migrate", uri="exec:cat >/dev/null")
        if "error" in reply:
            return Outcome("refused", {found})
        status = self._settled_migration()
        return Outcome(str(status), {"postmigrate"} if status == "completed" else {found})

    def quit(self, _) -> Outcome:
        return Outcome(said(self.ask("quit")), {"gone"})

    def actions(self) -> list:
        return [self.stop, self.stop_cont, self.migrate, self.reset, self.quit]


class LibvirtGuest:
    """A domain of a session daemon that comes back from a saved state when it is gone."""

    def __init__(self, rig: LibvirtRig):
        self.rig, self.saved = rig, rig.folder / "home/state"
        definition = rig.folder / "home/definition.xml"
        definition.write_text(rig.virsh("dumpxml", "--inactive", rig.name))
        rig.own(definition)
        rig.virsh("define", definition)      # managedsave takes no transient domain
        self.was_reset = False      # and boots
        rig.virsh("save", rig.name, self.saved)
        rig.virsh("restore", self.saved)

    def virsh(self, *words) -> tuple:
        """(whether it was done, what virsh said of it in a line)."""
        done = subprocess.run(self.rig.command("virsh", "-q", "-c", self.rig.uri, *words), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=LIMIT)
        return done.returncode == 0, "done" if done.returncode == 0 else "refused"

    def query(self, command: str):
        return self.rig.qmp(command)

    def state(self) -> str:
        try:
            return self.rig.status()
        except (OSError, StopIteration, ValueError):
            return "gone"

    def held(self) -> list:
        """Jobs, and a libvirt that sees another state than QEMU's."""
        state = self.state()
        seen = self.rig.virsh("domstate", self.rig.name)
        expected = {"gone": "shut off", "prelaunch": "paused"}.get(state, state)
        lines = [] if seen == expected else [f"libvirt says {seen}, QEMU {state}"]
        job = self.rig.virsh("domjobinfo", self.rig.name) if seen != "shut off" else "None"
        return lines + ([] if "None" in job else [f"job: {job}"])

    def taints(self) -> set:
        return {line.split("tainted:")[1] for line in self.rig.taints()}

    def bring(self, state: str) -> None:
        if self.was_reset or self.state() not in ("running", "paused"):
            self.virsh("destroy", self.rig.name)
            self.virsh("managedsave-remove", self.rig.name)
            self.rig.virsh("restore", self.saved)
            self.was_reset = False
        if self.state() != state:
            self.rig.virsh("resume" if state == "running" else "suspend", self.rig.name)

    def daemon(self, found: str) -> Outcome:
        """Stopped and started again, as for an upgrade."""
        return Outcome(f"ended {self.rig.restart_daemon()}", {found})

    def suspend(self, found: str) -> Outcome:
        return Outcome(self.virsh("suspend", self.rig.name)[1], {found, "paused"})

    def suspend_resume(self, found: str) -> Outcome:
        self.virsh("suspend", self.rig.name)
        done, text = self.virsh("resume", self.rig.name)
        return Outcome(text, {"running"} if done else {found, "paused"})

    def reset(self, found: str) -> Outcome:
        self.was_reset = True
        return Outcome(self.virsh("reset", self.rig.name)[1], {found, RESET_STATE[found]})

    def migrate(self, found: str) -> Outcome:
        """To this same host, which libvirt refuses."""
        return Outcome(self.virsh("migrate", "--live", self.rig.name, self.rig.uri)[1], {found})

    def dump(self, found: str) -> Outcome:
        # It stops the guest itself, which vmcorectl may see.
        second = self.rig.folder / "home/second"
        text = self.virsh("dump", "--memory-only", self.rig.name, second)[1]
        second.unlink(missing_ok=True)
        return Outcome(text, {found})

    def save(self, found: str) -> Outcome:
        other = self.rig.folder / "home/other"
        done, text = self.virsh("save", self.rig.name, other)
        other.unlink(missing_ok=True)
        return Outcome(text, {"gone"} if done else {found})

    def managedsave(self, found: str) -> Outcome:
        done, text = self.virsh("managedsave", self.rig.name)
        return Outcome(text, {"gone"} if done else {found})

    def destroy(self, found: str) -> Outcome:
        done, text = self.virsh("destroy", self.rig.name)
        return Outcome(text, {"gone"} if done else {found})

    def actions(self) -> list:
        return [self.daemon, self.suspend, self.suspend_resume, self.migrate, self.dump, self.save, self.managedsave,
                self.reset, self.destroy]


def said(reply: dict) -> str:
    return "refused" if "error" in reply else "done"


def kill_largest(vmcorectl: subprocess.Popen) -> tuple:
    """SIGKILLs that of our processes which takes most memory, as the OOM killer does; its role, "" where all ended,
    and the roles of those that the OOM killer would not take before any guest (oom_score_adj)."""
    while vmcorectl.poll() is None:
        ours = [process for process in processes() if role(process, vmcorectl.pid) in ("vmcorectl", "worker")]
        if ours:
            largest = max(ours, key=lambda process: resident(process[0]))
            # vmcorectl gives itself up before it starts the worker, which inherits that
            spared = [role(process, vmcorectl.pid) for process in ours
                      if len(ours) > 1 and adjustment(process[0]) != 1000]
            os.kill(largest[0], signal.SIGKILL)     # not waited for yet: the number is not another's
            return role(largest, vmcorectl.pid), spared
    return "", []


def adjustment(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())
    except OSError:     # it has ended
        return 1000


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
