# SPDX-License-Identifier: GPL-2.0-or-later
"""A vmcored beside a libvirt of the test's own (libvirt_rig.py), with a store of its own."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

from guests.guest import GuestError
from guests.libvirt_rig import LibvirtRig


class Neighbour(LibvirtRig):
    """Another domain of the same libvirt."""

    def __init__(self, host: LibvirtRig, name: str, **more):
        super().__init__(host.kind, host.memory_mib, name=name, **more)
        self.host = host

    uri = property(lambda self: self.host.uri)

    def command(self, *words) -> list:
        return self.host.command(*words)

    def start_daemon(self) -> None:
        pass


class Service:
    """A vmcored with the configuration `text`; `log` has what all of them said. `program`: vmcored or a program beside
    it."""

    def __init__(self, rig: LibvirtRig, program: Path, text: str):
        self.rig, self.log = rig, rig.folder / "vmcored.log"
        self.program = Path(rig._reachable(str(program.with_name("vmcorectl")))).with_name("vmcored")
        for name in ("vmcored", "vmcore-guardian"):
            if not self.program.with_name(name).exists():
                shutil.copy(program.with_name(name), self.program.with_name(name))
        home = rig.folder / "home"
        self.store, self.state = home / "store", home / "state"
        config = rig.folder / "vmcored.conf"
        config.write_text(text)
        config.chmod(0o644)
        self.words = rig.command(self.program, "--config", config, "-c", rig.uri, "--store", self.store, "--state", self.state,
                                 "--socket", rig.runtime / "vmcored.socket")
        self.process = None

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stderr=log)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str, seconds: float = 90, times: int = 1) -> None:
        deadline = time.monotonic() + seconds
        while self.said().count(words) < times:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise GuestError(f"vmcored does not say {words!r} ({times} times):\n{self.said()}")
            time.sleep(0.05)

    def run(self, *words) -> str:
        done = subprocess.run(self.rig.command(self.program.with_name("vmcorectl"), *words, "--store", self.store),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        return done.stdout if done.returncode == 0 else f"exit {done.returncode}: {done.stderr}"

    def crashes(self, guest: str) -> list:
        text = self.run("list", "--output", "json")
        if "there is no store" in text:     # the first crash makes it
            return []
        if not text.startswith("{"):
            raise GuestError(f"vmcorectl list: {text}")
        listed = json.loads(text)["crashes"]
        return [crash for crash in listed if crash["manifest"]["capture"]["guest"]["name"] == guest]
