#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcored beside a libvirt daemon of the test's own: crashes are kept without anybody, guests are restarted, and what a
vmcored that was killed has left is gone on with by the next one."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.guest import BOOT_SECONDS, GuestError
from guests.harness import run_test
from guests.libvirt_rig import LibvirtRig, available, daemon_program

MEMORY = 256
CONFIG = """[guests]
after-crash = "restart"
dump-limit = "120s"

[guest."left-alone"]
after-crash = "as-domain"
"""


class Neighbour(LibvirtRig):
    """Another domain of the same libvirt."""

    def __init__(self, host: LibvirtRig, name: str, **more):
        super().__init__(host.kind, MEMORY, name=name, **more)
        self.host = host

    uri = property(lambda self: self.host.uri)

    def command(self, *words) -> list:
        return self.host.command(*words)

    def start_daemon(self) -> None:
        pass


class Service:
    """A vmcored; `log` has what all of them said."""

    def __init__(self, rig: LibvirtRig, program: Path):
        self.rig, self.log = rig, rig.folder / "vmcored.log"
        self.program = Path(rig._reachable(str(program.with_name("vmcorectl")))).with_name("vmcored")
        if not self.program.exists():
            shutil.copy(program, self.program)
        home = rig.folder / "home"
        self.store, self.state = home / "store", home / "state"
        config = rig.folder / "vmcored.conf"
        config.write_text(CONFIG)
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
        listed = json.loads(self.run("list", "--output", "json"))["crashes"]
        return [crash for crash in listed if crash["manifest"]["capture"]["guest"]["name"] == guest]


def all_at_once(*tasks) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Case:
    def __init__(self, service: Service, first: LibvirtRig, second: LibvirtRig, findings):
        self.service, self.first, self.second, self.findings = service, first, second, findings

    def killed_in_a_dump(self) -> None:
        self.service.start()
        self.service.wait_for("connected to libvirt")
        self.first.panic()
        self.service.wait_for("first: its flash report is kept")
        self.service.kill()
        stands = self.first.status()
        begun = time.monotonic()
        self.service.start()
        self.service.wait_for("first: its policy is carried out: restart")
        print(f"  killed: restarted {time.monotonic() - begun:.1f} s after the start of the next vmcored", flush=True)
        self.service.wait_for("first: kept as", times=1)
        crashes = self.service.crashes("first")
        whole = [crash for crash in crashes if crash["manifest"]["complete"] and crash["manifest"]["dump"]]
        expect(self.findings, "vmcored killed in a dump", [
            ("the guest waited for the next one", stands, "guest-panicked"), ("a whole dump", len(whole), 1),
            ("damage", [crash["damage"] for crash in crashes], [None] * len(crashes)),
            ("it is opened", "panic" in self.service.run("dmesg", whole[0]["id"]) if whole else "no dump", True)])

    def two_at_once(self) -> None:
        self.first.wait_for("\nREADY", 2 * BOOT_SECONDS, times=2)
        before = len(self.service.crashes("first"))
        all_at_once(self.first.panic, self.second.panic)
        self.service.wait_for("second: its policy is carried out: restart")
        self.service.wait_for("first: its policy is carried out: restart", times=2)
        self.service.wait_for("second: kept as")
        self.service.wait_for("first: kept as", times=2)
        time.sleep(1)   # what the policy did is noted last
        crash, again = self.service.crashes("second")[-1], self.service.crashes("first")
        manifest = crash["manifest"]
        print(f"  two at once: flash report after {manifest['to_flash_ms']} ms, dump after {manifest['to_dump_ms']} ms, policy "
              f"{crash['policy']}\n{self.service.run('list')}", flush=True)
        expect(self.findings, "two guests at once", [
            ("witness", manifest["witness"], "event"), ("reason", manifest["reason"], "panic"),
            ("complete", manifest["complete"], True), ("opened", manifest["verified"], True),
            ("signature", bool(manifest["signature"]["exact"]), True),
            ("flash report within seconds", manifest["to_flash_ms"] < 15_000, True),
            ("policy", (crash["policy"] or {}).get("done"), True),
            ("the other one, again", len(again), before + 1), ("without memory", again[-1]["manifest"]["dump"], None)])
        self.second.wait_for("\nREADY", 2 * BOOT_SECONDS, times=2)
        self.findings.check("not tainted", self.first.taints() and [line for line in self.first.taints()
                                                                    if "custom-monitor" in line])

    def destroyed(self) -> None:
        """on_crash destroy, and nobody armed it: its memory is gone at once, and vmcored says why, and what helps."""
        self.second.virsh("set-lifecycle-action", "second", "crash", "destroy", "--live")
        try:
            self.second.panic()
        except (GuestError, OSError, StopIteration, ValueError):
            pass    # its QEMU ends
        self.service.wait_for("vmcorectl arm keeps its memory")
        said = self.service.said().splitlines()[-1]
        crash = self.service.crashes("second")[-1]
        print(f"  {said}", flush=True)
        expect(self.findings, "on_crash destroy", [
            ("why", "its QEMU has ended (crashed) before its memory was read" in said, True),
            ("no dump", crash["manifest"]["dump"], None), ("whole", crash["manifest"]["complete"], False)])

    def stopped(self) -> None:
        expect(self.findings, "SIGTERM", [("exit code", self.service.stop(), 0),
                                          ("nothing is due", list(self.service.state.glob("*.json")), [])])


def main_test(vmcorectl, _guests, findings) -> None:
    if not available() or not daemon_program("session"):
        findings.skip("vmcored", "no libvirtd with its QEMU driver")
        return
    program = Path(vmcorectl.path).with_name("vmcored")
    first = LibvirtRig("session", MEMORY, name="first")
    with first:
        with Neighbour(first, "second") as second:
            service = Service(first, program)
            case = Case(service, first, second, findings)
            try:
                case.killed_in_a_dump()
                case.two_at_once()
                case.destroyed()
                case.stopped()
            finally:
                print(service.said(), flush=True)
                if service.process and service.process.poll() is None:
                    service.kill()


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
