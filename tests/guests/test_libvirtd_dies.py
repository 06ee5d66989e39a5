#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's daemon is killed in the pause of a dump. Up to libvirt 11.4 the pause is QEMU's own, and the guest runs again
when the dump ends. libvirt 11.5 and later stop the guest themselves: it stands still until the daemon is started again,
and vmcorectl says so."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.dump_checks import expect
from guests.harness import run_test
from guests.libvirt_rig import LibvirtRig, available
from guests.witness import Witness

ATTEMPTS = 5    # a pause of milliseconds may be over before it is seen
STILL_SECONDS = 5


def ours(rig) -> list:
    """vmcorectl and its worker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/exe"):
        try:
            if Path(os.readlink(path)).parent == rig.folder / "bin":
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


def kill_daemon_in_pause(rig, command: list) -> tuple:
    """The daemon is killed while all of ours are stopped; the events and the result of the dump, None where it was late."""
    witness = Witness(rig.folder / "witness.sock")
    dump = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (pids := ours(rig)) or len(pids) < 2 and dump.poll() is None:
        time.sleep(0.01)
    stopped = witness.wait_for_stop(60)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(0.3)
    in_pause = stopped and [name for name, _ in witness.events] == ["STOP"]
    if in_pause:
        rig.daemon.kill()
        rig.daemon.wait()
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    begun = time.monotonic()
    out, errors = dump.communicate(timeout=300)
    seconds = time.monotonic() - begun
    witness.paused()
    witness.close()
    return (witness.seen, dump.returncode, out + errors, seconds) if in_pause else None


def one(vmcorectl, findings, kind: str, method: str) -> None:
    with LibvirtRig(kind) as rig:
        out = rig.folder / "home/out"
        out.mkdir()
        rig.own(out)
        for attempt in range(ATTEMPTS):
            command = rig.command(vmcorectl.path, "dump", "-c", rig.uri, rig.name, "--method", method, "--pause-limit", "none",
                                  "-o", out / f"{attempt}.vmcore")
            if found := kill_daemon_in_pause(rig, command):
                break
        else:
            findings.skip(f"{kind}, {method}", "the pause was never seen")
            return
        events, code, text, seconds = found
        time.sleep(STILL_SECONDS)
        without = rig.status()
        rig._socket.unlink(missing_ok=True)
        begun = time.monotonic()
        rig.start_daemon()
        while rig.status() != "running" and time.monotonic() - begun < 60:
            time.sleep(0.1)
        again = rig.status()
        print(f"  {kind}, {method}: {events}, exit {code} {seconds:.1f} s after the daemon's death; {STILL_SECONDS} s later {without}; "
              f"{again} {time.monotonic() - begun:.1f} s after it was started again\n    {text.strip()}", flush=True)
        by_itself = kind == "session"
        expect(findings, f"{kind}, {method}", [
            ("events", events, ["STOP", "RESUME"] if by_itself else ["STOP"]),
            ("without a daemon", without == "running", by_itself), ("with a daemon again", again, "running"),
            ("exit code", code, 4), ("says so", "stays paused until libvirt is started again" in text, not by_itself)])


def test(vmcorectl, _, findings) -> None:
    if not available():
        print("SKIPPED: no libvirt with its QEMU driver")
        sys.exit(77)
    for kind in ("session", "newest"):
        for method in ("direct", "libvirt"):
            one(vmcorectl, findings, kind, method)


if __name__ == "__main__":
    sys.exit(run_test(test, [], __doc__))
