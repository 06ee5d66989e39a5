#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcore-guest status, load, unload, estimate, lock, exec, test and collect in real guests: what they do and refuse."""

import json
import re
import struct
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import kernels
from guests.capture_rig import CaptureConfig, CaptureGuest
from guests.harness import Findings

WORD = {"6.1": "crashkernel=128M", "6.12": "crashkernel=112M"}    # with an image of 2 MiB
UKI = "/boot/EFI/Linux/debian.efi"
SLOT = "cat /sys/kernel/kexec_crash_loaded"


def differs(what: str, found, expected) -> list:
    return [] if found == expected else [f"{what}: {found!r}, not {expected!r}"]


def lacks(text: str, *parts: str) -> list:
    return [f'no "{part}" in:\n{text}' for part in parts if part not in text]


def refused(guest, command: str, *parts: str) -> list:
    """A command that must fail, and say so with these words."""
    code, text = guest.run(command)
    return differs(f"exit of {command}", code, 1) + lacks(text, *parts)


def loads(guest) -> list:
    """All files found by vmcore-guest itself; another's panic kernel is not replaced."""
    explicit = f"--kernel-image {guest.image} --initrd {guest.capture_image}"
    lines = differs("what status loaded", guest.must(SLOT), "1")
    guest.must("vmcore-guest unload")
    lines += differs("unloaded", guest.must(SLOT), "0")
    guest.must("vmcore-guest load --append vmcore.level=1")
    record = json.loads(guest.must("cat /run/vmcore-guest/loaded"))
    lines += differs("kernel", record["kernel"], guest.image) + differs("image", record["image"], guest.capture_image)
    lines += lacks(record["command_line"], "console=ttyS0", "vmcore.level=1")
    lines += differs("loaded", guest.must(SLOT), "1")
    guest.must(f"vmcore-guest load {explicit} && rm /run/vmcore-guest/loaded")
    lines += refused(guest, "vmcore-guest load", "another program has loaded a capture kernel", "--force")
    guest.must("vmcore-guest load --force")
    return lines + refused(guest, f"vmcore-guest load --kernel-image {guest.capture_image}", "not a bzImage")


def unified_image(linux: bytes) -> bytes:
    """An EFI program (PE) of one section, .linux."""
    coff = b"PE\0\0" + struct.pack("<HH12xHH", 0x8664, 1, 0, 0x22e)
    section = struct.pack("<8sIIII16x", b".linux", len(linux), 0, len(linux), 0x200)
    return (b"MZ" + bytes(58) + struct.pack("<I", 64) + coff + section).ljust(0x200, b"\0") + linux


def unified(guest) -> list:
    """Where there is no other image the kernel is taken out of the unified one; its initrd is not."""
    guest.must(f"mv {guest.image} /kept && vmcore-guest load")
    record = json.loads(guest.must("cat /run/vmcore-guest/loaded"))
    lines = differs("kernel", record["kernel"], UKI) + differs("loaded", guest.must(SLOT), "1")
    lines += refused(guest, "vmcore-guest load --reboot", f"{UKI} contains its initrd", "--initrd")
    guest.must(f"vmcore-guest load --reboot --initrd {guest.capture_image} && mv /kept {guest.image}")
    return lines


def estimates(guest) -> list:
    found = json.loads(guest.must("vmcore-guest estimate --output json"))
    word = WORD[guest.config.kernel]
    return differs("estimate", found["crashkernel"], word) + differs("fits", found["fits"], True) + lacks(
        guest.must("vmcore-guest estimate"), word, "init_size", "at least", guest.image)


def too_little(guest) -> list:
    """64 MiB: refused with the numbers, and the kernel itself refuses what is forced on it."""
    lines = refused(guest, "vmcore-guest load", "64.0 MiB are reserved", "init_size",
                    f"Boot with {WORD[guest.config.kernel]}")
    lines += differs("nothing loaded", guest.must(SLOT), "0")
    if guest.config.kernel == "6.1":    # whose init_size alone leaves less than an MiB
        lines += refused(guest, "vmcore-guest load --force", "the reserved memory is too small", "vmcore-guest estimate")
    return lines


# Words that reserve nothing in 768 MiB: why, and what the kernel's log says.
USELESS = {"6.1": ("auto", "the kernel expects a number", "memory value expected"),
           "6.12": ("2G-4G:320M,4G-:512M", "no range has the 768 MiB", "resulted in zero bytes")}


def tells_why(guest) -> list:
    """A crashkernel= that reserves nothing: status has the reason, the kernel's own words, and a way out."""
    word, why, log = USELESS[guest.config.kernel]
    code, text = guest.run("vmcore-guest status --output json")
    found = {finding["id"]: finding for finding in json.loads(text)}["reserved"]
    return differs("exit", code, 1) + differs("result", found["result"], "FAIL") + lacks(
        found["hint"], f"crashkernel={word}", why, log, f"vmcore-guest setup --{WORD[guest.config.kernel].replace('=', ' ')}")


def cannot_lock(guest) -> list:
    """6.1 neither keeps what is loaded valid by itself, nor knows the limit."""
    return refused(guest, "vmcore-guest lock", "must be reloaded", "--force") + refused(
        guest, "vmcore-guest lock --force", "--disable")


def locks(guest) -> list:
    """What the kernel took by force stays, and nothing takes its place."""
    lines = refused(guest, "vmcore-guest lock", "vmcore-guest load")
    guest.must("vmcore-guest load --force; vmcore-guest lock --force")
    lines += differs("limit", guest.must("cat /proc/sys/kernel/kexec_load_limit_panic"), "0")
    lines += refused(guest, "vmcore-guest load --force", "no more loads are allowed", "vmcore-guest lock")
    return lines + differs("still loaded", guest.must(SLOT), "1")


def reloads(guest) -> list:
    """After a CPU went away: only where the kernel does not see to it."""
    started = 'grep started /run/vmcore-guest/loaded'
    before = guest.must(started)
    guest.must("vmcore-guest load --refresh")
    lines = differs("started, the image being as it was", guest.must(started), before)
    guest.must("echo 0 > /sys/devices/system/cpu/cpu1/online; vmcore-guest load --reload")
    adapts = guest.run("grep 1 /sys/devices/system/cpu/crash_hotplug")[0] == 0
    return lines + differs("loaded once more", guest.must(started) != before, not adapts)


def without_room(guest) -> list:
    """Nothing can be built: the image that is there is loaded, if it is whole. (This guest has no kernel modules.)"""
    kept = guest.capture_image
    failed, started = "/run/vmcore-guest/build-failed", "grep started /run/vmcore-guest/loaded"
    before = guest.must(started)
    guest.must("mkdir -p /etc; touch /etc/vmcore-guest.conf")    # the image is older than that
    says = ("no new capture image could be built", f"the older one is used, {kept}")
    lines = lacks(guest.must("vmcore-guest load --refresh"), *says)
    lines += differs("refreshed soon after", guest.must("vmcore-guest load --refresh"), "")
    guest.must(f"echo 0 0 > {failed}")
    lines += lacks(guest.must("vmcore-guest load --refresh"), *says)
    lines += differs("loaded again in vain", guest.must(started), before)
    code, text = guest.run("vmcore-guest unload && vmcore-guest load")
    lines += differs("exit", code, 0) + differs("loaded", guest.must(SLOT), "1") + lacks(text, *says)
    guest.must(f"cp {kept} /kept && head -c 100000 /kept > {kept}")
    lines += refused(guest, "vmcore-guest load", f"`vmcore-guest build -o {kept}` failed")
    guest.must(f"cp /kept {kept} && rm /kept /etc/vmcore-guest.conf && vmcore-guest load")
    return lines


def executes(guest) -> list:
    """A reboot without firmware: the same kernel comes up again, with the same command line."""
    lines = refused(guest, "vmcore-guest exec", "vmcore-guest load --reboot")
    guest.must("vmcore-guest load --reboot --append again=1")
    if guest.must(SLOT) == "1":     # what is loaded can be run, after this, but nothing be loaded
        guest.must("vmcore-guest lock --disable --force")
        lines += refused(guest, "vmcore-guest load --reboot", "kernel.kexec_load_disabled is 1")
    guest.tell_shell("vmcore-guest exec")
    guest.wait_for_text("again=1", 240)
    return lines


def status(guest) -> list:
    """Before a load, and after it."""
    lines = differs("exit of an empty slot", guest.run("vmcore-guest status")[0], 1)
    guest.must("vmcore-guest load")
    code, text = guest.run("vmcore-guest status --output json")
    found = {finding["id"]: finding for finding in json.loads(text)}
    lines += differs("exit", code, 0)
    for name, result in {"kernel": "PASS", "loaded": "PASS", "fit": "PASS", "channel": "PASS", "vmcoreinfo": "PASS",
                         "panic": "PASS"}.items():
        lines += differs(name, (found.get(name) or {}).get("result"), result)
    # The unified image, from which a guest of 6.12 may boot next, has no crashkernel=.
    reserved, hint = ("NOTE", f"a kernel in {UKI} has no crashkernel=") if guest.config.kernel == "6.12" else ("PASS", "")
    lines += differs("reserved", found["reserved"]["result"], reserved) + lacks(found["reserved"]["hint"], hint)
    return lines + lacks(found["loaded"]["value"], "vmcore-guest") + lacks(found["reserved"]["value"], "128 MiB", "0x")


def crashes(guest) -> list:
    """vmcore-guest test: the panic kernel runs, and has the tag."""
    lines = refused(guest, "vmcore-guest test", "--yes")
    guest.tell_shell("vmcore-guest test --yes --tag rehearsal")
    guest.wait_for_text("vmcore.tag=rehearsal", 240)
    size = re.search(r"^CAPTURE (\d+) ", guest.console, re.M)
    return lines + differs("/proc/vmcore is there", bool(size) and int(size[1]) > 500 << 20, True)


def remembers(guest) -> list:
    """After the boot that follows: whether the dump of the test is there, and what the message of the day says."""
    keep = "mkdir -p /disk/state /etc && mount -o bind /disk/state /var/lib/vmcore-guest"
    guest.must(f"cp {guest.capture_image} /disk && {keep} && mv /disk/*.img {guest.capture_image}")
    lines = refused(guest, "vmcore-guest test --result", "no test was run") + crashes(guest)
    guest.wait_for_boot(2, 240)
    guest.must(f"{keep} && echo 'target = file:/disk/crash' > /etc/vmcore-guest.conf")
    lines += refused(guest, "vmcore-guest test --result", "rehearsal: this guest has no dump of the test", "the host")
    dump = "/disk/crash/" + guest.must("date -u +%Y-%m-%d-%H%M%S")
    guest.must(f"mkdir -p {dump} && touch {dump}/vmcore.incomplete")
    lines += refused(guest, "vmcore-guest test --result", "rehearsal: the newest dump in this guest is of another crash", dump)
    guest.must(f"echo rehearsal > {dump}/tag")
    lines += refused(guest, "vmcore-guest test --result", "rehearsal: the dump is incomplete", dump)
    guest.must(f"mv {dump}/vmcore.incomplete {dump}/vmcore")
    lines += lacks(guest.must("vmcore-guest test --result"), f"rehearsal: the dump is {dump}/vmcore")
    guest.must("vmcore-guest collect")
    return lines + lacks(guest.must("cat /run/motd.d/vmcore-guest"), f"This guest crashed. Its dump: {dump}/vmcore")


def main() -> int:
    findings = Findings()
    for kernel in ("6.1", "6.12"):
        small = {"kernel": kernel, "memory_mib": 768, "workload": False, "reboots": True}
        files = {UKI[1:]: unified_image(kernels.kernel(kernel).image.read_bytes())} if kernel == "6.12" else {}
        with CaptureGuest(CaptureConfig(name=f"{kernel}-load", crashkernel="128M", **small), files=files) as guest:
            checks = [status, loads, *([unified] if files else []), without_room, reloads, estimates, *([cannot_lock, crashes] if kernel == "6.1" else [remembers])]
            for check in checks:
                findings.check(f"{kernel}: {check.__name__}", check(guest))
        with CaptureGuest(CaptureConfig(name=f"{kernel}-nothing", crashkernel=USELESS[kernel][0], **small)) as guest:
            findings.check(f"{kernel}: tells_why", tells_why(guest))
        tiny = CaptureConfig(name=f"{kernel}-64M", crashkernel="64M", arguments="loglevel=6", **small)
        with CaptureGuest(tiny) as guest:
            checks = [too_little, *([locks] if kernel == "6.12" else []), executes]
            for check in checks:
                findings.check(f"{kernel} with 64M: {check.__name__}", check(guest))
    return findings.exit_code()


if __name__ == "__main__":
    sys.exit(main())
