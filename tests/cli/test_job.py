# SPDX-License-Identifier: GPL-2.0-or-later
"""What a service that runs a job gives it and gets from it: --report-fd, --monitor-fd (docs/jobs.md)."""

import json
import os
import socket
import subprocess
import threading
from pathlib import Path

from fake_qemu import FakeQemu
from harness import DONE, FAILED, MAKE_DUMP, USAGE, VMCORECTL, Cli, main
from peers import schemas

WORDS = ("--qmp", "qmp", "--method", "qmp", "--pause-limit", "10s", "-o", "out")


class Service:
    """The end of a service: a monitor, and the jobs that it is lent to."""

    def __init__(self, test: Cli):
        self.test = test
        self.monitor = socket.socket(socket.AF_UNIX)
        self.monitor.settimeout(30)
        self.monitor.connect(str(test.folder / "qmp"))
        self.lines = self.monitor.makefile("rwb", buffering=0)
        self.lines.readline()
        self.ask("qmp_capabilities")
        test.addCleanup(self.close)

    def close(self) -> None:
        self.lines.close()
        self.monitor.close()

    def ask(self, command: str) -> list:
        """The messages up to the answer, which is the last."""
        self.lines.write(json.dumps({"execute": command, "id": 1}).encode() + b"\n")
        messages = []
        while not messages or "event" in messages[-1]:
            messages.append(json.loads(self.lines.readline()))
        return messages


class Job(Cli):
    def job(self, *words, code=DONE, lend=(), before_end=None) -> list:
        """Runs vmcorectl as a service does; its events, which are checked. `before_end` is called at memory-read."""
        ours, theirs = os.pipe()
        child = subprocess.Popen([VMCORECTL, *map(str, words), "--report-fd", str(theirs)], cwd=self.folder,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 pass_fds=(theirs, *lend))
        os.close(theirs)
        said = []
        threads = [threading.Thread(target=lambda pipe=pipe: said.append(pipe.read())) for pipe in (child.stdout, child.stderr)]
        for thread in threads:
            thread.start()
        events = []
        with os.fdopen(ours) as lines:
            for line in lines:
                events.append(json.loads(line))
                schemas.check(events[-1])
                if events[-1]["event"] == "memory-read" and before_end:
                    before_end()
        self.assertEqual(child.wait(60), code, said)
        for thread in threads:
            thread.join()
        child.stdout.close()
        child.stderr.close()
        return events

    def names_of(self, events) -> list:
        return [event["event"] for event in events if event["event"] not in ("progress", "received")]

    def qemu(self, **more) -> FakeQemu:
        qemu = FakeQemu(self.folder / "qmp", self.dump(), **more)
        self.addCleanup(qemu.close)
        return qemu

    def test_a_dump(self):
        self.qemu()
        events = self.job("dump", *WORDS)
        self.assertEqual(self.names_of(events), ["memory-read", "end"])
        end = events[-1]
        schemas.check(end["report"])
        self.assertEqual((end["exit_code"], end["report"]["as_asked"]), (0, True))
        self.assertEqual(end["report"]["guest"]["state_after"], "running")
        self.assertTrue((self.folder / "out").exists())

    def test_a_failure(self):
        self.qemu(cut=10)
        events = self.job("dump", *WORDS, code=FAILED)
        self.assertEqual(events[-1]["event"], "end")
        self.assertEqual(events[-1]["exit_code"], FAILED)
        self.assertIn("text", events[-1]["report"]["error"])

    def test_a_monitor_is_lent_and_returned(self):
        """What happened meanwhile is told, and the service goes on with the same connection."""
        qemu = self.qemu()
        qemu.says_amid = [("GUEST_CRASHLOADED", {"action": "run"}), ("RESET", {"guest": True})]
        service = Service(self)
        asked, held = [], []
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)

        def look() -> None:
            theirs.close()
            ours.settimeout(10)
            held.append(ours.recv(1))       # nobody has the other end any more
            asked.extend(service.ask("query-status"))

        events = self.job("dump", *WORDS, "--monitor-fd", service.monitor.fileno(), "--hold-fd", theirs.fileno(),
                          lend=[service.monitor.fileno(), theirs.fileno()], before_end=look)
        self.assertEqual(held, [b""])
        self.assertEqual(self.names_of(events), ["guest", "guest", "memory-read", "end"])
        told = [event for event in events if event["event"] == "guest"]
        self.assertEqual([event["what"] for event in told], ["crash-loaded", "reset"])
        self.assertEqual(json.loads(told[1]["details"]), {"guest": True})
        self.assertEqual([event["monitor"] for event in events if event["event"] == "memory-read"], [True])
        self.assertEqual(asked[-1]["return"]["status"], "running")
        self.assertEqual(events[-1]["exit_code"], 0)
        self.assertEqual(qemu.clients, 1)

    def test_a_monitor_comes_back_from_a_failure(self):
        self.qemu(cut=10)
        service = Service(self)
        events = self.job("dump", *WORDS, "--monitor-fd", service.monitor.fileno(), lend=[service.monitor.fileno()], code=FAILED)
        self.assertIs(events[-1]["monitor"], True)
        self.assertEqual(service.ask("query-status")[-1]["return"]["status"], "running")

    def test_a_reception(self):
        stream = self.folder / "stream"
        subprocess.run([Path(MAKE_DUMP).with_name("make_stream"), self.dump(), stream], check=True)
        events = self.job("receive", "stream", "-o", "out")
        self.assertEqual(self.names_of(events), ["stream", "log", "end"])
        log = next(event for event in events if event["event"] == "log")
        self.assertEqual((Path(log["path"]).name, log["panic"]), ("out.dmesg", "Kernel panic - not syncing: test"))
        schemas.check(events[-1]["report"])
        self.assertEqual(events[-1]["report"]["schema"], "vmcorectl-receive/1")

    def test_a_service_that_has_gone_ends_no_dump(self):
        self.qemu()
        ours, theirs = os.pipe()
        os.close(ours)
        self.run_cli("dump", *WORDS, "--report-fd", theirs, pass_fds=[theirs])
        os.close(theirs)
        self.assertTrue((self.folder / "out").exists())

    def test_what_makes_no_sense(self):
        self.qemu()
        for words in (["--report-fd", "99"], ["--report-fd", "1"], ["--monitor-fd", "5"], ["--hold-fd", "5"]):
            self.run_cli("dump", *WORDS, *words, code=USAGE)
        for words in (["--then", "reset"], ["--then-always", "reset"]):
            self.run_cli("dump", *WORDS, "--report-fd", "3", *words, code=USAGE)
        with open("/dev/null", "rb") as file:
            done = self.run_cli("dump", *WORDS, "--report-fd", file.fileno(), "--monitor-fd", file.fileno(), code=USAGE,
                                pass_fds=[file.fileno()])
            self.assertIn("--monitor-fd", done.stderr.decode())
        self.assertEqual(self.names(), ["qmp"])

    def test_a_budget(self):
        self.qemu()
        for size in ("64MiB", "0"):
            self.run_cli("dump", *WORDS, "--force", "--memory-budget", size)
        self.run_cli("dump", *WORDS, "--memory-budget", "much", code=USAGE)


if __name__ == "__main__":
    main()
