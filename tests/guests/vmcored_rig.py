# SPDX-License-Identifier: GPL-2.0-or-later
"""A vmcored with a store of its own: beside a libvirt of the test's own (libvirt_rig.py), or with a folder of monitors."""

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


class Vmcored:
    """A vmcored with the configuration `text`, which watches `sources` (words of its command line). Its files are below
    `home`; its configuration and `log`, which has what all of them said, in `folder`. `command`: what runs words as its
    user."""

    def __init__(self, program: Path, text: str, sources: list, folder: Path, home: Path,
                 command=lambda *words: list(map(str, words))):
        self.program, self.command, self.log = program, command, folder / "vmcored.log"
        self.store, self.state, self.socket = home / "store", home / "state", home / "vmcored.socket"
        config = folder / "vmcored.conf"
        config.write_text(text)
        config.chmod(0o644)
        self.words = command(program, "--config", config, *sources, "--store", self.store, "--state", self.state,
                             "--socket", self.socket)
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
        self.wait_until(lambda said: said.count(words) >= times, f"{words!r} ({times} times)", seconds)

    def wait_until(self, true_of, what: str, seconds: float) -> None:
        """Until `true_of` what it has said."""
        deadline = time.monotonic() + seconds
        while not true_of(self.said()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise GuestError(f"vmcored does not say {what}:\n{self.said()}")
            time.sleep(0.05)

    def vmcorectl(self, *words) -> str:
        done = subprocess.run(self.command(self.program.with_name("vmcorectl"), *words), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
        return done.stdout if done.returncode == 0 else f"exit {done.returncode}: {done.stderr}"

    def run(self, *words) -> str:
        return self.vmcorectl(*words, "--store", self.store)

    def crashes(self, guest: str) -> list:
        text = self.run("list", "--output", "json")
        if "there is no store" in text:     # the first crash makes it
            return []
        if not text.startswith("{"):
            raise GuestError(f"vmcorectl list: {text}")
        listed = json.loads(text)["crashes"]
        return [crash for crash in listed if crash["manifest"]["capture"]["guest"]["name"] == guest]


class Service(Vmcored):
    """The same beside a libvirt. `program`: vmcored or a program beside it."""

    def __init__(self, rig: LibvirtRig, program: Path, text: str):
        self.rig = rig
        own = Path(rig._reachable(str(program.with_name("vmcorectl")))).with_name("vmcored")
        for name in ("vmcored", "vmcore-guardian"):
            if not own.with_name(name).exists():
                shutil.copy(program.with_name(name), own.with_name(name))
        super().__init__(own, text, ["-c", rig.uri], rig.folder, rig.folder / "home", rig.command)
