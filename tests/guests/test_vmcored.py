#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcored beside a libvirt daemon of the test's own: crashes are kept without anybody, guests are restarted, and what a
vmcored that was killed has left is gone on with by the next one."""

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
from guests.vmcored_rig import Neighbour, Service

MEMORY = 256
CONFIG = """[guests]
after-crash = "restart"
dump-limit = "120s"

[guest."left-alone"]
after-crash = "as-domain"
"""


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
        exact = [each["manifest"]["signature"]["exact"] for each in again if each["manifest"]["dump"] or each is again[-1]]
        repeats = exact[-1] in exact[:-1]
        print(f"  two at once: flash report after {manifest['to_flash_ms']} ms, dump after {manifest['to_dump_ms']} ms, policy "
              f"{crash['policy']}\n{self.service.run('list')}", flush=True)
        expect(self.findings, "two guests at once", [
            ("witness", manifest["witness"], "event"), ("reason", manifest["reason"], "panic"),
            ("complete", manifest["complete"], True), ("opened", manifest["verified"], True),
            ("signature", bool(manifest["signature"]["exact"]), True),
            ("flash report within seconds", manifest["to_flash_ms"] < 15_000, True),
            ("policy", (crash["policy"] or {}).get("done"), True),
            ("the other one, again", len(again), before + 1), ("without memory", again[-1]["manifest"]["dump"] is None, repeats)])
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
            ("why", any(f"its QEMU {how} before its memory was read" in said for how in ("has ended (crashed)", "was ended at once")), True),
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
            service = Service(first, program, CONFIG)
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
