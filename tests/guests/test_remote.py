#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""--remote by a real sshd, on a port of this host: a domain of a session daemon is looked at and dumped as if it were
far; the guest runs again when either end is interrupted or killed."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import NO_LIMIT, expect, run_dump, same_as_converted
from guests.harness import run_test, scratch_folder
from guests.libvirt_rig import LibvirtRig, available

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")


class Sshd:
    """Lets the user of this test in by a key of its own; `far` is a folder in front of the PATH there."""

    def __init__(self, folder: Path, far: Path):
        self.folder, self.key = folder, folder / "key"
        for name in ("key", "host_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        wrapper = folder / "enter"
        wrapper.write_text(f'#!/bin/sh\nPATH={far}:/usr/bin:/bin exec sh -c "$SSH_ORIGINAL_COMMAND"\n')
        wrapper.chmod(0o755)
        (folder / "authorized_keys").write_text(f'command="{wrapper}" ' + (folder / "key.pub").read_text())
        self.holder = socket.socket()   # bound and not listening: nobody gets the port but who names it
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.holder.bind(("127.0.0.1", 0))
        self.port = self.holder.getsockname()[1]
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nStrictModes no\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nUsePAM no\n")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)      # where its unprivileged half lives
        with open(folder / "sshd.log", "wb") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "config"], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

    def uri(self, local: str) -> str:
        """The URI by which the libvirt that is here at `local` is reached."""
        path, _, query = local.removeprefix("qemu:///").partition("?")
        return (f"qemu+ssh://127.0.0.1:{self.port}/{path}?keyfile={self.key}&no_tty=1&no_verify=1"
                + (f"&{query}" if query else ""))

    def reachable(self) -> bool:
        words = ["ssh", "-i", self.key, "-p", str(self.port), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
                 "127.0.0.1", "true"]
        for _ in range(20):
            if subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).returncode == 0:
                return True
            time.sleep(0.5)
        return False

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        self.holder.close()


class Case:
    def __init__(self, vmcorectl, rig, uri, findings, folder: Path):
        self.vmcorectl, self.rig, self.uri, self.findings, self.folder = vmcorectl, rig, uri, findings, folder
        self.out = folder / "out"
        self.out.mkdir()
        self.dump_file = self.out / "vmcore"

    def words(self, *words) -> list:
        return [*words, "-c", self.uri, "--remote", self.rig.name]

    def nothing_held(self, what: str, status: str) -> None:
        deadline = time.monotonic() + 30            # where the other end was left alone
        while self.rig.status() != status and time.monotonic() < deadline:
            time.sleep(0.1)
        expect(self.findings, f"{what}: afterwards", [
            ("status", self.rig.status(), status),
            ("job", "None" in self.rig.virsh("domjobinfo", self.rig.name), True),
            ("files", [path.name for path in self.out.iterdir()], [])])

    def looks(self) -> None:
        for words, said in ((["dmesg"], "Linux version"), (["dmesg", "--pause"], "Linux version"),
                            (["info"], "kernel"), (["memory"], "free"), (["check"], "PASS")):
            done = self.vmcorectl.run(*self.words(*words))
            print(f"  {' '.join(words)}: exit {done.returncode}, {len(done.stdout)} characters {done.stderr[:200]}", flush=True)
            expect(self.findings, " ".join(words), [("said", said in done.stdout, True)] +
                   ([("exit code", done.returncode, 0)] if words != ["check"] else []))
        done = self.vmcorectl.run("dmesg", "-c", self.uri, "--remote", "no such domain")
        expect(self.findings, "no such domain", [("exit code", done.returncode, 1), ("said", "no such domain" in done.stderr, True)])
        self.nothing_held("looks", "running")

    def dumped(self, status: str, *more) -> None:
        code, answer, errors = run_dump([self.vmcorectl.path], self.words("-o", self.dump_file, *more))
        print(f"  dump {' '.join(more)}: exit {code}, {answer.get('guest', {}).get('method')}, "
              f"pause {answer.get('guest', {}).get('pause_ms')} ms, {answer.get('size')} bytes {errors[:300]}", flush=True)
        expect(self.findings, f"dump, {status}", [
            ("exit code", code, 0), ("file", answer.get("file"), str(self.dump_file)),
            ("size", answer.get("size"), self.dump_file.stat().st_size if self.dump_file.exists() else None)])
        if status == "paused" and code == 0:
            raw = self.rig.dump_elf(self.folder / "raw")
            self.findings.check("equals QEMU's own dump, converted",
                                same_as_converted(self.vmcorectl, self.dump_file, raw, self.folder))
        self.dump_file.unlink(missing_ok=True)
        self.nothing_held(f"dump, {status}", status)

    def then(self) -> None:
        """The other end lets the guest run when its dump has its name here."""
        code, answer, errors = run_dump([self.vmcorectl.path], self.words("-o", self.dump_file, "--then", "resume"))
        print(f"  dump --then resume: exit {code} {errors[:300]}", flush=True)
        expect(self.findings, "--then", [
            ("exit code", code, 0), ("done", answer.get("guest", {}).get("then"), {"action": "resume", "done": True}),
            ("file", self.dump_file.exists(), True)])
        self.dump_file.unlink(missing_ok=True)
        self.nothing_held("--then", "running")

    def begun(self) -> subprocess.Popen:
        return subprocess.Popen([self.vmcorectl.path, "dump", *NO_LIMIT, *self.words("-o", self.dump_file, "--method", "libvirt")],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def broken_off(self) -> None:
        """Each end, while the guest is held: method libvirt holds it for long enough."""
        for what, number in (("interrupted", signal.SIGINT), ("killed", signal.SIGKILL), ("ssh killed", None)):
            for delay in (0.7, 1.5):
                process = self.begun()
                time.sleep(delay)
                held = self.rig.status()
                if number is None:
                    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                        os.kill(int(child), signal.SIGKILL)
                else:
                    process.send_signal(number)
                _, errors = process.communicate(timeout=120)
                print(f"  {what} after {delay} s ({held}): exit {process.returncode} {errors.decode()[:200]}", flush=True)
                self.dump_file.unlink(missing_ok=True)      # it may have been through
                self.nothing_held(f"{what} after {delay} s", "running")
                if number == signal.SIGINT and held != "running":
                    expect(self.findings, what, [("exit code", process.returncode, 130)])


def far_vmcorectl(vmcorectl, rig, folder: Path) -> Path:
    """A folder for the PATH of the other end: vmcorectl as the user that libvirt runs as."""
    far = folder / "far"
    far.mkdir()
    program = far / "vmcorectl"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(rig.command(vmcorectl.path))} "$@"\n')
    program.chmod(0o755)
    return far


def test(vmcorectl, _, findings) -> None:
    with scratch_folder() as scratch, LibvirtRig("session") as rig:
        folder = Path(scratch)
        sshd = Sshd(folder, far_vmcorectl(vmcorectl, rig, folder))
        try:
            if not sshd.reachable():
                findings.skip("remote", "sshd lets nobody in: " + (folder / "sshd.log").read_text()[-500:])
                return
            case = Case(vmcorectl, rig, sshd.uri(rig.uri), findings, folder)
            case.looks()
            case.dumped("running")
            case.broken_off()
            rig.virsh("suspend", rig.name)
            case.dumped("paused", "--verify")
            case.then()
        finally:
            sshd.close()


if __name__ == "__main__":
    if not available() or SSHD is None:
        print("SKIPPED: no libvirt with its QEMU driver, or no sshd")
        sys.exit(77)
    sys.exit(run_test(test, [], __doc__))
