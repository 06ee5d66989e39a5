#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What test_service_package.py runs in its guest: the package is installed, its service keeps crashes, reads its
configuration again, makes no system call that its unit forbids, is watched by systemd, upgraded, killed, stopped, and
purged. Each step is a line of JSON on the first serial line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, "/root")     # not where this runs from
from fake_fleet import config

STORE = Path("/var/lib/vmcorectl")
METRICS = Path("/var/lib/prometheus/node-exporter/vmcored.prom")
CONFIG = config(f'metrics = "{METRICS}"').format(sockets="/run/guests", store=STORE)
OWN_CONFIG = Path("/etc/vmcorectl/conf.d/test.conf")
# A call that the unit forbids ends the process instead of failing, and the kernel says so.
STRICT = """[Service]
SystemCallErrorNumber=kill
WatchdogSec=30s
"""
DROP_IN = Path("/run/systemd/system/vmcored.service.d/strict.conf")
AUDIT = {"dump": "8ef02650132d4de0a07847420ea5c795", "crash-seen": "a138318ba97b4b0f87cdf7f450349b5c",
         "policy": "74f641ec83074493829daa36fdb5026c", "arm": "25255086b82e4e0394f9a07ed452b66f"}
# What a job of the service may do, as it is for a program that systemd-run starts.
CONFINEMENT = ("CapabilityBoundingSet", "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices",
               "ProtectClock", "ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules",
               "ProtectKernelTunables", "LockPersonality", "MemoryDenyWriteExecute", "RestrictNamespaces", "RestrictRealtime",
               "RestrictAddressFamilies", "SystemCallArchitectures", "SystemCallErrorNumber", "SystemCallFilter",
               "ReadWritePaths", "RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve", "UMask", "LimitCORE")
PATIENCE = 240      # seconds, under TCG

line = open("/dev/ttyS0", "w", buffering=1)


def say(step: str, **found) -> None:
    print("\n" + json.dumps({"step": step, **found}), file=line)


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, **more)


def out(*words) -> str:
    return run(*words).stdout.strip()


def wait_until(condition) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


class Guests:
    """The fake guests, vm000 to vm007."""

    def __init__(self):
        Path("/run/guests").mkdir(mode=0o700)
        self.process = subprocess.Popen(["/usr/bin/python3", "/root/fake_fleet.py", "/run/guests", "/root/memory", "8"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, text: str) -> None:
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def state(self) -> list:
        self.tell("state")
        return [json.loads(self.process.stdout.readline()) for _ in range(8)]

    def all_run(self) -> bool:
        return all(guest["status"] == "running" for guest in self.state())


def crashes() -> list:
    done = run("vmcorectl", "list", "--output", "json")
    return json.loads(done.stdout)["crashes"] if done.stdout.startswith("{") else []


def whole() -> int:
    return sum(bool(crash["manifest"] and crash["manifest"]["complete"]) for crash in crashes())


def kept(number: int) -> dict:
    """When so many crashes are kept as a whole, and all guests run again."""
    in_time = wait_until(lambda: whole() >= number and guests.all_run())
    found = [(crash["manifest"] or {}) for crash in crashes()]
    return {"in_time": in_time, "crashes": len(found), "damaged": [crash["damage"] for crash in crashes() if crash["damage"]],
            "complete": sum(bool(manifest.get("complete")) for manifest in found),
            "files": sorted({file["name"] for manifest in found for file in manifest.get("files", [])}),
            "states": [guest["status"] for guest in guests.state()]}


def service(*properties) -> dict:
    shown = out("systemctl", "show", "vmcored.service", *(f"--property={name}" for name in properties))
    return dict(row.split("=", 1) for row in shown.splitlines())


def journal(*words) -> str:
    return out("journalctl", "--quiet", *words)


def said(text: str) -> int:
    """How often the service did."""
    return journal("--unit=vmcored.service", "--output=cat").count(text)


# What the example says that a site must add: its sockets, its hooks.
OWN_PATHS = """/run/guests/{,*} rw,
/etc/vmcorectl/own-hooks/{,*} rix,
/usr/bin/{dash,wc} rix,
"""
PROFILE = Path("/etc/apparmor.d/vmcored")


def load_profile(complain: bool = True) -> str:
    """The example's AppArmor profile; what its parser says."""
    (PROFILE.parent / "local/vmcored").write_text(OWN_PATHS)
    text = Path("/usr/share/doc/vmcorectl/examples/apparmor/vmcored").read_text()
    PROFILE.write_text(text if complain else text.replace("flags=(complain, ", "flags=("))
    return run("apparmor_parser", "--replace", PROFILE).stderr


def confinement() -> str:
    """The profile of the service's process, and its mode."""
    return Path(f"/proc/{service('MainPID')['MainPID']}/attr/current").read_text().strip()


def drop_profile() -> None:
    run("apparmor_parser", "--remove", PROFILE)
    PROFILE.unlink()
    (PROFILE.parent / "local/vmcored").unlink()


def beyond_profile() -> list:
    """What the service and its jobs did that the profile does not allow: in complain mode, or in vain."""
    return sorted({re.sub(r'^.*apparmor=| pid=\d+', "", row) for row in out("dmesg").splitlines()
                   if re.search('apparmor="(ALLOWED|DENIED)"', row)})


def self_check() -> dict:
    """How the programs that open a dump fared with the newest one: {program: outcome}."""
    def checked():
        found = crashes()
        return found[-1]["manifest"].get("self_check") if found and found[-1]["manifest"] else None
    wait_until(checked)
    return {row["with"].split()[0]: row["outcome"] for row in (checked() or {"programs": []})["programs"]}


def forbidden_calls() -> list:
    """What the kernel says of processes that seccomp ended."""
    return [row for row in out("dmesg").splitlines() if "type=1326" in row]


def given_back() -> int:
    """How often the unit that gives guests back was started."""
    return journal("--unit=vmcored-give-back.service", "--output=cat").count("Starting ")


def confined_dump() -> None:
    """What the unit allows is enough for method direct: of a QEMU of another user, whose memory is a file."""
    folder = Path("/run/other")
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    qemu = subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "qemu-system-x86_64", "-S",
                             "-accel", "tcg", "-nodefaults", "-display", "none", "-m", "32M", "-object",
                             "memory-backend-file,id=ram,size=32M,mem-path=/run/other/ram,share=on", "-machine",
                             "q35,memory-backend=ram", "-qmp", "unix:/run/other/qmp,server=on,wait=off"])
    wait_until((folder / "qmp").exists)
    unit = Path("/usr/lib/systemd/system/vmcored.service").read_text()
    settings = [row for row in unit.splitlines() if row.split("=")[0] in CONFINEMENT]
    done = run("systemd-run", "--quiet", "--wait", "--pipe", *(word for row in settings for word in ("-p", row)), "vmcorectl",
               "dump", "--qmp", folder / "qmp", "--method", "direct", "-o", STORE / "direct", "--output", "json")
    say("direct", code=done.returncode, text=done.stderr[-1500:], settings=len(settings),
        method=json.loads(done.stdout)["guest"]["method"] if done.stdout.startswith("{") else None)
    (STORE / "direct").unlink(missing_ok=True)
    qemu.kill()


def leftovers() -> list:
    roots = ["/etc", "/usr", "/var", "/run", "/lib/systemd"]
    found = out("find", *roots, "-xdev", "(", "-name", "*vmcorectl*", "-o", "-name", "*vmcored*", "-o", "-name", "vmcore-*", ")",
                "-not", "-path", f"{STORE}*", "-not", "-path", f"{METRICS}", "-not", "-path", "/var/log/*", "-not", "-path",
                "/var/lib/dpkg/*", "-not", "-path", "/run/systemd/*")
    return found.splitlines()


def reader_sees() -> dict:
    """A member of the group reads manifests, and neither logs nor memory."""
    run("useradd", "--groups", "vmcorectl", "reader")
    as_reader = ("setpriv", "--reuid=reader", "--regid=reader", "--init-groups", "env", "-C", "/")
    return {"list": run(*as_reader, "vmcorectl", "list").returncode, "dmesg": run(*as_reader, "vmcorectl", "dmesg", "-1").returncode,
            "unreadable": out(*as_reader, "find", STORE, "-type", "f", "-readable", "-not", "-name", "manifest.json", "-not",
                              "-name", "state.json").splitlines()}


def reload() -> None:
    """A configuration that is wrong is refused, and the old one stays; one that is right is used, by the same process."""
    process = service("MainPID")
    OWN_CONFIG.write_text(CONFIG.replace('"restart"', '"no such policy"'))
    codes = [run("systemctl", "reload", "vmcored").returncode]
    refused = wait_until(lambda: said("the old configuration stays in use"))
    OWN_CONFIG.write_text(CONFIG.replace("[service]", '[service]\nhooks = "/etc/vmcorectl/own-hooks"'))
    hook = Path("/etc/vmcorectl/own-hooks/10-mark")
    hook.parent.mkdir()
    hook.write_text('#!/bin/sh\necho "hook has $(wc -c) bytes of $VMCORECTL_CRASH"\n')
    hook.chmod(0o755)
    codes.append(run("systemctl", "reload", "vmcored").returncode)
    read = wait_until(lambda: said("the configuration was read again"))
    before = whole()
    guests.tell("panic vm006")
    found = kept(before + 1)
    say("reloaded", **found, codes=codes, refused=refused, read=read, hook=wait_until(lambda: said("hook has")),
        same=service("MainPID") == process, **service("ActiveState"))


def strict() -> None:
    """With a filter that ends processes, and a short watchdog."""
    DROP_IN.parent.mkdir(parents=True)
    DROP_IN.write_text(STRICT)
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "vmcored.service")
    before = whole()
    guests.tell("panic vm006")
    found = kept(before + 1)
    say("strict", **found, forbidden=forbidden_calls(), **service("ActiveState", "NRestarts"))

    run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", "vmcored.service")
    guests.tell("panic vm007")
    found = kept(before + 2)
    say("watched", **found, expired=said("Watchdog timeout"), forbidden=forbidden_calls(), **service("ActiveState", "NRestarts"))
    # A call that is forbidden, to see that it would have been seen.
    run("systemd-run", "--quiet", "--wait", "-p", "SystemCallFilter=@system-service", "-p", "SystemCallErrorNumber=kill", "python3",
        "-c", "import ctypes; ctypes.CDLL(None).swapoff(b'/')")
    say("seen", forbidden=len(forbidden_calls()))
    DROP_IN.unlink()
    run("systemctl", "daemon-reload")


def sos() -> None:
    """What a sos report gets by the example's plugin."""
    (OWN_CONFIG.parent / "chat.conf").write_text('# chat = "https://chat.example/the-token"\n')
    plugins = Path("/usr/lib/python3/dist-packages/sos/report/plugins")
    (plugins / "vmcorectl.py").write_bytes(Path("/usr/share/doc/vmcorectl/examples/sos/vmcorectl.py").read_bytes())
    done = run("sos", "report", "--batch", "--only-plugins", "vmcorectl", "--tmp-dir", "/var/tmp", "--log-size", "1000")
    archive = next(Path("/var/tmp").glob("sosreport-*.tar.*[!56]"), "/none")
    names = [name.split("/", 1)[-1] for name in out("tar", "-tf", archive).splitlines()]
    crash = crashes()[-1]["id"]
    wanted = [f"var/lib/vmcorectl/{crash}/manifest.json", "etc/vmcorectl/conf.d/test.conf", "etc/vmcorectl/conf.d/chat.conf",
              *(f"sos_commands/vmcorectl/{name}" for name in ("vmcored_--check-config", "vmcorectl_list_--output_json",
                                                              "vmcorectl_check_--output_json"))]
    say("sos", code=done.returncode, text=(done.stdout + done.stderr)[-1500:], missing=[name for name in wanted if name not in names],
        data=[name for name in names if re.search(r"vmcore$|dmesg|report\.json|console|registers", name.split("/")[-1])],
        token=out("tar", "-xOf", archive).count("the-token"))
    for path in (OWN_CONFIG.parent / "chat.conf", *plugins.rglob("vmcorectl.*")):
        path.unlink()


def enforced() -> None:
    """With the AppArmor profile enforced."""
    said_of_profile = load_profile(complain=False)
    run("systemctl", "restart", "vmcored.service")
    connected = wait_until(lambda: all(guest["clients"] for guest in guests.state()))
    before = whole()
    guests.tell("panic vm005")
    say("enforced", **kept(before + 1), text=said_of_profile, connected=connected, profile=confinement(), self_check=self_check(),
        beyond_profile=beyond_profile(), **service("ActiveState"))


def steps() -> None:
    done = run("dpkg", "-i", "/packages/1.deb")
    say("installed", code=done.returncode, text=done.stderr, enabled=out("systemctl", "is-enabled", "vmcored"),
        active=out("systemctl", "is-active", "vmcored"), store=out("stat", "-c", "%a %U %G", STORE),
        verify=run("systemd-analyze", "verify", "--man=no", "vmcored.service", "vmcored-give-back.service").stderr,
        exposure=out("systemd-analyze", "security", "--no-pager", "vmcored.service")[-200:])
    confined_dump()
    profile = load_profile()

    METRICS.parent.mkdir(parents=True)
    OWN_CONFIG.parent.mkdir(parents=True, exist_ok=True)
    OWN_CONFIG.write_text(CONFIG)
    done = run("systemctl", "start", "vmcored")
    connected = wait_until(lambda: all(guest["clients"] for guest in guests.state()))
    say("started", code=done.returncode, text=done.stderr + profile, connected=connected, profile=confinement(),
        **service("ActiveState", "StatusText"))

    guests.tell("panic vm000")
    found = kept(1)
    say("crashed", **found, reader=reader_sees(), metrics=wait_until(lambda: METRICS.exists() and "vmcored_crashes_total{" in METRICS.read_text()),
        audit={deed: journal(f"MESSAGE_ID={number}", "--output=cat").count("vm000") for deed, number in AUDIT.items()})
    reload()
    strict()

    before = whole()
    guests.tell("panic vm001 vm002 vm003 vm004")
    done = run("dpkg", "-i", "/packages/2.deb")
    say("upgraded", code=done.returncode, text=done.stderr, version=out("dpkg-query", "-W", "-f", "${Version}", "vmcorectl"),
        **kept(before + 4), **service("ActiveState"), given_back=given_back())

    before = whole()
    run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "vmcored.service")
    guests.tell("panic vm005")
    say("killed", **kept(before + 1), **service("ActiveState", "NRestarts"), given_back=given_back(), self_check=self_check(),
        beyond_profile=beyond_profile())
    enforced()
    sos()

    run("systemctl", "stop", "vmcored.service")
    wait_until(lambda: given_back() == 1 and out("systemctl", "is-active", "vmcored-give-back") == "inactive")
    say("stopped", given_back=given_back(), result=out("systemctl", "show", "--property=Result", "--value", "vmcored-give-back"))

    drop_profile()
    run("systemctl", "enable", "--now", "vmcored.service")
    done = run("dpkg", "--purge", "vmcorectl")
    say("purged", code=done.returncode, text=done.stdout + done.stderr, left=leftovers(),
        crashes=len(list(STORE.glob("[0-9]*"))), processes=out("pgrep", "--list-name", "vmcore"),
        units=out("systemctl", "list-units", "--all", "--plain", "--no-legend", "vmcore*"))


run("dmesg", "-n", "1")          # nobody else speaks on the console: the kernel, systemd
os.kill(1, signal.SIGRTMIN + 21)
guests = Guests()
try:
    steps()
except Exception as failure:    # the test shows it
    say("failed", why=repr(failure))
say("journal", text=out("journalctl", "--unit=vmcored*", "--output=short-monotonic", "--no-pager")[-6000:])
say("end")
time.sleep(2)       # the line is slow
subprocess.run(["systemctl", "poweroff", "--force"])
