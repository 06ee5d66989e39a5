#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcorectl dump --consistency snapshot`: memory and registers are those of one moment, whatever the guest's memory is
made of; QEMU is left as it was found, also by one that was killed, as soon as the next dump runs."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect, left_in, run_dump
from guests.guest import Config, Guest
from guests.harness import run_test, scratch_folder
from guests.libvirt_rig import LibvirtRig, available
from guests.snapshots import MOST_PAUSE_MS, Case, Userfaultfd


def user_network(card: str) -> tuple:
    """Words for a network that QEMU makes itself (slirp): its state has no description but a size."""
    return ("-netdev", "user,id=net", "-device", f"{card},netdev=net")


# Whose snapshot is compared with QEMU's own dump.
KINDS = [
    Config(name="snapshot/ram", kernel="6.12", memory_mib=512, backend="ram"),
    Config(name="snapshot/nodes", kernel="6.12", memory_mib=512, backend="memfd", nodes=2,
           words=user_network("virtio-net-pci")),
    Config(name="snapshot/pc", kernel="6.1", memory_mib=512, backend="memfd-private", machine="pc",
           words=user_network("e1000")),
    Config(name="snapshot/dimm", kernel="6.12", memory_mib=512, backend="ram-shared", dimm_mib=256),
    Config(name="snapshot/above-4G", kernel="6.12", memory_mib=5120, backend="ram", cpus=1),
]


def by_libvirt(vmcorectl, findings) -> None:
    with LibvirtRig("session", memory_mib=512) as rig:
        out = rig.folder / "home/out"
        out.mkdir()
        rig.own(out)
        program = rig.command(vmcorectl.path)

        def dump(*words):
            code, answer, errors = run_dump(program, ["-c", rig.uri, rig.name, "-o", out / "vmcore", "--consistency",
                                                      "snapshot", *words])
            text = answer.get("error", {}).get("text", "") + errors
            print(f"  libvirt: dump {' '.join(words)}: exit {code}, pause {answer.get('guest', {}).get('pause_ms')} ms, "
                  f"{answer.get('size')} bytes {text[:300]}", flush=True)
            return code, answer, text

        code, _, text = dump()
        expect(findings, "libvirt: without --allow-taint", [("exit code", code, 2), ("says how", "--allow-taint" in text, True)])
        if os.geteuid() != 0:
            findings.skip("libvirt: userfaultfd", "only root may let QEMU have it")
            return
        with Userfaultfd(0):
            code, _, text = dump("--allow-taint")
            expect(findings, "libvirt: without userfaultfd", [
                ("exit code", code, 1), ("says how", "vm.unprivileged_userfaultfd" in text, True)])
        with Userfaultfd(1):
            code, answer, _ = dump("--allow-taint")
        guest = answer.get("guest", {})
        expect(findings, "libvirt: result", [
            ("exit code", code, 0), ("as found", guest.get("as_found"), True),
            ("pause", 0 < (guest.get("pause_ms") or 0) < MOST_PAUSE_MS, True),
            ("says that it taints", any("tainted" in remark["text"] for remark in guest.get("remarks", [])), True),
            ("domain", rig.virsh("domstate", rig.name), "running"),
            ("job", rig.virsh("domjobinfo", rig.name).split(), ["Job", "type:", "None"])])
        (out / "vmcore").unlink(missing_ok=True)
        findings.check("libvirt: files", left_in(out))
        rig.virsh("dump", "--memory-only", rig.name, out / "another")
        expect(findings, "libvirt: another dump afterwards", [("domain", rig.virsh("domstate", rig.name), "running")])


def test(vmcorectl, _, findings) -> None:
    if available():
        by_libvirt(vmcorectl, findings)
    else:
        findings.skip("libvirt", "no libvirt with its QEMU driver")
    with scratch_folder() as scratch:
        with Guest(Config(name="snapshot/running", kernel="6.12", memory_mib=512, pair_cpu=1)) as guest:
            case = Case(vmcorectl, guest, findings, Path(scratch))
            case.running()
            case.refused()
            case.interrupted()
            case.killed()
        # What the host cannot write-protect.
        with Guest(Config(name="snapshot/file", kernel="6.12", memory_mib=256, backend="file-private")) as guest:
            case = Case(vmcorectl, guest, findings, Path(scratch))
            case.said("with memory in a file", "memory-backend-file")
            case.as_before("refused")
        for config in KINDS:
            with Guest(config) as guest:
                Case(vmcorectl, guest, findings, Path(scratch)).same_as_qemu()


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
