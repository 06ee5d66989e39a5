#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The matrix of automatic dumps: vmcored beside libvirt 9.0, the newest libvirt, and monitors without libvirt, for each
on_crash, armed or not, with kdump in the guest or without, and while disks are small, daemons restart and QEMU is killed.

Each case is judged by what the store has and by how the guest stands afterwards, and is a row of the table at the end.
VMCORECTL_PARTS and VMCORECTL_LIBVIRT choose some of PARTS and of KINDS."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests import capture_rig, initramfs
from guests.capture_rig import CaptureConfig, build_image, with_busybox
from guests.dump_checks import expect
from guests.guest import BOOT_SECONDS, Config, Guest, GuestError
from guests.harness import run_test, scratch_folder
from guests.kernels import kernel
from guests.libvirt_rig import LibvirtRig, available, daemon_program
from guests.vmcored_rig import Neighbour, Service, Vmcored

KINDS = ("session", "newest")
SECONDS = 180       # for a crash to be settled; machines are busy
MEMORY = 256

# Whatever this host's disk has.
ROOM = """[store]
max-share = "100%"
keep-free-share = "0%"
"""
# Each crash gets its dump, however many there are.
OFTEN = """[guests]
repeat-window = "1s"
guest-rate = 1000
signature-rate = 1000
"""
EACH = ROOM + OFTEN
ALIVE, STANDS, GONE, IN_PANIC = "boots again", "stands in its panic", "gone", "runs on in its panic"
SILENT_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
echo SILENT
sleep 100000
"""
LOAD = """#!/bin/sh
vmcore-guest load --kernel-image /boot/vmlinuz-{release} --initrd {capture} && echo ARMED
"""
CHANNEL = ("<channel type='unix'><source mode='bind' path='{{folder}}/{0}'/><target type='virtio' name='{0}'/></channel>"
           .format(capture_rig.PORT_NAME))


class Table:
    def __init__(self):
        self.rows = []

    def add(self, name: str, crash: dict | None, state: str) -> None:
        manifest = (crash or {}).get("manifest") or {}
        policy = (crash or {}).get("policy") or {}

        def seconds(milliseconds) -> str:
            return "-" if milliseconds is None else f"{milliseconds / 1000:.2f} s"

        dump = seconds(manifest.get("to_dump_ms")) if manifest.get("dump") else "-"
        row = (name, seconds(manifest.get("to_flash_ms")), dump, seconds(policy.get("to_running_ms")), state)
        self.rows.append(row)
        self.show([row])

    @staticmethod
    def show(rows: list) -> None:
        for name, flash, dump, running, state in rows:
            print(f"  {name:58} report {flash:>8}  dump {dump:>8}  running {running:>8}  {state}", flush=True)


class Bench:
    """What all cases share: a vmcored, and the findings."""

    def __init__(self, service: Vmcored, findings, table: Table, label: str):
        self.service, self.findings, self.table, self.label = service, findings, table, label

    def settled(self, name: str) -> int:
        return self.count(self.service.said(), name)

    @staticmethod
    def count(said: str, name: str) -> int:
        return len(re.findall(rf"\b{re.escape(name)}: (?:kept as|its crash is lost)", said))

    def wait_settled(self, name: str, times: int, seconds: float = SECONDS) -> None:
        self.service.wait_until(lambda said: self.count(said, name) >= times, f"that crash {times} of {name} is settled", seconds)

    def last(self, name: str) -> dict | None:
        """The newest crash, when the outcome of its policy is noted."""
        deadline = time.monotonic() + 30
        while True:
            crashes = self.service.crashes(name)
            if not crashes or crashes[-1].get("policy") or time.monotonic() > deadline:
                return crashes[-1] if crashes else None
            time.sleep(0.1)

    def judge(self, case: str, name: str, crash: dict | None, state: str, wanted: dict) -> None:
        """`wanted`: state, dump (whether), policy (its word and whether it was done), more."""
        manifest = (crash or {}).get("manifest") or {}
        policy = (crash or {}).get("policy") or {}
        dump = manifest.get("dump")
        lines = [("state", state, wanted["state"])]
        if "dump" in wanted:
            lines += [("a dump", bool(dump), wanted["dump"]), ("complete", manifest.get("complete", False), wanted["dump"])]
        if dump:
            log = self.service.run("dmesg", crash["id"])
            lines += [("verified", manifest["verified"], True), ("damage", crash["damage"], None),
                      ("its log", "Kernel panic - not syncing" in log, True)]
        if dump and wanted.get("dump"):
            lines += [("a report", "sysrq" in self.service.run("report", crash["id"]), True),
                      ("a signature", bool((manifest["signature"] or {}).get("exact")), True)]
        if "flash" in wanted:
            lines += [("a flash report", "to_flash_ms" in manifest and manifest["to_flash_ms"] is not None, wanted["flash"])]
        if "policy" in wanted:
            lines += [("policy", (policy.get("action"), policy.get("done")), wanted["policy"])]
        if not expect(self.findings, f"{self.label}: {case}", lines):
            report = self.service.run("report", crash["id"])[:3000] if crash else ""
            print(f"  {self.label}: {case}: {json.dumps(crash)}\n{self.service.said()[-3000:]}\n{report}", flush=True)
        self.table.add(f"{self.label}: {case}", crash, state)


class Domain:
    """A domain, and how often it was READY."""

    def __init__(self, rig: LibvirtRig):
        self.rig, self.name, self.ready = rig, rig.name, "\nREADY"

    def boots(self) -> int:
        return self.rig.console.count(self.ready)

    def is_there(self) -> bool:
        return self.name in self.rig.virsh("list", "--name").split()

    def wait_boot(self, times: int) -> None:
        self.rig.wait_for(self.ready, 2 * BOOT_SECONDS, times)

    def state(self, boots: int, wanted: str) -> str:
        """How it stands; a boot is waited for where one is wanted."""
        if wanted == GONE:
            deadline = time.monotonic() + 30
            while self.is_there() and time.monotonic() < deadline:
                time.sleep(0.2)
        if not self.is_there():
            return GONE
        if wanted == ALIVE:
            with contextlib.suppress(GuestError):
                self.wait_boot(boots + 1)
        status = self.rig.status()
        if status != "running":
            return STANDS if status == "guest-panicked" else status
        return ALIVE if self.boots() > boots else IN_PANIC

    def revive(self) -> None:
        """Until it is READY again, whatever became of it."""
        if not self.is_there():
            self.rig.virsh("create", self.rig.folder / "domain.xml")    # its console's log begins anew
            self.wait_boot(1)
        elif self.rig.status() != "running" or "end Kernel panic" in self.rig.console.rsplit(self.ready, 1)[-1]:
            boots = self.boots()
            self.rig.virsh("reset", self.name)
            if self.rig.status() != "running":
                self.rig.virsh("resume", self.name)
            self.wait_boot(boots + 1)


def program_of(vmcorectl) -> Path:
    return Path(vmcorectl.path).with_name("vmcored")


@contextlib.contextmanager
def beside_libvirt(vmcorectl, rig: LibvirtRig, text: str, findings, table, label: str):
    service = Service(rig, program_of(vmcorectl), text)
    service.start()
    try:
        service.wait_for("connected to libvirt")
        yield Bench(service, findings, table, label)
    except GuestError as error:
        findings.check(f"{label}: it goes on", [str(error)[-6000:]])
    finally:
        if service.process.poll() is None:
            service.stop()


# on_crash -> how the guest stands afterwards, the policy of an armed one, and whether its memory can be dumped unarmed.
ACTIONS = {
    "preserve": (STANDS, "preserve", True),
    "restart": (ALIVE, "restart", None),
    "coredump-restart": (ALIVE, "restart", None),
    "coredump-destroy": (GONE, "destroy", None),
    "destroy": (GONE, "destroy", None),
}


def one_action(bench: Bench, domain: Domain, action: str, armed: bool) -> None:
    state, policy, dumped = ACTIONS[action]
    domain.rig.virsh("set-lifecycle-action", domain.name, "crash", action, "--live")
    if armed:
        told = bench.service.vmcorectl("arm", domain.name, "--socket", bench.service.socket)
        bench.findings.check(f"{bench.label}: arm", [told] if told.startswith("exit") else [])
    settled, boots = bench.settled(domain.name), domain.boots()
    domain.rig.send_panic()
    bench.wait_settled(domain.name, settled + 1)
    now = domain.state(boots, state)
    wanted = {"state": state}
    if armed or dumped:
        wanted |= {"dump": True, "flash": True, "policy": (policy, True)}
    bench.judge(f"on_crash {action}, {'armed' if armed else 'not armed'}", domain.name, bench.last(domain.name), now, wanted)
    if armed:
        bench.service.vmcorectl("disarm", domain.name, "--socket", bench.service.socket)
    elif action.startswith("coredump"):
        libvirts_own(bench, domain.rig)
    domain.revive()


def libvirts_own(bench: Bench, rig: LibvirtRig) -> None:
    """vmcored does not disturb the dump that libvirt makes."""
    dumps = list((rig.folder / "home/config/libvirt/qemu/dump").iterdir())
    found = [json.loads(bench.service.vmcorectl("info", "--output", "json", dump)) for dump in dumps]
    expect(bench.findings, f"{bench.label}: libvirt's own dump", [
        ("complete, of a panic", [(info["incomplete"], info["kernel"]["panicked"]) for info in found], [(False, True)])])
    for dump in dumps:
        dump.unlink()


def policies(vmcorectl, kind: str, findings, table) -> None:
    with LibvirtRig(kind, MEMORY, name="guest") as rig:
        with beside_libvirt(vmcorectl, rig, EACH, findings, table, kind) as bench:
            domain = Domain(rig)
            for armed in (True, False):
                for action in ACTIONS:
                    one_action(bench, domain, action, armed)
            bench.findings.check(f"{kind}: not tainted", [line for line in rig.taints() if "custom-monitor" in line])


def libvirt_fails(vmcorectl, kind: str, findings, table) -> None:
    """libvirt cannot write the dump that on_crash asks for, and leaves the domain as it is: nobody armed it."""
    with LibvirtRig(kind, MEMORY, name="guest", on_crash="coredump-restart") as rig:
        with beside_libvirt(vmcorectl, rig, EACH, findings, table, kind) as bench:
            folder = rig.folder / "home/config/libvirt/qemu/dump"
            folder.chmod(0o500)
            domain = Domain(rig)
            rig.send_panic()
            bench.wait_settled(domain.name, 1)
            state = domain.state(1, ALIVE)
            bench.judge("on_crash coredump-restart, no room for libvirt's dump", domain.name, bench.last(domain.name), state,
                        {"state": ALIVE, "dump": True, "flash": True, "policy": ("restart", True)})
            expect(findings, f"{kind}: no room for libvirt's dump", [("dumps", list(folder.iterdir()), []),
                                                                     ("boots", domain.boots(), 2)])


def runs_on(vmcorectl, kind: str, findings, table) -> None:
    """on_crash preserve-running: libvirt 12.6 and later."""
    if kind != "newest":
        return
    with LibvirtRig(kind, MEMORY, name="guest", on_crash="preserve-running") as rig:
        with beside_libvirt(vmcorectl, rig, EACH, findings, table, kind) as bench:
            domain = Domain(rig)
            for armed in (False, True):
                if armed:
                    bench.service.vmcorectl("arm", domain.name, "--socket", bench.service.socket)
                settled, boots = bench.settled(domain.name), domain.boots()
                rig.send_panic()
                bench.wait_settled(domain.name, settled + 1)
                crash = bench.last(domain.name)
                bench.judge(f"on_crash preserve-running, {'armed' if armed else 'not armed'}", domain.name, crash,
                            domain.state(boots, IN_PANIC),
                            {"state": IN_PANIC, "dump": True, "flash": True, "policy": ("resume", True)})
                domain.revive()


def kdump(vmcorectl, kind: str, findings, table) -> None:
    """Its own capture kernel sends the dump; or it never sends anything, and the crash is dumped from outside."""
    chosen = kernel("6.1")
    shell = LOAD.format(release=chosen.release, capture=capture_rig.CAPTURE_IMAGE.format(release=chosen.release)).encode()
    with scratch_folder() as scratch:
        images = {"sends": build_image(chosen, Path(scratch)), "is silent": with_busybox(SILENT_INIT).finish()}
    for how, image in images.items():
        initrd = capture_rig.build(chosen, CaptureConfig(name="guest"), image, {"shell": shell})
        with LibvirtRig(kind, 512, version="6.1", name="guest", initrd=initrd, devices=CHANNEL,
                        kernel_words=("crashkernel=160M", "crash_kexec_post_notifiers")) as rig:
            text = EACH + 'after-crash = "restart"\n' + ("" if how == "sends" else 'kdump-limit = "20s"\n')
            with beside_libvirt(vmcorectl, rig, text, findings, table, kind) as bench:
                domain = Domain(rig)
                domain.ready = "\nARMED"
                domain.wait_boot(1)
                rig.send_panic()
                bench.wait_settled(domain.name, 1)
                state = domain.state(1, ALIVE)
                crash = bench.last(domain.name)
                wanted = {"state": ALIVE, "dump": True}
                if how == "is silent":
                    wanted |= {"flash": True, "policy": ("restart", True)}
                bench.judge(f"kdump in the guest {how}", domain.name, crash, state, wanted)
                method = ((crash or {}).get("manifest") or {}).get("capture", {}).get("method")
                expect(findings, f"{kind}: kdump {how}", [("the guest's own", method == "guest", how == "sends")])


WATCHDOG = "<watchdog model='i6300esb' action='none'/>"


def hangs(vmcorectl, kind: str, findings, table) -> None:
    """A watchdog that only tells: the guest runs on, or panics by an NMI."""
    initrd = initramfs.build(kernel("6.12"), Config(name="guest").workload_arguments(), ("i6300esb",))
    with LibvirtRig(kind, MEMORY, name="guest", initrd=initrd, devices=WATCHDOG, kernel_words=("unknown_nmi_panic",)) as rig:
        for on_hang in ("report", "dump", "nmi"):
            text = EACH + f'after-crash = "restart"\non-hang = "{on_hang}"\n'
            with beside_libvirt(vmcorectl, rig, text, findings, table, kind) as bench:
                domain, settled = Domain(rig), bench.settled("guest")
                boots, before = domain.boots(), len(bench.service.crashes("guest"))
                rig.tell("hang")
                bench.wait_settled("guest", settled + 1)
                crash = bench.service.crashes("guest")[-1]
                if on_hang == "nmi":
                    bench.judge("on-hang nmi", "guest", bench.last("guest"), domain.state(boots, ALIVE),
                                {"state": ALIVE, "flash": True, "policy": ("restart", True)})
                manifest, dump = crash["manifest"], crash["manifest"]["dump"]
                hung = on_hang != "nmi"
                expect(findings, f"{kind}: on-hang {on_hang}", [
                    ("one crash", len(bench.service.crashes("guest")) - before, 1),
                    ("reason", manifest["reason"], "hang" if hung else "panic"), ("witness", manifest["witness"], "event"),
                    ("a flash report", manifest.get("to_flash_ms") is not None, True), ("damage", crash["damage"], None),
                    ("of its memory", "no report was made of the guest's memory" in json.dumps(manifest["remarks"]), False),
                    ("a dump", bool(dump), on_hang != "report"), ("verified", manifest["verified"], on_hang != "report"),
                    ("complete", manifest["complete"], on_hang != "report"),     # a report is not all of a crash
                    ("runs", (rig.status(), domain.boots() > boots), ("running", not hung))])
                if hung:
                    bench.table.add(f"{kind}: on-hang {on_hang}", crash, "runs on")


def two(vmcorectl, kind: str, findings, table) -> None:
    with LibvirtRig(kind, MEMORY, name="first") as rig, Neighbour(rig, "second") as other:
        with beside_libvirt(vmcorectl, rig, EACH + 'after-crash = "restart"\n', findings, table, kind) as bench:
            domains = [Domain(rig), Domain(other)]
            for domain in domains:
                domain.rig.send_panic()
            for domain in domains:
                bench.wait_settled(domain.name, 1)
                state = domain.state(1, ALIVE)
                bench.judge(f"two at once, the {domain.name}", domain.name, bench.last(domain.name), state,
                            {"state": ALIVE, "dump": True, "flash": True, "policy": ("restart", True)})


def loop(vmcorectl, kind: str, findings, table) -> None:
    """One guest panics again and again, another one once: the store is full long before."""
    text = ROOM + 'max-count = 8\n[guests]\nafter-crash = "restart"\n'
    panics = int(os.environ.get("VMCORECTL_PANICS", 20))
    with LibvirtRig(kind, MEMORY, name="loop") as rig, Neighbour(rig, "quiet") as other:
        with beside_libvirt(vmcorectl, rig, text, findings, table, kind) as bench:
            domain, quiet = Domain(rig), Domain(other)
            states, first = [], None
            for number in range(1, panics + 1):
                rig.send_panic()
                if number == panics // 3:
                    other.send_panic()
                bench.wait_settled(domain.name, number)
                states.append(domain.state(number, ALIVE))
                first = first or bench.last(domain.name)
            bench.wait_settled(quiet.name, 1)
            bench.judge(f"{panics} panics beside it: the quiet one", quiet.name, bench.last(quiet.name), quiet.state(1, ALIVE),
                        {"state": ALIVE, "dump": True, "flash": True, "policy": ("restart", True)})
            crashes = bench.service.crashes(domain.name)
            dumps = [crash["id"] for crash in crashes if crash["manifest"]["dump"]]
            bench.table.add(f"{kind}: {panics} panics: the first", first, states[0])
            bench.table.add(f"{kind}: {panics} panics: the last", crashes[-1], states[-1])
            print(bench.service.run("list"), flush=True)
            expect(findings, f"{kind}: {panics} panics", [
                ("each time", states, [ALIVE] * panics), ("only the first dump", dumps, [first["id"]]),
                ("all with a flash report", [c["id"] for c in crashes if c["manifest"].get("to_flash_ms") is None], []),
                ("the limit", len(crashes) + 1 <= 8, True), ("the newest", crashes[-1]["manifest"]["complete"], True),
                ("why no dump", all("repeats" in c["manifest"]["memory_left_out"] for c in crashes[1:]), True),
                ("damaged", [c["id"] for c in crashes if c["damage"]], [])])


@contextlib.contextmanager
def small_disk(folder: Path, mib: int, own):
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "none", folder], check=True)
    own(folder)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def small(vmcorectl, kind: str, findings, table) -> None:
    """A store that has little room: for filtered dumps, and for dumps of all memory that do not fit."""
    for mib in (120, 400):
        for level in (31, 0):
            with LibvirtRig(kind, MEMORY, name="guest") as rig, small_disk(rig.folder / "home/store", mib, rig.own):
                text = OFTEN + f'after-crash = "restart"\nlevel = {level}\n'
                label = f"{kind}, {mib} MiB, level {level}"
                with beside_libvirt(vmcorectl, rig, text, findings, table, label) as bench:
                    domain = Domain(rig)
                    for number in range(1, 5):
                        rig.send_panic()
                        bench.wait_settled(domain.name, number)
                        state = domain.state(number, ALIVE)
                        crash = bench.last(domain.name)
                        fits = level == 31 or None
                        bench.judge(f"crash {number}", domain.name, crash, state, {
                            "state": ALIVE, "flash": True, "policy": ("restart", True), **({"dump": True} if fits else {})})
                    listed = bench.service.crashes(domain.name)
                    print(bench.service.run("list"), flush=True)
                    expect(findings, label, [
                        ("damaged", [c["id"] for c in listed if c["damage"]], []),
                        ("complete and incomplete", [c["id"] for c in listed if c["manifest"]["complete"] and
                                                     (c["manifest"]["dump"] or {}).get("incomplete")], [])])


def dump_under_way(bench: Bench, domain: Domain) -> None:
    kept = bench.service.said().count(f"{domain.name}: its flash report is kept")
    domain.rig.send_panic()
    bench.service.wait_for(f"{domain.name}: its flash report is kept", SECONDS, kept + 1)


def libvirtd(vmcorectl, kind: str, findings, table) -> None:
    """Its daemon is restarted: while a crashed domain stands, before its crash was heard of, and in a dump."""
    with LibvirtRig(kind, MEMORY, name="guest") as rig:
        with beside_libvirt(vmcorectl, rig, EACH + "level = 0\n", findings, table, kind) as bench:
            domain, service = Domain(rig), bench.service
            rig.send_panic()
            bench.wait_settled(domain.name, 1)
            rig.restart_daemon()
            service.wait_for("connected to libvirt", times=2)
            time.sleep(3)       # for a second crash, which must not come
            bench.judge("libvirtd restarted, preserved", domain.name, bench.last(domain.name), domain.state(1, STANDS),
                        {"state": STANDS, "dump": True, "flash": True, "policy": ("preserve", True)})
            expect(findings, f"{kind}: libvirtd restarted, preserved", [("crashes", len(service.crashes(domain.name)), 1)])
            domain.revive()
        service.log.unlink()
        with beside_libvirt(vmcorectl, rig, EACH + 'level = 0\nafter-crash = "restart"\n', findings, table, kind) as bench:
            domain, boots = Domain(rig), Domain(rig).boots()
            rig.daemon.send_signal(signal.SIGTERM)
            rig.daemon.wait(60)
            rig._socket.unlink(missing_ok=True)
            rig.send_panic()
            rig.start_daemon()
            bench.wait_settled(domain.name, 1)
            bench.judge("it panics while no libvirtd runs", domain.name, bench.last(domain.name), domain.state(boots, ALIVE),
                        {"state": ALIVE, "dump": True, "flash": True, "policy": ("restart", True)})
            boots = domain.boots()
            dump_under_way(bench, domain)
            rig.restart_daemon()
            bench.wait_settled(domain.name, 2)
            state = domain.state(boots, ALIVE)
            bench.judge("libvirtd restarted in a dump", domain.name, bench.last(domain.name), state,
                        {"state": ALIVE, "flash": True, "policy": ("restart", True)})


def qemu_of(rig: LibvirtRig) -> int:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_text(errors="replace")
            if "qemu-system" in words and f"guest={rig.name}," in words and str(rig.folder) in words:
                return int(path.parent.name)
    raise GuestError(f"{rig.name} has no QEMU")


def killed(vmcorectl, kind: str, findings, table) -> None:
    with LibvirtRig(kind, MEMORY, name="guest") as rig:
        with beside_libvirt(vmcorectl, rig, EACH + 'level = 0\nafter-crash = "restart"\n', findings, table, kind) as bench:
            domain = Domain(rig)
            dump_under_way(bench, domain)
            os.kill(qemu_of(rig), signal.SIGKILL)
            bench.wait_settled(domain.name, 1)
            crash = bench.last(domain.name)
            bench.judge("QEMU killed in a dump", domain.name, crash, domain.state(1, GONE), {"state": GONE, "flash": True})
            expect(findings, f"{kind}: QEMU killed in a dump", [
                ("one crash", len(bench.service.crashes(domain.name)), 1), ("damage", crash["damage"], None)])
            domain.revive()     # and the next one is kept
            rig.send_panic()
            bench.wait_settled(domain.name, 2)
            bench.judge("after a QEMU that was killed", domain.name, bench.last(domain.name), domain.state(1, ALIVE),
                        {"state": ALIVE, "dump": True, "flash": True, "policy": ("restart", True)})


class Held(Guest):
    """A guest whose monitor vmcored holds, in a folder."""

    def __init__(self, folder: Path, **more):
        words = more.pop("words", ())
        folder.mkdir(mode=0o700, exist_ok=True)
        self.held = folder / "guest.sock"
        super().__init__(Config(name="guest", kernel="6.12", memory_mib=MEMORY, **more, words=(
            "-action", "reboot=reset", "-qmp", f"unix:{self.held},server=on,wait=off", *words)))

    def boots(self) -> int:
        return len(re.findall(r"^READY\r?$", self.console, re.M))

    def state(self, boots: int, wanted: str) -> str:
        deadline = time.monotonic() + (2 * BOOT_SECONDS if wanted == ALIVE else 30)
        while time.monotonic() < deadline:
            if wanted == GONE and self.process.poll() is not None or wanted == ALIVE and self.boots() > boots:
                break
            if wanted in (STANDS, IN_PANIC):
                break
            time.sleep(0.2)
        if self.process.poll() is not None:
            return GONE
        status = self.status()
        if status != "running":
            return STANDS if status == "guest-panicked" else status
        return ALIVE if self.boots() > boots else IN_PANIC


# QEMU's action for a panic, after-crash, armed -> how the guest stands, the policy, whether memory is dumped
FOLDER = [
    ("pause", "as-domain", "", STANDS, ("preserve", True), True),
    ("pause", "restart", "", ALIVE, ("restart", True), True),
    ("none", "as-domain", "", IN_PANIC, ("resume", True), True),
    ("none", "as-domain", "arm", IN_PANIC, ("resume", True), True),
    ("shutdown", "as-domain", "arm", GONE, ("destroy", True), True),
    ("shutdown", "as-domain", "", GONE, None, None),
    ("no device", "as-domain", "trap", ALIVE, ("restart", True), True),
]


def folder(vmcorectl, _kind: str, findings, table) -> None:
    for action, after, arm, state, policy, dumped in FOLDER:
        case = f"panic={action}, after-crash {after}, {dict(arm='armed', trap='in the reset trap').get(arm, 'not armed')}"
        device = ({"panic_device": False, "kernel_words": ("panic=1",)} if action == "no device"
                  else {"words": ("-action", f"panic={action}")})
        with scratch_folder() as scratch, Held(Path(scratch) / "qmp", **device) as guest:
            service = Vmcored(program_of(vmcorectl), EACH + f'after-crash = "{after}"\n', ["--qmp-folder", Path(scratch) / "qmp"],
                              Path(scratch), Path(scratch))
            service.start()
            try:
                bench = Bench(service, findings, table, "QMP folder")
                deadline = time.monotonic() + 30
                while "guest" not in service.vmcorectl("arm", "--socket", service.socket) and time.monotonic() < deadline:
                    time.sleep(0.2)
                if arm:
                    told = service.vmcorectl("arm", "--qmp", guest.held, "--socket", service.socket,
                                             *(["--trap-resets"] if arm == "trap" else []))
                    findings.check(f"{case}: arm", [told] if told.startswith("exit") else [])
                guest.tell("panic 0")
                bench.wait_settled("guest", 1)
                now = guest.state(1, state)
                wanted = {"state": state, **({"dump": True, "flash": True, "policy": policy} if dumped else {})}
                bench.judge(case, "guest", bench.last("guest"), now, wanted)
            except GuestError as error:
                findings.check(case, [str(error)[-4000:]])
            finally:
                if service.process.poll() is None:
                    service.stop()


PARTS = {part.__name__: part for part in (policies, libvirt_fails, runs_on, kdump, hangs, two, loop, small, libvirtd, killed, folder)}


def main_test(vmcorectl, _guests, findings) -> None:
    table = Table()
    parts = os.environ.get("VMCORECTL_PARTS", " ".join(PARTS)).split()
    kinds = os.environ.get("VMCORECTL_LIBVIRT", " ".join(KINDS)).split()
    if not available() or not daemon_program("session"):
        findings.skip("beside libvirt", "no libvirtd with its QEMU driver")
        kinds = []
    try:
        for part in parts:
            for kind in ["-"] if part == "folder" else kinds:
                PARTS[part](vmcorectl, kind, findings, table)
    finally:
        print("\nseconds from the panic:")
        Table.show(table.rows)


if __name__ == "__main__":
    sys.exit(run_test(main_test, [], __doc__))
