#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU as older and newer Debian releases have it: every method's dump of a guest that stands still equals QEMU's own, a
running one is seen at one moment, and a snapshot is taken, or refused with the reason, by a QEMU that has none."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect, pair_in, same_as_converted
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.snapshots import Case
from guests.standing import Standing

USER_NETWORK = ("-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net")
CONFIGS = [
    Config(name="qemu/5.2", qemu="qemu-5.2", kernel="6.1", memory_mib=256, pair_cpu=1, machine="pc"),
    Config(name="qemu/10.0", qemu="qemu-10.0", kernel="6.12", memory_mib=256, pair_cpu=1, backend="memfd", nodes=2,
           words=USER_NETWORK),
    Config(name="qemu/newest", qemu="qemu-newest", kernel="6.12", memory_mib=256, pair_cpu=1, dimm_mib=128,
           words=USER_NETWORK),
]


class Version(Standing):
    def moment(self, method: str) -> None:
        code, answer = self.dump("-d", "17", "--method", method)
        guest = answer.get("guest", {})
        expect(self.findings, f"{self.name}: {method}, running", [
            ("exit code", code, 0), ("method", guest.get("method"), method), ("after", guest.get("state_after"), "running"),
            ("paused at all", (guest.get("pause_ms") or 0) > 0, True)])
        if code == 0:
            lock, first, second = pair_in(self.dump_file, self.guest.console)
            self.findings.check(f"{self.name}: {method}: one moment",
                                [] if first - second in ((0, 1) if lock else (0,)) else [f"{lock} {first} {second}"])
        self.nothing_held(method, "running")

    def looked_at(self) -> None:
        for verb, expected in (("dmesg", "Linux version"), ("check", "PASS")):
            done = self.vmcorectl.run(verb, "--qmp", self.guest.qmp_socket)
            expect(self.findings, f"{self.name}: {verb}", [(done.stderr.strip()[:300], expected in done.stdout, True)])

    def ranged(self) -> None:
        """Method qmp's dump of a guest that stands still equals QEMU's own as well."""
        code, _ = self.dump("--method", "qmp")
        expect(self.findings, f"{self.name}: qmp, standing", [("exit code", code, 0)])
        if code == 0:
            raw = self.guest.dump_elf(self.folder / "raw")
            self.findings.check(f"{self.name}: qmp equals QEMU's own dump, converted",
                                same_as_converted(self.vmcorectl, self.dump_file, raw, self.folder))
            raw.unlink()
        self.nothing_held("qmp", "guest-panicked")


def test(vmcorectl, _, findings) -> None:
    with scratch_folder() as scratch:
        for config in CONFIGS:
            with Guest(config) as guest:
                print(f"{config.name}: {guest.qmp('query-version')['package']}", flush=True)
                version, snapshot = (kind(vmcorectl, guest, findings, Path(scratch)) for kind in (Version, Case))
                version.looked_at()
                for method in ("direct", "qmp"):
                    version.moment(method)
                if config.qemu == "qemu-5.2":
                    snapshot.said("snapshot", "background-snapshot: it needs version 6.0")
                    snapshot.as_before("refused")
                else:
                    snapshot.refused(("multifd", "mapped-ram", "x-ignore-shared"))
                    snapshot.running(times=1)
                    snapshot.same_as_qemu()
                guest.panic()
                version.same_as_qemu()
                version.ranged()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
