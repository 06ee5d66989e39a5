# SPDX-License-Identifier: GPL-2.0-or-later
"""dump --keep --flash: what is kept at once of a crash, before its memory, and whatever becomes of that."""

import fcntl
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

from fake_qemu import FakeQemu
from harness import DONE, FAILED, INTERRUPTED, NOT_AS_ASKED, USAGE, VMCORECTL, main
from peers import schemas
from test_store import Stored

FLASH = ("--qmp", "qmp", "--method", "qmp", "--keep", "--flash")
FILES = ["report.json", "report.txt", "vmcore-dmesg.txt"]
HANGS = "time.sleep(100)\n"
DIES = "os.kill(os.getpid(), 11)\n"


class Flash(Stored):
    def setUp(self):
        super().setUp()
        self.qemu = FakeQemu(self.folder / "qmp", self.dump())
        self.qemu.running = False
        self.addCleanup(self.qemu.close)

    def flash(self, *words, code=DONE, **more):
        return self.in_store("dump", *FLASH, *words, code=code, **more)

    def event(self, **more) -> Path:
        event = {"schema": "vmcorectl-event/1", "kind": "panicked", "time_us": int(time.time() * 1e6), "found": False,
                 "guest": {"name": "vm1", "uuid": None}, "details": '{"action": "pause"}', **more}
        path = self.folder / "event"
        path.write_text(json.dumps(event))
        return path

    def files(self, crash) -> list:
        return [file["name"] for file in crash["manifest"]["files"]]

    def begin(self, *words, program=VMCORECTL, **more) -> "Job":
        job = Job([program, "dump", "--store", self.store, *FLASH, *words], self.folder, **more)
        self.addCleanup(job.close)
        return job


class Job:
    """A dump as a service starts it; `events` are those that came so far."""

    def __init__(self, words, folder, go=False, **more):
        ours, theirs = os.pipe()
        self.go, go_theirs = (None, None)
        self.stdin_theirs, self.stdin = os.pipe()
        passed = [theirs]
        words = [*map(str, words), "--report-fd", str(theirs), "--ends-with-stdin"]
        if go:
            go_theirs, self.go = os.pipe()
            words += ["--go-fd", str(go_theirs)]
            passed.append(go_theirs)
        self.process = subprocess.Popen(words, cwd=folder, stdin=self.stdin_theirs, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, pass_fds=passed, **more)
        for fd in (*passed, self.stdin_theirs):
            os.close(fd)
        self.lines = os.fdopen(ours)
        self.events = []

    def until(self, name: str) -> dict:
        for line in self.lines:
            event = json.loads(line)
            schemas.check(event)
            self.events.append(event)
            if event["event"] == name:
                return event
        raise AssertionError(f"no {name}: {self.events} {self.process.communicate()}")

    def end(self) -> dict:
        event = self.until("end")
        schemas.check(event["report"])
        assert self.process.wait(60) == event["exit_code"]
        return event

    def say_go(self) -> None:
        os.write(self.go, b"g")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.lines.close()
        for fd in (self.go, self.stdin):
            try:
                if fd is not None:
                    os.close(fd)
            except OSError:
                pass


class Keeping(Flash):
    def test_a_panic(self):
        done = self.flash()
        (crash,) = self.listed()
        manifest = crash["manifest"]
        self.assertEqual(self.files(crash), sorted([*FILES, "vmcore"]))
        self.assertEqual((manifest["reason"], manifest["witness"]), ("panic", "memory"))
        self.assertTrue(manifest["complete"] and manifest["verified"])
        self.assertGreater(manifest["to_flash_ms"], 0)
        self.assertGreaterEqual(manifest["to_dump_ms"], manifest["to_flash_ms"])
        self.assertIn(f"kept as       {crash['id']}", done.stdout.decode())
        folder = self.store / crash["id"]
        self.assertIn("test", manifest["signature"]["title"] + (folder / "report.txt").read_text())
        self.assertEqual(json.loads((folder / "report.json").read_text())["panic"]["message"], "test")
        self.assertEqual((folder / "vmcore-dmesg.txt").read_text(), self.run_cli("dmesg", folder / "vmcore").stdout.decode())
        self.assertEqual(self.left(), [])

    def test_what_a_service_is_told(self):
        job = self.begin("--event", self.event(), go=True)
        flash = job.until("flash")
        self.assertTrue(flash["kept"])
        self.assertIsNone(flash["why"])
        draft = Path(flash["draft"])
        self.assertEqual(sorted(path.name for path in draft.iterdir() if path.name[0] != "."),
                         sorted([*FILES, "event.json", "lock", "manifest.json"]))
        manifest = json.loads((draft / "manifest.json").read_text())
        self.assertEqual((manifest["reason"], manifest["witness"]), ("panic", "event"))
        self.assertEqual(manifest["signature"], flash["signature"])
        self.assertEqual(self.listed(), [])
        self.assertNotIn("memory-read", [event["event"] for event in job.events])
        job.say_go()
        end = job.end()
        (crash,) = self.listed()
        self.assertEqual((end["exit_code"], end["report"]["kept"]), (DONE, crash["id"]))
        self.assertLess(crash["manifest"]["to_flash_ms"], 60_000)

    def test_an_event(self):
        self.flash("--event", self.event(kind="watchdog", guest={"name": "vm9", "uuid": "u"}))
        (crash,) = self.listed()
        self.assertEqual((crash["manifest"]["reason"], crash["manifest"]["witness"]), ("hang", "event"))
        stored = json.loads((self.store / crash["id"] / "event.json").read_text())
        schemas.check(stored)
        self.assertEqual((stored["details"], stored["guest_text"]), ('{"action": "pause"}', ["details"]))

    def test_events_that_are_none(self):
        for text in ("", "{}", '{"schema": "vmcorectl-event/1"}', "[" * 100_000):
            (self.folder / "event").write_text(text)
            self.assertIn(b"event", self.flash("--event", "event", code=FAILED).stderr)
        self.assertEqual(self.qemu.clients, 0)

    def test_a_guest_that_is_stopped_a_moment_after_its_event(self):
        answer, asked = self.qemu._answer, []
        self.qemu.running = True

        def stopping(command: str):
            asked.append(command)
            self.qemu.running = asked.count("query-status") < 4
            return answer(command)

        self.qemu._answer = stopping
        self.flash("--event", self.event())
        (crash,) = self.listed()
        self.assertEqual(crash["manifest"]["capture"]["consistency"], "stopped")
        self.assertIn("report.txt", self.files(crash))      # which a flash report alone has

    def test_a_crash_that_comes_too_often(self):
        """Four are kept with their memory, the fifth without; the text says so."""
        for _ in range(4):
            self.flash("-q")
        deeds = list(self.qemu.deeds)
        done = self.flash()
        self.assertIn("memory        not kept: 4 crashes of this guest", done.stdout.decode())
        crash = self.listed()[-1]
        manifest = crash["manifest"]
        self.assertIn(f"kept as       {crash['id']}", done.stdout.decode())
        self.assertEqual(self.files(crash), FILES)
        self.assertIsNone(manifest["dump"])
        self.assertTrue(manifest["complete"])
        self.assertIn("4 crashes", manifest["memory_left_out"])
        self.assertEqual(self.qemu.deeds[len(deeds):].count("quit"), 0)
        job = self.begin()
        end = job.end()
        self.assertEqual([event["event"] for event in job.events], ["flash", "memory-read", "end"])
        self.assertEqual((end["exit_code"], end["report"]["file"], end["report"]["kept"]), (DONE, None, self.ids()[-1]))
        self.assertIn("not kept: 4 crashes", end["report"]["memory"])

    def test_what_reads_a_crash_without_memory(self):
        for _ in range(5):
            self.flash("-q")
        crash, folder = self.ids()[-1], self.store / self.ids()[-1]
        stored = json.loads((folder / "report.json").read_text())
        self.assertEqual(json.loads(self.in_store("report", crash, "--output", "json").stdout), stored)
        self.assertIn(b"message     test", self.in_store("report", "-1").stdout)
        self.assertEqual(self.in_store("dmesg", "-1").stdout.decode(), (folder / "vmcore-dmesg.txt").read_text())
        self.assertIn(b"4 crashes", self.in_store("info", "-1").stdout)
        self.assertIn(b"no memory", self.in_store("list", "-1").stdout)
        self.assertIn(b"has no memory", self.in_store("path", "-1", code=FAILED).stderr)
        self.assertIn(b"has no memory", self.in_store("memory", "-1", code=FAILED).stderr)
        self.in_store("export", "-1", "copy")
        self.assertEqual((self.folder / "copy" / "report.txt").read_text(), (folder / "report.txt").read_text())

    def test_what_makes_no_sense(self):
        for words in (["--flash"], ["--keep", "--event", "x"], ["--keep", "--go-fd", "5"],
                      ["--keep", "--flash", "--then", "reset"]):
            self.run_cli("dump", "--qmp", "qmp", *words, code=USAGE)


class Failing(Flash):
    """The dump or the report fails, or somebody ends the job: what there is is kept."""

    def test_a_dump_that_fails(self):
        job = self.begin(go=True)
        job.until("flash")
        self.qemu.fails = True
        job.say_go()
        end = job.end()
        self.assertEqual(end["exit_code"], FAILED)
        (crash,) = self.listed()
        self.assertEqual(end["report"]["kept"], crash["id"])
        self.assertFalse(crash["manifest"]["complete"])
        self.assertIn("no dump was kept", json.dumps(crash["manifest"]["remarks"]))
        self.assertEqual(self.left(), [])

    def with_flash_worker(self, script: str) -> Path:
        """A vmcorectl whose worker does that in place of a report; all else is done by the real one."""
        real = Path(VMCORECTL).with_name("vmcore-worker")
        program = self.with_worker("")
        worker = program.with_name("vmcore-worker")
        worker.write_text("#!/usr/bin/python3\nimport json, os, socket, time\nchannel = socket.socket(fileno=os.dup(3))\n"
                          "request = json.loads(channel.recv(65536, socket.MSG_PEEK))\n"
                          f"if request['operation'] == 'report' and request['input']['kind'] != 'file':\n    {script}"
                          f"channel.detach()\nos.execv({str(real)!r}, ['vmcore-worker'])\n")
        return program

    def test_a_worker_that_dies(self):
        job = self.begin("--event", self.event(), program=self.with_flash_worker(DIES))
        flash = job.until("flash")
        self.assertIn("signal 11", flash["why"])
        self.assertEqual(job.end()["exit_code"], DONE)
        (crash,) = self.listed()
        self.assertIn("no report was made of the guest's memory", json.dumps(crash["manifest"]["remarks"]))
        self.assertIn("event.json", self.files(crash))
        self.assertIn("vmcore", self.files(crash))

    def test_a_worker_that_hangs(self):
        begun = time.monotonic()
        job = self.begin("--event", self.event(), program=self.with_flash_worker(HANGS), go=True)
        flash = job.until("flash")
        self.assertIn("did not end within", flash["why"])
        self.assertLess(time.monotonic() - begun, 60)
        os.close(job.go)
        self.assertEqual(job.end()["exit_code"], INTERRUPTED)
        (crash,) = self.listed()
        self.assertEqual(self.files(crash), ["event.json"])

    def test_no_kernel(self):
        self.qemu.dump = self.dump("bare-6.12")
        self.flash("--event", self.event(), code=NOT_AS_ASKED)
        (crash,) = self.listed()
        self.assertIn("was not found", json.dumps(crash["manifest"]["remarks"]))

    def test_a_guest_that_is_gone(self):
        """There is the event, which is kept; without one there is nothing."""
        self.in_store("dump", "--qmp", "nowhere", "--keep", "--flash", code=FAILED)
        self.assertEqual(self.ids(), [])
        self.in_store("dump", "--qmp", "nowhere", "--keep", "--flash", "--event", self.event(), code=FAILED)
        (crash,) = self.listed()
        self.assertEqual(self.files(crash), ["event.json"])
        self.assertEqual(crash["manifest"]["capture"]["guest"]["name"], "vm1")
        self.assertEqual(self.left(), [])

    def test_who_ends_a_job_that_waits(self):
        for how in ("stdin", "signal", "go"):
            with self.subTest(how):
                job = self.begin(go=True)
                job.until("flash")
                if how == "stdin":
                    os.close(job.stdin)
                elif how == "signal":
                    job.process.send_signal(signal.SIGTERM)
                else:
                    os.close(job.go)
                self.assertEqual(job.end()["exit_code"], INTERRUPTED)
                crash = self.listed()[-1]
                self.assertFalse(crash["manifest"]["complete"])
                self.assertEqual(self.files(crash), FILES)
        self.assertEqual(len(self.listed()), 3)
        self.assertEqual(self.left(), [])


    def test_a_job_that_was_told_to_finish(self):
        """Its guest is carried on: it does not end with its service. A signal still ends it."""
        for how in ("stdin", "signal"):
            with self.subTest(how):
                job = self.begin(go=True)
                job.until("flash")
                os.write(job.stdin, b"f")
                os.close(job.stdin)
                time.sleep(0.5)
                if how == "signal":
                    job.process.send_signal(signal.SIGTERM)
                else:
                    job.say_go()
                self.assertEqual(job.end()["exit_code"], DONE if how == "stdin" else INTERRUPTED)
                self.assertEqual(self.listed()[-1]["manifest"]["complete"], how == "stdin")

    def hold_guest(self):
        """As another vmcorectl holds it."""
        locks = Path("/run/vmcorectl" if os.geteuid() == 0 else os.environ["XDG_RUNTIME_DIR"] + "/vmcorectl") / "locks"
        status = (self.folder / "qmp").stat()
        locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open(locks / f"file-{status.st_dev}-{status.st_ino}", "w")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock

    def test_a_guest_that_another_vmcorectl_holds(self):
        """A person is told so at once; a job waits, with its flash report kept, and can be interrupted."""
        if os.geteuid() != 0 and "XDG_RUNTIME_DIR" not in os.environ:
            self.skipTest("needs XDG_RUNTIME_DIR")
        lock = self.hold_guest()
        begun = time.monotonic()
        self.assertIn(b"another vmcorectl holds the guest", self.flash(code=FAILED).stderr)
        self.assertLess(time.monotonic() - begun, 20)
        for how in ("interrupted", "free"):
            job = self.begin(go=True)
            self.assertTrue(job.until("flash")["kept"])
            job.say_go()
            time.sleep(2)
            self.assertIsNone(job.process.poll())
            self.assertEqual(self.qemu.deeds.count("dump-guest-memory"), len(self.qemu.deeds))
            if how == "interrupted":
                os.close(job.stdin)
            else:
                lock.close()
            self.assertEqual(job.end()["exit_code"], INTERRUPTED if how == "interrupted" else DONE)
            self.assertEqual(self.listed()[-1]["manifest"]["complete"], how == "free")

    def test_a_guest_whose_memory_is_read_is_free(self):
        """Its next crash is another job's."""
        if os.geteuid() != 0 and "XDG_RUNTIME_DIR" not in os.environ:
            self.skipTest("needs XDG_RUNTIME_DIR")
        self.qemu.running = True
        job = self.begin("--pause-limit", "60s", "--bandwidth", "16KiB")
        job.until("memory-read")
        lock = self.hold_guest()
        self.assertIsNone(job.process.poll())
        lock.close()
        job.process.kill()


class Faults(Flash):
    def test_killed_at_random_moments(self):
        """Each crash that vmcorectl reported is in the store. No partial crash is listed as complete. Prune completes drafts."""
        chance = random.Random(13)
        self.qemu.close()
        told = flashes = ended = 0
        begun = time.monotonic()
        for number in range(60):
            name = f"qmp{number}"
            qemu = FakeQemu(self.folder / name, self.dump(), name=f"vm{number}")
            qemu.running = False
            job = Job([VMCORECTL, "dump", "--store", self.store, "--qmp", name, "--method", "qmp", "--keep", "--flash"],
                      self.folder)
            if number == 0:
                job.until("flash")
                to_flash = time.monotonic() - begun
                job.end()
                whole = time.monotonic() - begun
            else:   # half of them before the flash report is told, more or less
                time.sleep(chance.uniform(0, 1.1 * (whole if number % 2 else to_flash)))
                job.process.kill()
            events = [*(event["event"] for event in job.events), *(json.loads(line)["event"] for line in job.lines)]
            flashes += "flash" in events
            ended += "end" in events
            told += "flash" in events or "end" in events
            job.close()
            qemu.close()
            for crash in self.listed():
                self.assertIsNone(crash["damage"])
        self.in_store("prune")
        crashes = self.listed()
        self.assertEqual(self.left(), [])
        self.assertGreaterEqual(len(crashes), told)
        for crash in crashes:
            manifest = crash["manifest"]
            self.assertIsNone(crash["damage"])
            was_cut = "ended before" in json.dumps(manifest["remarks"])
            self.assertTrue(was_cut or manifest["complete"], manifest)
            self.assertEqual(manifest["verified"], manifest["dump"] is not None)
            if "report.json" in self.files(crash):
                self.in_store("report", crash["id"])
        print(f"killed 59 jobs: {flashes} told of a flash report, {ended} ended, {len(crashes)} crashes are listed")

    def in_namespace(self, script: str):
        done = subprocess.run(["unshare", "-rm", "sh", "-c", script], cwd=self.folder, capture_output=True)
        if b"unshare" in done.stderr or b"mount:" in done.stderr:
            self.skipTest("no mount namespaces here")
        return done

    def test_a_disk_that_is_full_before(self):
        """The flash report is kept all the same, from the room that was held back; then that is taken back."""
        (self.folder / "mnt").mkdir()
        dump = f"{VMCORECTL} dump --qmp qmp --method qmp --keep --flash --store mnt/store"
        script = (f"mount -t tmpfs -o size=64m none mnt && {dump} -q && {VMCORECTL} hold --store mnt/store -1 && "
                  f"dd if=/dev/zero of=mnt/filler bs=64k 2>/dev/null; stat -c 'reserve %s' mnt/store/.reserve; "
                  f"{dump}; echo code $?; {VMCORECTL} list --store mnt/store; {VMCORECTL} report --store mnt/store -1; "
                  f"ls -A mnt/store/*-000002; rm mnt/filler; {VMCORECTL} prune --store mnt/store; "
                  f"stat -c 'reserve %s' mnt/store/.reserve")
        done = self.in_namespace(script)
        out = done.stdout.decode()
        self.assertIn("code 1", out)
        self.assertIn("has no room for a dump", done.stderr.decode())
        self.assertIn("-000002", out)
        self.assertIn("no memory", out)
        self.assertIn("message     test", out)
        self.assertEqual(out.count(f"reserve {2 << 20}"), 2, out)

    def test_a_disk_that_fills_up_during_the_dump(self):
        (self.folder / "mnt").mkdir()
        flag = self.folder / "go"
        os.mkfifo(flag)
        dump = f"{VMCORECTL} dump --qmp qmp --method qmp --keep --flash --store mnt/store --report-fd 3 --go-fd 4 -d 0 --compress none"
        script = (f"mount -t tmpfs -o size=24m none mnt && ({dump} 3>events 4<>go & "
                  f"while ! grep -q flash events; do sleep 0.05; done; echo x > go; wait $!; echo code $?); "
                  f"{VMCORECTL} list --store mnt/store; ls -A mnt/store/*-000001")
        done = self.in_namespace(script)
        out = done.stdout.decode()
        self.assertIn("code 1", out, done.stderr)
        self.assertIn("-000001", out)
        self.assertIn("report.json", out)

    def test_a_store_that_is_read_only(self):
        self.flash("-q")
        done = self.in_namespace(f"mount --bind {self.store} {self.store} && mount -o remount,ro,bind {self.store} && "
                                 f"{VMCORECTL} dump --qmp qmp --method qmp --keep --flash --store {self.store}; echo code $?")
        self.assertIn(b"code 1", done.stdout)
        self.assertIn(b"Read-only file system", done.stderr)
        self.assertEqual(len(self.ids()), 1)

    def test_a_damaged_manifest_of_another_crash(self):
        self.flash("-q")
        (damaged,) = self.ids()
        (self.store / damaged / "manifest.json").write_text("{")
        self.flash("-q")
        self.assertEqual([crash["id"] for crash in self.listed(code=3) if not crash["damage"]], self.ids(code=3)[1:])

    def test_a_clock_that_was_set_back(self):
        """The event is of the future then; and crashes that seem to come are no reason to dump none."""
        for _ in range(4):
            self.flash("-q")
        for crash in self.ids():
            path = self.store / crash / "manifest.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"time": int(time.time()) + 10 * 86400}))
        self.flash("-q", "--event", self.event(time_us=int((time.time() + 86400) * 1e6)))
        crash = self.listed()[-1]
        self.assertIsNotNone(crash["manifest"]["dump"])
        self.assertEqual(crash["manifest"]["to_flash_ms"], 0)


if __name__ == "__main__":
    main()
