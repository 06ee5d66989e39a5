#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A capture that cannot come to anything: what is loaded is refused with a reason, or the host dumps the guest from outside
as the kernel that crashed, and the guest ends as configured."""

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.capture_checks import END_SECONDS, Listener, has
from guests.capture_rig import CaptureConfig, CaptureGuest, build_image
from guests.debian import run
from guests.guest import GuestError
from guests.harness import run_test, scratch_folder
from guests.kernels import Kernel, kernel
from guests.test_capture import from_disk, new_disk, on_disk
from peers import readers

SLOT = "cat /sys/kernel/kexec_crash_loaded"
# Each locks the system further, and what a load is told then.
LOCKS = (
    ("echo integrity > /sys/kernel/security/lockdown", "locked down (integrity)", "mokutil --import"),
    ("echo 'appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig' > /sys/kernel/security/ima/policy", "IMA appraisal",
     "ima_policy="),
    ("echo 1 > /proc/sys/kernel/kexec_load_disabled", "kernel.kexec_load_disabled is 1", "until the next boot"),
)


def config(name: str, **options) -> CaptureConfig:
    return CaptureConfig(name=name, crashkernel="128M", memory_mib=512, workload=False, **options)


class Case:
    def __init__(self, vmcorectl, findings, folder: Path, name: str):
        self.vmcorectl, self.findings, self.folder, self.name = vmcorectl, findings, folder, name

    def check(self, what: str, lines: list) -> None:
        self.findings.check(f"{self.name}: {what}", lines)

    def dump(self, guest, *words) -> None:
        """From outside: it must show the kernel that crashed."""
        out = self.folder / "dump"
        done = self.vmcorectl.run("dump", "--qmp", guest.qmp_socket, "-o", out, *words)
        self.check("dumped from outside", [] if done.returncode == 0 else [f"exit {done.returncode}", done.stderr])
        self.check("as the kernel that crashed", has(done.stdout + done.stderr, "it", ["two kernels are in memory"]))
        self.check("its log", has(self.vmcorectl.run("dmesg", out).stdout, "the log", ["Kernel panic - not syncing: "]))
        info = json.loads(self.vmcorectl.run("info", "--output", "json", out).stdout or "{}")
        self.check("complete", [] if info.get("incomplete") is False else [str(info)])


def refused(case: Case) -> None:
    """What we refuse leaves what is loaded. The kernel itself has emptied the slot before it refuses an image
    (kernel/kexec_file.c, kexec_file_load), which is told."""
    with CaptureGuest(config(case.name), build_image(kernel("6.1"), case.folder)) as guest:
        def check(what: str, image: str, slot: str, *words) -> None:
            code, text = guest.run(f"vmcore-guest load --kernel-image {guest.image} --initrd {image}")
            loaded = guest.must(SLOT)
            case.check(what, ([] if (code, loaded) == (1, slot) else [f"exit {code}, loaded: {loaded}"])
                       + has(text, "load", words))

        guest.load()
        half = len(guest.capture) // 2
        guest.must(f"cp {guest.capture_image} /tmp/flipped; echo flipped | dd of=/tmp/flipped bs=1 seek={half} conv=notrunc")
        guest.must(f"dd if={guest.capture_image} of=/tmp/cut bs={half} count=1")
        for image in ("/tmp/flipped", "/tmp/cut"):
            check(image, image, "1", f"{image}: the capture image is damaged", "vmcore-guest build")
        guest.must("mount -t securityfs securityfs /sys/kernel/security")
        gone = ("the kernel that was loaded before is gone",)
        for command, *words in LOCKS:
            guest.must(command)
            check(command, guest.capture_image, "0", *words, *gone)
            gone = ()


def init_dies(case: Case) -> None:
    """The capture kernel panics, and reboots the guest; before that it stands still."""
    init = case.folder / "init"
    run(["gcc", "-static", "-x", "c", "-o", init, "-"], input="int main(void) { return 1; }")
    image = build_image(kernel("6.1"), case.folder, words=("--init", init))
    with CaptureGuest(config(case.name), image) as guest:
        guest.load("panic=30")      # in place of 90
        guest.crash()
        guest.wait_for_text("Attempted to kill init!", END_SECONDS)
        guest.qmp("stop")           # those seconds may be short as well
        case.dump(guest)
        guest.qmp("cont")
        guest.wait_for_end(END_SECONDS)
        case.check("ended", has(guest.console, "the console", ["Rebooting in 30 seconds"]))


def child_killed(case: Case) -> None:
    """What sends is killed for memory while the host takes nothing; its parent waits for the host until its deadline.
    The watchdog that the crashed kernel had started, for less, does not end that."""
    of = kernel("6.1")
    build_image(of, case.folder)            # its root is there then
    driver = case.folder / f"root-{of.release}/sys/class/watchdog/watchdog0/driver"
    driver.mkdir(parents=True)
    (driver / "module").symlink_to("/sys/module/i6300esb")
    image = build_image(of, case.folder, "target = port\ndeadline = 150\non-failure = poweroff\n")
    with CaptureGuest(config(case.name, devices=("-device", "i6300esb"), modules=("i6300esb",)), image) as guest:
        guest.must("watchdog -T 80 -t 1000 /dev/watchdog")
        guest.load("sysrq_always_enabled clocksource=hpet")     # under TCG the TSC's seconds may be short
        listener = Listener(guest, case.folder / "stream", most=1 << 20)
        guest.crash()
        listener.join(END_SECONDS)
        if guest.process.poll() is not None:
            raise GuestError(f"{case.name}: it ended:\n{guest.console[-3000:]}")
        guest.qmp("chardev-send-break", id="console")
        guest.tell("f")
        guest.wait_for_text("waiting 90 s", END_SECONDS)
        guest.qmp("stop")
        case.dump(guest)
        guest.qmp("cont")
        guest.wait_for_end(END_SECONDS)
        case.check("console", has(guest.console, "the console", ["vmcore-guest: port: the process was killed by signal 9", "Power down"]))
        case.check("watchdog", [name for name in guest.events.names if name == "WATCHDOG"])
    begin = (case.folder / "stream").read_bytes()
    case.check("the log came first", [] if b"Kernel panic - not syncing" in begin else [f"{len(begin)} bytes"])


def damaged_in_memory(case: Case) -> None:
    """The code that runs between the two kernels (purgatory) does not start a kernel that is not what was loaded."""
    with CaptureGuest(config(case.name, backend="file"), build_image(kernel("6.1"), case.folder)) as guest:
        guest.load()
        found = re.search(r"([0-9a-f]+)-([0-9a-f]+) : Crash kernel", guest.must("grep Crash /proc/iomem"))
        first, last = (int(part, 16) for part in found.groups())
        with open(guest.folder / "ram0", "r+b") as memory:
            memory.seek(first)
            at = first + memory.read(last + 1 - first).index(guest.capture[-4096:])
            memory.seek(at)
            memory.write(bytes(16))
        guest.must("echo 1 > /proc/sys/kernel/unknown_nmi_panic")
        case.dump(guest, "--crash-guest", "nmi", "--yes", "--channel", guest.port, "--wait", "10")
        case.check("no second kernel", [line for line in guest.console.splitlines() if line.startswith("vmcore-guest: ")])


def opens_although_cut(case: Case, vmcore: Path, of: Kernel) -> None:
    """A dump that ends where the disk was full: its kernel, its log, and what is missing."""
    told = case.vmcorectl.run("info", "--output", "json", vmcore)
    info = json.loads(told.stdout or "{}")
    case.check("cut: info", ([] if info.get("incomplete") is True else [told.stdout[:2000], told.stderr])
               + has(told.stdout, "info", [of.release]))
    case.check("cut: dmesg", has(case.vmcorectl.run("dmesg", vmcore).stdout, "the log", ["Kernel panic - not syncing: "]))
    again = case.folder / "again"
    done = case.vmcorectl.run("convert", vmcore, again)
    case.check("cut: convert", ([] if done.returncode == 3 else [f"exit {done.returncode}", done.stderr])
               + has(case.vmcorectl.run("dmesg", f"{again}.incomplete").stdout, "its log", ["Kernel panic - not syncing: "]))
    for name, log in (("makedumpfile", readers.makedumpfile_log), ("crash", lambda dump: readers.crash_log(dump, of))):
        try:
            case.check(f"cut: {name}", has(log(vmcore), "its log", ["Kernel panic - not syncing: "]))
        except readers.ReaderError as error:
            case.check(f"cut: {name}", [str(error)])


def no_room(case: Case) -> None:
    """Disks that are too small for this dump, by its plan, get the log and, beside it, why the guest boots; none is filled
    up with a part of it. The next has room for all. A part of that opens."""
    of = kernel("6.1")
    small, half, large = (new_disk(case.folder / name, size) for name, size in (("small", 24), ("half", 56), ("large", 1200)))
    raw = case.folder / "raw"
    with open(raw, "wb") as file:
        file.truncate(8 << 20)
    image = build_image(of, case.folder, "target = file:/dev/vdb:/var/crash\ntarget = raw:/dev/vdc\n"
                        "target = file:/dev/vdd:/var/crash\ntarget = file:/dev/vde:/var/crash\nlevel = 0\n",
                        "/dev/vdb / ext4\n/dev/vdd /x ext4\n/dev/vde /y ext4\n")
    with CaptureGuest(CaptureConfig(name=case.name, crashkernel="128M", memory_mib=1024, disks=(small, raw, half, large), port=False),
                      image) as guest:
        guest.load("no_timer_check")      # it fails under TCG on a busy machine
        guest.crash()
        guest.wait_for_end(END_SECONDS)
        console = guest.console
    case.check("console", has(console, "the console", [
        "the log is in /var/crash/", "MiB free, and a dump may need ", "the log is on the device",
        "/dev/vdc: it has 7 MiB free, and a dump may need ", "the crash is saved"]))
    for name, disk, files in (("small", small, ["dmesg.txt"]), ("half", half, ["dmesg.txt"]),
                              ("large", large, ["dmesg.txt", "vmcore"])):
        dump = next((found for found in on_disk(disk, "/var/crash") if found[0].isdigit()), "none")
        found = on_disk(disk, f"/var/crash/{dump}")
        case.check(f"{name}: files", [] if found == files else [str(found), console[-3000:]])
        log = from_disk(disk, f"/var/crash/{dump}/dmesg.txt", case.folder / "log").read_text(errors="replace")
        reason = from_disk(disk, "/var/crash/reboot-reason", case.folder / "reason").read_text()
        case.check(f"{name}: log", has(log, "dmesg.txt", ["Kernel panic - not syncing: "])
                   + has(reason, "reboot-reason", [f" collected: /var/crash/{dump}/{files[-1]}: ", "sysrq"]))
    cut = from_disk(large, f"/var/crash/{dump}/vmcore", case.folder / "cut")
    os.truncate(cut, cut.stat().st_size // 2)
    opens_although_cut(case, cut, of)
    done = case.vmcorectl.run("receive", raw, "-o", case.folder / "received")
    logs = [path.read_text(errors="replace") for path in case.folder.glob("received*") if path.suffix != ".incomplete"]
    case.check("raw: receive", ([] if done.returncode == 1 and any("Kernel panic - not syncing: " in log for log in logs)
                                else [f"exit {done.returncode}", str(list(case.folder.glob("received*")))])
               + has(done.stderr, "it", ["it has 7 MiB free, and a dump may need "]))


def test(vmcorectl, _guests: list, findings) -> None:
    def tried(failure) -> None:
        with scratch_folder() as folder:
            failure(Case(vmcorectl, findings, Path(folder), failure.__name__))

    failures = (child_killed, refused, init_dies, damaged_in_memory, no_room)
    wanted = os.environ.get("STEPS", "").split()
    with ThreadPoolExecutor(2) as pool:     # a test machine has two CPUs
        list(pool.map(tried, [failure for failure in failures if not wanted or failure.__name__ in wanted]))


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
