# SPDX-License-Identifier: GPL-2.0-or-later
"""What messages hand to their reader to be pasted: a shell makes of it what was meant, whatever the names are."""

import subprocess

from fake_qemu import FakeQemu
from harness import FAILED, Cli, main

# A guest that its dump has taken the worker over, and says what kernel it runs.
SAYS_ITS_KERNEL = """
while os.read(fds[0], 1 << 20):
    pass
channel.send(json.dumps({"type": "done", "release": RELEASE, "build_id": "", "level_asked": 0, "level_reached": 0, "incomplete": False, "callers": False,
                         "ram_pages": 0, "kept_pages": 0, "lost_pages": 0, "crashed": False, "classes": [],
                         "remarks": []}).encode())
time.sleep(100)
"""
HOSTILE = "6.1;touch pwned $(touch pwned)`touch pwned`'\n\x1b\u202e"


class Words(Cli):
    """What all of these share."""

    def pasted(self, command: str) -> list:
        """The words that a program gets by it; "pwned" is there where the shell did something else."""
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        for name in ("crash", "virsh", "vmcorectl"):
            (programs / name).write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
            (programs / name).chmod(0o755)
        done = subprocess.run(["bash", "-c", command], cwd=self.folder, env={"PATH": f"{programs}:/usr/bin:/bin"},
                              capture_output=True, check=True)
        self.assertNotIn("pwned", self.names())
        return done.stdout.decode().split("\0")[:-1]


class Dumps(Words):
    def qemu(self, name):
        qemu = FakeQemu(self.folder / "qmp", self.dump(), name=name)
        self.addCleanup(qemu.close)
        return qemu

    def test_the_command_that_opens_a_dump(self):
        self.qemu("vm1")
        program = self.with_worker(SAYS_ITS_KERNEL.replace("RELEASE", repr(HOSTILE)))
        out = "a dump;touch pwned"
        done = self.run_cli("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "-o", out, program=program)
        text = done.stdout.decode()
        self.assertNotIn("\x1b", text)
        self.assertNotIn("\u202e", text)
        line = next(line for line in text.splitlines() if line.startswith("open it with"))
        self.assertEqual(self.pasted(line.removeprefix("open it with  ")), ["debug", out])

    def test_names_of_guests_cannot_steer_the_terminal(self):
        self.qemu("vm\n\x1b[2J\u202e\u009b1m")
        for out, code in (("out", 0), ("nowhere/out", FAILED)):
            done = self.run_cli("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "-o", out, "--then",
                                "resume", code=code)
            text = (done.stdout + done.stderr).decode()
            self.assertIn("vm\\x0a\\x1b[2J\\xe2\\x80\\xae\\xc2\\x9b1m", text)
            self.assertTrue(all(letter == "\n" or letter.isprintable() for letter in text), text)


NODE = """<node>
  <domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory>8192</memory><vcpu>1</vcpu><os><type>hvm</type></os>
  </domain>
  <domain type='test'><name>5</name><uuid>6695eb01-f6a4-8304-79aa-97f2502e1934</uuid><memory>8192</memory><vcpu>1</vcpu>
    <os><type>hvm</type></os></domain>
</node>"""
PWNED = "a;touch pwned"
UUID = "6695eb01-f6a4-8304-79aa-97f2502e1933"


class Domains(Words):
    """Of libvirt's test driver, which has domains and no guests."""

    def setUp(self):
        super().setUp()
        path = self.folder / "node;id.xml"
        path.write_text(NODE.format(name=PWNED, uuid=UUID))
        self.uri = f"test://{path}"

    def failed(self, *words) -> str:
        done = self.run_cli(*words, "-c", self.uri, code=FAILED)
        return (done.stdout + done.stderr).decode()

    def command(self, text: str, start: str) -> str:
        """The command in a message, up to the parenthesis or line end behind it."""
        line = next(line for line in text.splitlines() if start in line)
        return start + line.split(start)[1].removesuffix("), then stop and start the guest").removesuffix(")")

    def test_what_check_tells_to_do(self):
        text = self.failed("check", PWNED)
        for title in ("a panic device", "a vmcoreinfo device", "a channel"):
            line = next(line for line in text.splitlines() if f"Checking for {title}" in line)
            self.assertEqual(self.pasted(self.command(line, "vmcorectl check --fix")),
                             ["check", "--fix", "-c", self.uri, PWNED])

    def test_what_receive_tells_to_do(self):
        self.assertEqual(self.pasted(self.command(self.failed("receive", PWNED), "vmcorectl check --fix")),
                         ["check", "--fix", "-c", self.uri, PWNED])
        # virsh would take the name for an id.
        self.assertEqual(self.pasted(self.command(self.failed("receive", "--name", "5"), "vmcorectl check --fix"))[-1],
                         UUID[:-1] + "4")

    def test_what_is_done_by_hand(self):
        for domain in (PWNED, UUID):
            for action in ("resume", "destroy"):
                text = self.failed("dump", domain, "-o", "out", "--then", action)
                self.assertEqual(self.pasted(self.command(text, "virsh ")), ["-c", self.uri, action, domain])
        text = self.failed("dump", "--name", "5", "-o", "out", "--then", "destroy")
        self.assertEqual(self.pasted(self.command(text, "virsh "))[2:], ["destroy", "UUID"])

    def test_another_host_is_told_of_as_it_was_asked_for(self):
        """As --remote starts the other end: what it says is read here."""
        asked = "qemu+ssh://root@far/system"
        text = self.failed("dump", PWNED, "-o", "out", "--then", "destroy", "--asked-as", asked)
        self.assertEqual(self.pasted(self.command(text, "virsh ")), ["-c", asked, "destroy", PWNED])
        text = self.failed("check", PWNED, "--asked-as", asked)
        self.assertEqual(self.pasted(self.command(text, "vmcorectl check")),
                         ["check", "--fix", "-c", asked, "--remote", PWNED])

    def test_a_domain_that_is_not_there(self):
        for words in (["check"], ["check", "--fix"], ["dump"], ["dmesg"], ["receive"]):
            text = self.failed(*words, "no\x1b[2Jsuch\u202e")
            self.assertIn("no\\x1b[2Jsuch\\xe2\\x80\\xae", text)
            self.assertTrue(all(letter == "\n" or letter.isprintable() for letter in text), text)


if __name__ == "__main__":
    main()
