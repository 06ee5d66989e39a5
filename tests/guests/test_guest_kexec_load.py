#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests whose kernel has neither kexec_file_load nor /proc/kcore, as Alpine's: vmcore-guest loads the capture kernel by
kexec_load, and it saves real crashes. VMCORECTL_KERNELS names other kernels than 6.12."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import initramfs
from guests.capture_checks import to_the_host
from guests.capture_rig import CaptureConfig, CaptureGuest
from guests.harness import run_test, scratch_folder

SLOT = "cat /sys/kernel/kexec_crash_loaded"


class WithoutFileLoad(CaptureGuest):
    """The commands that load and unload cannot use kexec_file_load; nothing can read /proc/kcore."""

    def __init__(self, config, capture=b"", files=None):
        tool = initramfs.compiled("no_file_load.c").read_bytes()
        super().__init__(config, capture, {**(files or {}), "no_file_load": tool})

    def must(self, command: str, seconds: float = 60) -> str:
        return super().must(command.replace("vmcore-guest ", "/no_file_load vmcore-guest ", 1), seconds)

    def load(self, append: str = "") -> None:
        super().must("mount -o bind /dev/null /proc/kcore && ! ls /sbin/kexec /usr/sbin/kexec")
        super().load(append)
        loaded = [super(WithoutFileLoad, self).must(SLOT)]
        self.must("vmcore-guest unload")
        loaded.append(super().must(SLOT))
        self.must("vmcore-guest load")
        loaded.append(super().must(SLOT))
        if loaded != ["1", "0", "1"]:
            raise AssertionError(f"loaded: {loaded}")
        if self.run("/no_file_load vmcore-guest load --reboot")[0] != 1:
            raise AssertionError("a kernel for a reboot needs kexec-tools, which is not here")


def test(vmcorectl, _guests: list, findings) -> None:
    with scratch_folder() as scratch:
        for name in os.environ.get("VMCORECTL_KERNELS", "6.12").split():
            to_the_host(vmcorectl, findings, CaptureConfig(name=f"{name}: kexec_load", kernel=name, crashkernel="128M"),
                        Path(scratch), "sysrq", ["sysrq triggered crash"], rig=WithoutFileLoad)
        # The parts lie above 4 GiB, the memory for DMA below.
        high = CaptureConfig(name="6.1: kexec_load above 4 GiB", kernel="6.1", crashkernel="128M,high", arguments="crashkernel=32M,low",
                             memory_mib=5120, workload=False)
        to_the_host(vmcorectl, findings, high, Path(scratch), "interrupt", ["<IRQ>"], rig=WithoutFileLoad)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
