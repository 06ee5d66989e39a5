# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcored holds the monitors of a folder: guests are armed and disarmed through it, commands borrow a monitor from it,
and a guest whose resets are trapped goes on when vmcored dies."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from fake_qemu import FakeQemu
from harness import DONE, FAILED, NOT_AS_ASKED, USAGE, VMCORECTL, Cli, main

VMCORED = Path(VMCORECTL).with_name("vmcored")
DEFAULTS = {"reboot": "reset", "shutdown": "poweroff", "panic": "shutdown"}
ARMED = {**DEFAULTS, "panic": "pause"}
TRAP = {"reboot": "shutdown", "shutdown": "pause", "panic": "pause"}


class WithService(Cli):
    def setUp(self):
        super().setUp()
        self.qmp = self.folder / "qmp"
        self.qmp.mkdir(0o700)
        self.qemu = FakeQemu(self.qmp / "vm1.sock", self.dump())
        self.addCleanup(self.qemu.close)
        (self.folder / "conf").write_text("")
        self.service = self.start()

    def words(self, program: Path = VMCORED) -> list:
        return [program, "--config", self.folder / "conf", "--qmp-folder", self.qmp, "--store", self.folder / "store",
                "--state", self.folder / "state", "--socket", self.folder / "control"]

    def start(self, program: Path = VMCORED) -> subprocess.Popen:
        log = open(self.folder / "log", "ab")
        service = subprocess.Popen([str(word) for word in self.words(program)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.addCleanup(self.end, service, signal.SIGKILL)
        self.wait_for(lambda: self.listed(), "a guest that vmcored knows")
        return service

    def end(self, service, number) -> None:
        if service.poll() is None:
            service.send_signal(number)
        service.wait(60)

    def listed(self) -> list:
        done = subprocess.run([VMCORECTL, "arm", "--output", "json", "--socket", self.folder / "control"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return json.loads(done.stdout).get("guests") if done.returncode == 0 else None

    def wait_for(self, condition, what: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.fail(f"no {what}: {(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def ask(self, *words, **more):
        return self.run_cli(*words, "--socket", self.folder / "control", **more)


class Arm(WithService):
    def test_arm_and_disarm(self):
        self.assertEqual(self.ask("arm").stdout, b"vm1: not armed\n")
        self.assertEqual(self.ask("arm", "vm1").stdout, b"vm1: armed, before: shutdown\n")
        self.assertEqual(self.qemu.actions, ARMED)
        self.assertEqual(self.ask("disarm", "vm1").stdout, b"vm1: not armed\n")
        self.assertEqual(self.qemu.actions, DEFAULTS)

    def test_by_socket_and_all(self):
        self.ask("arm", "--qmp", "qmp/vm1.sock", "--trap-resets")
        self.assertEqual(self.qemu.actions, TRAP)
        self.ask("disarm", "--all")
        self.assertEqual(self.qemu.actions, DEFAULTS)

    def test_json(self):
        guest, = json.loads(self.ask("arm", "vm1", "--trap-resets", "--output", "json").stdout)["guests"]
        self.assertEqual((guest["armed"], guest["trap_resets"], guest["on_crash_before"]), (True, True, "shutdown"))
        self.assertEqual(guest["from"], str(self.qmp.resolve() / "vm1.sock"))

    def test_who_is_not_there(self):
        done = self.ask("arm", "vm2", code=FAILED)
        self.assertIn(b"vm2", done.stderr)
        self.assertIn(b"vmcored knows no guest of that name", done.stderr)
        done = self.ask("arm", "vm1", "vm2", code=NOT_AS_ASKED)
        self.assertEqual(done.stdout, b"vm1: armed, before: shutdown\n")

    def test_a_guest_that_has_the_name_of_one_that_has_ended(self):
        other = subprocess.Popen(["python3", Path(__file__).with_name("fake_qemu.py"), self.qmp / "other.sock", self.dump()],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(other.communicate)
        self.addCleanup(other.kill)
        self.wait_for(lambda: len(self.listed()) == 2, "second guest")
        self.assertIn("several guests", self.ask("arm", "vm1", code=FAILED).stderr.decode())
        other.kill()
        (self.qmp / "other.sock").unlink()
        self.wait_for(lambda: [guest["state"] for guest in self.listed()].count("watched") == 1, "guest that has ended")
        self.assertEqual(self.ask("arm", "vm1").stdout, b"vm1: armed, before: shutdown\n")
        self.assertEqual(self.qemu.actions, ARMED)

    def test_a_guest_that_has_ended_is_forgotten(self):
        self.qemu.end()
        self.wait_for(lambda: self.listed() == [], "end of the list")

    def test_what_was_armed_is_armed_at_the_next_start(self):
        self.ask("arm", "vm1")
        self.end(self.service, signal.SIGTERM)
        self.assertEqual(self.qemu.actions, ARMED)  # what crashes meanwhile is for the next start
        self.qemu.actions = dict(DEFAULTS)
        self.start()
        self.wait_for(lambda: self.qemu.actions == ARMED, "armed guest")

    def test_given_back(self):
        self.ask("arm", "vm1", "--trap-resets")
        self.end(self.service, signal.SIGTERM)
        subprocess.run([*map(str, self.words()), "--give-back"], check=True)
        self.assertEqual(self.qemu.actions, DEFAULTS)
        self.start()
        self.wait_for(lambda: self.qemu.actions == TRAP, "armed guest")

    def test_given_back_while_it_stands_in_its_panic(self):
        self.ask("arm", "vm1")
        self.end(self.service, signal.SIGTERM)
        self.qemu.running = False
        subprocess.run([*map(str, self.words()), "--give-back"], check=True)
        self.assertEqual(self.qemu.actions, DEFAULTS)
        self.assertIn("quit", self.qemu.deeds)  # as QEMU would have done

    def test_check_tells(self):
        def armed() -> dict:
            findings = json.loads(self.ask("check", "--qmp", "qmp/vm1.sock", "--output", "json", code=None).stdout)
            return next(finding for finding in findings if finding["id"] == "armed")
        self.assertEqual(armed()["result"], "WARN")
        self.assertIn("vmcorectl arm --qmp", armed()["hint"])
        self.ask("arm", "vm1")
        self.assertEqual((armed()["result"], armed()["value"]), ("PASS", "armed"))

    def test_second_service(self):
        done = subprocess.run([str(word) for word in self.words()], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("another vmcored uses", done.stderr)


class Refused(WithService):
    def test_nothing_is_armed(self):
        self.qemu.refuses = ("set-action",)
        done = self.ask("arm", "vm1", code=FAILED)
        self.assertIn(b"it does not want to", done.stderr)
        self.assertEqual(self.ask("arm").stdout, b"vm1: not armed\n")
        self.assertEqual(list((self.folder / "state").iterdir()), [])
        self.qemu.refuses = ()
        self.end(self.service, signal.SIGTERM)
        self.start()
        self.assertEqual(self.qemu.actions, DEFAULTS)

    def test_what_the_next_qemu_refuses_is_told(self):
        self.ask("arm", "vm1")
        self.qemu.refuses = ("set-action",)
        self.end(self.service, signal.SIGTERM)
        self.start()
        self.wait_for(lambda: b"not armed: set-action: it does not want to" in self.ask("arm").stdout, "reason")

    def test_without_a_guardian_panics_are_armed(self):
        self.end(self.service, signal.SIGTERM)
        programs = self.folder / "programs"
        programs.mkdir()
        for name in ("vmcored", "vmcorectl"):
            shutil.copy(VMCORED.with_name(name), programs / name)
        self.service = self.start(programs / "vmcored")
        done = self.ask("arm", "vm1", "--trap-resets", code=NOT_AS_ASKED)
        self.assertRegex(done.stdout, rb"^vm1: armed, before: shutdown, but its resets are not trapped: .*vmcore-guardian")
        self.assertEqual(self.qemu.actions, ARMED)


class NoShutdown(WithService):
    """With -no-shutdown QEMU stays where it would end: its guest looks like one in the trap."""

    def setUp(self):
        super().setUp()
        self.end(self.service, signal.SIGTERM)
        self.qemu.close()
        (self.qmp / "vm1.sock").unlink()
        self.process = subprocess.Popen(["python3", Path(__file__).with_name("fake_qemu.py"), self.qmp / "vm1.sock",
                                         self.dump(), "-no-shutdown"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.process.communicate)
        self.addCleanup(self.process.kill)
        self.tell("")
        self.service = self.start()

    def tell(self, what: str) -> dict:
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def test_what_powered_off_stays_off(self):
        self.ask("arm", "vm1", "--trap-resets")
        self.assertEqual(self.tell("")["actions"], TRAP)
        self.tell("power_off_by_guest")
        self.wait_for(lambda: "its power-off was carried out" in (self.folder / "log").read_text(), "power-off")
        self.end(self.service, signal.SIGKILL)
        # The guardian puts the actions back, and leaves the guest.
        self.wait_for(lambda: self.tell("")["actions"] == {**ARMED, "shutdown": "pause"}, "action that is back")
        self.start()
        self.wait_for(lambda: (self.folder / "log").read_text().count("its power-off was carried out") == 2, "second look")
        self.assertEqual(self.tell("")["status"], "shutdown")
        self.assertNotIn("system_reset", self.tell("")["deeds"])

    def test_a_reset_is_carried_out(self):
        self.ask("arm", "vm1", "--trap-resets")
        self.tell("reset_by_guest")
        self.wait_for(lambda: self.tell("")["status"] is None, "guest that runs again")


class Lend(WithService):
    def test_a_dump_borrows_the_monitor(self):
        done = self.ask("dump", "--qmp", "qmp/vm1.sock", "--method", "qmp", "--pause-limit", "10s", "-o", "out")
        self.assertIn(b"vmcored holds this guest's monitor", done.stderr)
        self.assertEqual(self.info("out")["capture"]["guest"]["name"], "vm1")
        self.assertIn("dump-guest-memory", self.qemu.deeds)
        self.ask("arm", "vm1")
        self.assertEqual((self.qemu.actions, self.qemu.clients), (ARMED, 1))

    def test_what_is_done_afterwards(self):
        self.ask("dump", "--qmp", "qmp/vm1.sock", "--method", "qmp", "--pause-limit", "10s", "-o", "out", "--then", "reset")
        self.assertIn("system_reset", self.qemu.deeds)
        self.ask("arm", "vm1")
        self.assertEqual(self.qemu.clients, 1)

    def test_a_command_that_is_killed(self):
        """The monitor's state is not known then: vmcored connects again."""
        self.qemu.says_amid = [("X", {"wait": 1})]
        script = ("import socket, sys, json, time\n"
                  "line = socket.socket(socket.AF_UNIX)\n"
                  "line.connect(sys.argv[1])\n"
                  "line.sendall(json.dumps({'schema': 'vmcorectl-control/1', 'verb': 'lend', 'guests': [], 'socket':"
                  " sys.argv[2], 'all': False, 'uri': None, 'trap_resets': False}).encode() + b'\\n')\n"
                  "text, fds, _, _ = socket.recv_fds(line, 65536, 4)\n"
                  "print(len(fds), flush=True)\n"
                  "time.sleep(60)\n")
        borrower = subprocess.Popen(["python3", "-c", script, self.folder / "control", self.qmp.resolve() / "vm1.sock"],
                                    stdout=subprocess.PIPE, text=True)
        self.assertEqual(borrower.stdout.readline(), "1\n")
        busy = self.ask("dump", "--qmp", "qmp/vm1.sock", "-o", "out", code=FAILED)
        self.assertIn(b"vmcored holds the guest's monitor", busy.stderr)
        borrower.kill()
        borrower.wait()
        borrower.stdout.close()
        self.wait_for(lambda: self.qemu.clients == 2, "second connection")
        self.ask("arm", "vm1")


class Guardian(WithService):
    def killed_in_the_trap(self, number) -> None:
        self.ask("arm", "vm1", "--trap-resets")
        self.service.send_signal(signal.SIGSTOP)  # it does not hear of the reset
        self.qemu.reset_by_guest()
        self.assertEqual(self.qemu.status, "shutdown")
        self.service.send_signal(number)
        self.service.send_signal(signal.SIGCONT)
        self.service.wait(60)
        self.wait_for(lambda: self.qemu.status is None, "guest that runs again")
        self.wait_for(lambda: self.qemu.actions == ARMED, "action that is back")

    def test_killed(self):
        self.killed_in_the_trap(signal.SIGKILL)

    def test_killed_while_nothing_happens(self):
        self.ask("arm", "vm1", "--trap-resets")
        self.end(self.service, signal.SIGKILL)
        self.wait_for(lambda: self.qemu.actions == ARMED, "action that is back")
        self.assertNotIn("system_reset", self.qemu.deeds)

    def test_the_next_service_has_the_monitor(self):
        self.killed_in_the_trap(signal.SIGKILL)
        self.start()
        self.wait_for(lambda: self.qemu.actions == TRAP, "trap")


class Alone(Cli):
    def test_no_service(self):
        for verb in ("arm", "disarm"):
            line = self.refused(verb, "vm1", "--socket", self.folder / "none")
            self.assertIn("no vmcored listens", line)
            self.assertIn("systemctl start vmcored", line)

    def test_usage(self):
        self.run_cli("disarm", code=USAGE)
        self.run_cli("arm", "vm1", "--all", code=USAGE)

    def test_check_without_a_service(self):
        qemu = FakeQemu(self.folder / "qmp", self.dump())
        self.addCleanup(qemu.close)
        findings = json.loads(self.run_cli("check", "--qmp", "qmp", "--output", "json", "--socket", "none", code=None).stdout)
        self.assertEqual([finding["result"] for finding in findings if finding["id"] == "armed"], ["NOTE"])


if __name__ == "__main__":
    main()
