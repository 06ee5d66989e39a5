# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong around vmcored while guests crash: disks, clocks, hooks, jobs, manifests, QEMU, a second vmcored. Whatever
it is, no guest stays dead, what is kept stays, and no part of a crash is listed as whole. The guests are monitors without
a QEMU (bench/fake_fleet.py)."""

import contextlib
import glob
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path

from harness import DONE, FAILED, NOT_AS_ASKED, VMCORECTL, Cli, main
from bench.fake_fleet import Fleet, Guest, config
from bench.fleet import Service, wait_until

BIN = Path(VMCORECTL).parent
CONFIG = config('hooks = "{folder}/hooks"\nhook-limit = "1s"\nmetrics = "{folder}/vmcored.prom"')
PATIENCE = 60
FAKETIME = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
MOUNTS = "VMCORECTL_OWN_MOUNTS"     # set: this process may mount what it likes


class WithGuests(Cli):
    """vm000, vm001 and vm002, which vmcored watches after begin()."""

    def setUp(self):
        super().setUp()
        self.service = Service(BIN / "vmcored", self.folder, CONFIG)
        self.store, self.state = self.service.store, self.folder / "state"
        self.fleet = Fleet(self.service.sockets, self.dump("qemu-6.12"), 3)
        self.fleet.start()

    def begin(self) -> None:
        before = {name: guest.clients for name, guest in self.fleet.guests.items()}
        self.service.start()
        self.addCleanup(self.end_all)
        self.until(lambda: all(self.fleet.guests[name].clients > clients for name, clients in before.items()),
                   "a connection to each guest")

    def end_all(self) -> None:
        """Jobs may outlive vmcored, and would write to a folder that is being removed."""
        jobs = self.service.jobs() if self.service.process.poll() is None else []
        if self.service.process.poll() is None:
            self.service.kill()
        for job in jobs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(job, signal.SIGKILL)

    def until(self, condition, what: str) -> None:
        try:
            wait_until(condition, what, PATIENCE)
        except TimeoutError as why:
            self.fail(f"{why}\n{self.service.said()}")

    def until_said(self, words: str, times: int = 1) -> None:
        self.until(lambda: self.service.said().count(words) >= times, words)

    def runs_again(self, name: str) -> bool:
        guest = self.fleet.guests[name]
        return guest.status == "running" and guest.deeds[-1][1] == "cont"

    def crash(self, name: str) -> dict:
        """The stored crash of a guest that panics now, when it runs again and nothing more is done; None: it was lost."""
        before = {crash["id"] for crash in self.listed(code=None)}
        told = self.service.said().count(f"{name}: kept as") + self.service.said().count(f"{name}: its crash is lost")
        self.fleet.panic([name])
        self.until(lambda: self.service.said().count(f"{name}: kept as") +
                   self.service.said().count(f"{name}: its crash is lost") > told, f"an end of the crash of {name}")
        self.until(lambda: self.runs_again(name), f"a restart of {name}")
        self.until(lambda: not self.service.jobs(), "the end of all jobs")
        new = [crash for crash in self.listed(code=None) if crash["id"] not in before]
        self.assertLessEqual(len(new), 1, new)
        return new[0] if new else None

    def in_store(self, verb, *words, **more):
        return self.run_cli(verb, "--store", self.store, *words, **more)

    def listed(self, code=DONE) -> list:
        if not self.store.exists():
            return []
        done = self.in_store("list", "--output", "json", code=code)
        return json.loads(done.stdout)["crashes"] if done.stdout else []

    def names(self, crash) -> list:
        return [file["name"] for file in crash["manifest"]["files"]]

    def check_whole(self, crash) -> None:
        self.assertIsNotNone(crash, self.service.said())
        self.assertIsNone(crash["damage"])
        self.assertTrue(crash["manifest"]["complete"] and crash["manifest"]["verified"], crash)
        self.info(self.store / crash["id"] / "vmcore")

    def check_part(self, crash) -> None:
        """Its flash report is there, and it does not say that it is whole."""
        self.assertIsNotNone(crash, self.service.said())
        self.assertIsNone(crash["damage"])
        self.assertFalse(crash["manifest"]["complete"], crash)
        self.assertIn("report.json", self.names(crash))
        self.assertNotIn("vmcore", self.names(crash))
        self.assertEqual(list(self.store.glob(".new-*")), [])

    def in_dump(self, name: str, deed, flash=False) -> None:
        """Calls `deed(fd)` when memory of the guest is to be written to that descriptor: for its dump, or its flash report."""
        guest, dump = self.fleet.guests[name], self.fleet.guests[name].dump
        has_flash = lambda: f"{name}: its flash report is kept" in self.service.said()

        def changed(fd: int, begin: int, end: int) -> None:
            if flash or has_flash():
                deed(fd)
            dump(fd, begin, end)

        guest.dump = changed

    def mount(self, folder: Path, *words) -> None:
        if MOUNTS not in os.environ:
            self.skipTest("no mount namespaces here")
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", *words, folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", folder])


class Disks(WithGuests):
    def fill(self) -> None:
        subprocess.run(["dd", "if=/dev/zero", f"of={self.store}/filler", "bs=4k"], stderr=subprocess.DEVNULL)

    def test_one_that_is_full(self):
        """The flash report is kept in the room that was held back, the guest runs again, and so does the service."""
        self.mount(self.store, "-t", "tmpfs", "-o", "size=64m,mode=700", "none")
        self.begin()
        first = self.crash("vm000")
        self.check_whole(first)
        self.in_store("hold", first["id"])
        self.fill()
        self.check_part(self.crash("vm001"))
        self.check_part(self.crash("vm002"))
        (self.store / "filler").unlink()
        self.check_whole(self.crash("vm001"))
        self.assertEqual(len(self.listed()), 4)
        self.assertIn("has no room for a dump", self.service.said())

    def test_one_that_fills_up_during_a_dump(self):
        self.mount(self.store, "-t", "tmpfs", "-o", "size=64m,mode=700", "none")
        self.begin()
        self.in_dump("vm000", lambda _: self.fill())
        self.check_part(self.crash("vm000"))
        (self.store / "filler").unlink()
        self.check_whole(self.crash("vm001"))

    def test_a_store_that_is_read_only(self):
        """Nothing can be kept, and the guest runs again; when it can be written to, all is as before."""
        self.mount(self.store, "-t", "tmpfs", "-o", "size=64m,mode=700", "none")
        self.begin()
        self.check_whole(self.crash("vm000"))
        subprocess.run(["mount", "-o", "remount,bind,ro", self.store], check=True)
        self.assertIsNone(self.crash("vm001"))
        self.assertIn("vm001: its crash is lost: ", self.service.said())
        self.assertIn("Read-only file system", self.service.said())
        subprocess.run(["mount", "-o", "remount,bind,rw", self.store], check=True)
        self.check_whole(self.crash("vm001"))
        self.assertEqual(len(self.listed()), 2)

    def test_a_state_folder_that_is_read_only(self):
        """Crashes are kept, and their guests run again; nothing is changed in a guest that could not be given back."""
        self.mount(self.state, "-t", "tmpfs", "-o", "ro,mode=700", "none")
        self.begin()
        self.until_said(" is not armed: ", times=3)
        self.assertNotIn("set-action", [deed for guest in self.fleet.guests.values() for _, deed in guest.deeds])
        self.check_whole(self.crash("vm000"))
        self.assertIn(f"{self.state}", self.service.said())
        done = self.run_cli("arm", "vm001", "--socket", self.folder / "control", code=FAILED)
        self.assertIn(b"Read-only file system", done.stderr)


class Hooks(WithGuests):
    def hook(self, name: str, text: str) -> None:
        path = self.folder / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o700)

    def ended(self, name: str) -> bool:
        """The process whose number is in that file."""
        path = self.folder / name
        return path.exists() and bool(path.read_text()) and not Path(f"/proc/{int(path.read_text())}").exists()

    def test_one_that_hangs(self):
        """It is killed with its children, later hooks run, and no crash waits for it."""
        self.hook("10-hangs", f"sleep 1000 & echo $! > {self.folder}/child\ntrap '' TERM\nsleep 1000\n")
        self.hook("20-after", f"echo $VMCORECTL_CRASH >> {self.folder}/after\n")
        self.begin()
        ids = [self.crash(name)["id"] for name in ("vm000", "vm001")]
        self.until(lambda: (self.folder / "after").exists() and len((self.folder / "after").read_text().split()) == 2, "later hooks")
        self.assertEqual(sorted((self.folder / "after").read_text().split()), sorted(ids))
        self.assertEqual(self.service.said().count("killed after 1 s"), 2)
        self.until(lambda: self.ended("child"), "end of its child")
        self.until(lambda: 'vmcored_hook_runs_total{result="failed"} 2' in (self.folder / "vmcored.prom").read_text(), "metrics")

    def test_one_that_leaves_a_child(self):
        self.hook("10-leaves", f"sleep 1000 & echo $! > {self.folder}/child\n")
        self.begin()
        self.crash("vm000")
        self.until(lambda: self.ended("child"), "end of its child")


class Manifests(WithGuests):
    def test_that_are_damaged(self):
        """Whatever is in them: the crash is listed as damaged, others are listed as they are, and later ones are kept."""
        self.begin()
        damaged = self.crash("vm000")
        path = self.store / damaged["id"] / "manifest.json"
        whole = path.read_text()
        document = json.loads(whole)
        wrong = [whole[:len(whole) // 2], "", "\0" * 4096, "[]", "null", "[" * 100_000, whole + whole,
                 *(json.dumps(document | change) for change in (
                     {"schema": "another/1"}, {"id": "20000101T000000Z-a-b-000001"}, {"time": -1}, {"time": "now"}, {"number": 1e99},
                     {"files": {}}, {"files": [{"name": "../vmcore", "size": 1, "sha256": "0" * 64}]}, {"signature": []},
                     {"capture": None}, {"complete": "yes"}, {"dump": 7}))]
        for text in wrong:
            path.write_text(text)
            (crash,) = self.listed(code=NOT_AS_ASKED)
            self.assertTrue(crash["damage"], text[:200])
        other = self.crash("vm001")
        self.check_whole(other)
        self.assertEqual([crash["id"] for crash in self.listed(code=NOT_AS_ASKED) if not crash["damage"]], [other["id"]])
        self.assertEqual(self.service.end(), 0)
        self.begin()
        self.check_whole(self.crash("vm002"))
        path.write_text(whole)
        self.assertEqual([crash["damage"] for crash in self.listed()], [None] * 3)

    def test_of_files_that_changed(self):
        """Their sizes are as before: only who reads them all can tell."""
        self.begin()
        crash = self.crash("vm000")
        with open(self.store / crash["id"] / "vmcore", "r+b") as file:
            file.seek(9000)
            file.write(b"changed")
        done = self.in_store("export", crash["id"], "copy", code=FAILED)
        self.assertIn(b"another checksum", done.stderr)
        self.assertFalse((self.folder / "copy").exists())


class Hangs(WithGuests):
    def setUp(self):
        super().setUp()
        with open(self.service.config, "a") as config:
            config.write('[guest."vm001"]\non-hang = "nmi"\n[guest."vm002"]\non-hang = "dump"\n')
        self.begin()

    def hang(self, name: str) -> None:
        self.fleet.guests[name].tell("WATCHDOG", action="none")

    def deeds(self, name: str) -> list:
        return [deed for _, deed in self.fleet.guests[name].deeds if deed not in ("set-action", "dump-guest-memory")]

    def test_what_is_configured(self):
        """A guest that hangs is not stopped. Of several hangs within ten minutes one is kept."""
        for name in ("vm000", "vm002"):
            for _ in range(3):
                self.hang(name)
            self.until_said(f"{name}: kept as")
        self.hang("vm001")
        self.until(lambda: "inject-nmi" in self.deeds("vm001"), "an NMI")
        report, dump = self.listed()
        for crash, name in ((report, "vm000"), (dump, "vm002")):
            self.assertEqual((crash["manifest"]["reason"], crash["manifest"]["witness"]), ("hang", "event"))
            self.assertEqual(crash["manifest"]["capture"]["guest"]["name"], name)
            self.assertEqual(self.deeds(name), [])
            self.assertEqual(self.fleet.guests[name].status, "running")
        self.assertIsNone(report["manifest"]["dump"])
        if "--pause-limit" not in json.dumps(dump["manifest"]["remarks"]):     # the machine is too busy for two seconds
            self.check_whole(dump)

    def test_an_nmi_that_makes_it_panic(self):
        self.hang("vm001")
        self.until(lambda: "inject-nmi" in self.deeds("vm001"), "an NMI")
        crash = self.crash("vm001")
        self.check_whole(crash)
        self.assertEqual(crash["manifest"]["reason"], "panic")
        self.assertEqual(self.deeds("vm001"), ["inject-nmi", "panic", "system_reset", "cont"])


class Clocks(WithGuests):
    @unittest.skipUnless(FAKETIME, "libfaketime (Debian: faketime) is not installed")
    def test_one_that_is_set_back(self):
        """During a crash, by three days: what was kept before is no reason to keep less, or to remove anything; the numbers
        tell which crash is the newest."""
        clock = self.folder / "clock"
        clock.write_text("+0d")
        self.service.words = ["env", f"LD_PRELOAD={FAKETIME}", f"FAKETIME_TIMESTAMP_FILE={clock}", "FAKETIME_NO_CACHE=1",
                              "FAKETIME_DONT_FAKE_MONOTONIC=1", *self.service.words]
        self.begin()
        crashes = [self.crash("vm000")]
        self.in_dump("vm001", lambda _: clock.write_text("-3d"))
        crashes += [self.crash("vm001"), self.crash("vm002"), self.crash("vm000")]
        for crash in crashes:
            self.check_whole(crash)
        times = [crash["manifest"]["time"] for crash in crashes]
        self.assertGreater(times[0] - times[2], 2 * 86400, "the clock was not set back")
        self.assertEqual([crash["id"] for crash in self.listed()], [crash["id"] for crash in crashes])
        self.assertEqual(self.in_store("path", "-1").stdout.decode(), f"{self.store}/{crashes[-1]['id']}/vmcore\n")
        self.assertEqual(self.service.end(), 0)
        self.assertEqual(list(self.state.glob("*crash*")), [])


class Qemus(WithGuests):
    def killed(self, flash: bool) -> dict:
        """The crash of vm000, whose QEMU is killed during its dump, or during its flash report."""
        self.begin()
        guest = self.fleet.guests["vm000"]

        def die(fd: int) -> None:
            os.write(fd, guest.fleet.memory.bytes[:4096])
            (self.service.sockets / "vm000.qmp").unlink()
            guest.line.shutdown(socket.SHUT_RDWR)
            os.close(fd)
            raise SystemExit        # of this dump's thread

        self.in_dump("vm000", die, flash)
        self.fleet.panic(["vm000"])
        self.until_said("vm000: kept as")
        (crash,) = self.listed()
        return crash

    def test_one_that_is_killed_during_its_dump(self):
        """What was kept of the crash stays, and a new QEMU at that socket is watched."""
        self.check_part(self.killed(flash=False))
        self.check_whole(self.crash("vm001"))
        again = Guest(self.fleet, "vm000", self.service.sockets / "vm000.qmp")
        self.fleet.guests["vm000"] = again
        self.fleet.selector.register(again.listener, selectors.EVENT_READ, again.accept)
        self.until(lambda: "set-action" in [deed for _, deed in again.deeds], "a new QEMU that is armed")
        self.check_whole(self.crash("vm000"))

    def test_one_that_is_killed_during_its_flash_report(self):
        """There is no more than the event, and nobody takes it for a whole crash."""
        crash = self.killed(flash=True)
        self.assertEqual((crash["damage"], crash["manifest"]["complete"], self.names(crash)), (None, False, ["event.json"]))
        self.assertIn(", not complete: ", self.service.said())


class Jobs(WithGuests):
    def test_one_whose_worker_hangs(self):
        """It ends when its time is over; then the guest runs again. The next one has a worker that works."""
        programs, real = self.folder / "programs", BIN / "vmcore-worker"
        programs.mkdir()
        for name in ("vmcored", "vmcorectl", "vmcore-guardian"):
            shutil.copy(BIN / name, programs)
        (programs / "vmcore-worker").write_text(
            "#!/usr/bin/python3\nimport json, os, socket, time\nchannel = socket.socket(fileno=os.dup(3))\n"
            "request = json.loads(channel.recv(65536, socket.MSG_PEEK))\n"
            f"if request['operation'] == 'convert' and not os.path.exists({str(self.folder / 'works')!r}):\n    time.sleep(1000)\n"
            f"channel.detach()\nos.execv({str(real)!r}, ['vmcore-worker'])\n")
        (programs / "vmcore-worker").chmod(0o700)
        self.service.words[0] = programs / "vmcored"
        self.service.config.write_text(self.service.config.read_text() + 'dump-limit = "2s"\n')
        self.begin()
        self.check_part(self.crash("vm000"))
        (self.folder / "works").touch()
        self.service.config.write_text(self.service.config.read_text().replace('"2s"', '"60s"'))
        self.service.process.send_signal(signal.SIGHUP)
        self.until_said("the configuration was read again")
        self.check_whole(self.crash("vm000"))


class Others(WithGuests):
    """Another program has what vmcored needs for itself."""

    def second(self, *words, state="state", control="control") -> subprocess.CompletedProcess:
        words = [BIN / "vmcored", "--config", self.service.config, "--state", self.folder / state, "--socket", self.folder / control,
                 *words]
        return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=30)

    def check_reached(self) -> None:
        self.until(lambda: self.run_cli("arm", "vm001", "--socket", self.folder / "control", code=None).returncode == DONE,
                   "an answer to a command")

    def test_another_vmcored_with_the_state_folder(self):
        self.begin()
        for done in (self.second(control="control2"), self.second("--give-back")):
            self.assertEqual(done.returncode, FAILED)
            self.assertIn(f"another vmcored uses {self.state}", done.stderr)
        self.check_whole(self.crash("vm000"))

    def test_another_vmcored_with_the_control_socket(self):
        self.begin()
        done = self.second(state="state2")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("another vmcored listens", done.stderr)
        self.check_reached()

    def test_a_socket_that_a_killed_vmcored_left(self):
        self.begin()
        self.service.kill()
        self.assertTrue((self.folder / "control").exists())
        self.begin()
        self.check_reached()

    def test_a_file_in_place_of_the_control_socket(self):
        """Commands cannot reach it, and it says so; guests are watched all the same."""
        (self.folder / "control").write_text("precious")
        self.begin()
        self.assertIn("commands cannot reach it", self.service.said())
        self.check_whole(self.crash("vm000"))
        self.assertEqual((self.folder / "control").read_text(), "precious")


if __name__ == "__main__":
    own = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() != 0 else [])]
    if MOUNTS not in os.environ and subprocess.run([*own, "true"], stderr=subprocess.DEVNULL).returncode == 0:
        os.execvpe(own[0], [*own, sys.executable, *sys.orig_argv[1:]], {**os.environ, MOUNTS: "1"})
    main()
