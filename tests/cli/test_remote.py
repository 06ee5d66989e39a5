# SPDX-License-Identifier: GPL-2.0-or-later
"""--remote: the vmcorectl of another host by ssh. The ssh is a script that runs the command here, and mostly what it
finds is a script as well: what a real host does is tests/guests/test_remote.py."""

import json
import os
import signal
import subprocess
import time

from harness import DONE, FAILED, INTERRUPTED, NOT_AS_ASKED, USAGE, VMCORECTL, Cli, main

URI = "qemu+ssh://root@far:2222/system"
GUEST_CHANGED = 4
VERSION = subprocess.run([VMCORECTL, "--version"], capture_output=True, text=True, check=True).stdout.strip()


class Remote(Cli):
    def setUp(self):
        super().setUp()
        self.near, self.far = self.folder / "near", self.folder / "far"
        self.near.mkdir()
        self.far.mkdir()
        self.script(self.near / "ssh", f'printf "%s\\n" "$@" > {self.near}/words\n'
                                       f'eval "PATH={self.far}:/usr/bin:/bin; ${{!#}}"\n')
        self.env = {**os.environ, "PATH": f"{self.near}:{os.environ['PATH']}"}
        self.out = self.folder / "out"
        self.out.mkdir()

    def script(self, path, text):
        path.write_text("#!/bin/bash\n" + text)
        path.chmod(0o755)

    def far_vmcorectl(self, text, version=VERSION):
        """What the other host has. It notes its words, one a line with NULs between."""
        self.script(self.far / "vmcorectl", f'if [ "$1" = --version ]; then echo "{version}"; exit; fi\n'
                                            f'printf "%s\\0" "$@" > {self.far}/words\n{text}\n')

    def far_words(self):
        return (self.far / "words").read_text().split("\0")[:-1]

    def run_remote(self, *words, code=DONE, uri=URI):
        return self.run_cli(*words, "-c", uri, "--remote", code=code, env=self.env, of_another=True)

    def dumped(self, *words, code=DONE):
        target = self.out / "vmcore"
        return target, self.run_remote("dump", "vm1", "-o", target, *words, code=code)

    def left(self):
        return sorted(path.name for path in self.out.iterdir())

    # What goes over

    def test_words_arrive_as_they_are(self):
        self.far_vmcorectl("echo text")
        domain = "it's $(touch x) `id` \\ \"a\" *\n!"
        done = self.run_remote("dmesg", domain, "--output", "json", "-q")
        self.assertEqual(done.stdout, b"text\n")
        words = self.far_words()
        self.assertEqual((words[:4], words[-2:]), (["dmesg", "--ends-with-stdin", "--connect=qemu:///system",
                                                    "--asked-as=" + URI], ["--", domain]))
        self.assertEqual(sorted(words[4:-2]), ["--output=json", "--quiet"])
        ssh = (self.near / "words").read_text().splitlines()
        self.assertEqual(ssh[:7], ["-T", "-l", "root", "-p", "2222", "--", "far"])

    def test_what_is_said_here_stays_here(self):
        self.far_vmcorectl(f"cat {self.dump()}")
        self.dumped("--strict", "-d", "17", "--then", "reset", "--bandwidth", "20MiB", "--force")
        words = self.far_words()
        self.assertTrue(words.pop(1).startswith("--then-when-kept="))
        self.assertEqual(words[:5], ["dump", "--ends-with-stdin", "--connect=qemu:///system", "--asked-as=" + URI,
                                     "--file=-"])
        for word in ("--strict", "--dump-level=17", "--then=reset", "--bandwidth=20971520"):
            self.assertIn(word, words)
        self.assertNotIn("--remote", words)
        self.assertNotIn(str(self.out), " ".join(words))

    def test_the_uri_of_the_environment(self):
        self.far_vmcorectl("echo text")
        self.env["LIBVIRT_DEFAULT_URI"] = "qemu+ssh://far/session"
        self.run_cli("info", "--name", "vm1", "--remote", env=self.env)
        self.assertIn("--connect=qemu:///session", self.far_words())

    # What comes back

    def test_a_dump(self):
        self.far_vmcorectl(f"echo 'method  direct' >&2; cat {self.dump()}")
        target, done = self.dumped()
        self.assertEqual(target.read_bytes(), self.dump().read_bytes())
        self.assertEqual(target.stat().st_mode & 0o777, 0o600)
        self.assertIn(b"written", done.stdout)
        self.assertIn(b"method  direct", done.stderr)

    def test_a_dump_told_in_json(self):
        self.far_vmcorectl(f"""cat {self.dump()}; printf 'x\\n{{\\n  "file": null,\\n  "guest": {{"name": "vm1"}}\\n}}\\ny\\n' >&2""")
        target, done = self.dumped("--output", "json")
        answer = json.loads(done.stdout)
        self.assertEqual((answer["file"], answer["guest"]), (str(target), {"name": "vm1"}))
        self.assertEqual(done.stderr.split(), [b"x", b"y"])

    def test_a_dump_to_standard_output(self):
        self.far_vmcorectl(f"cat {self.dump()}")
        done = self.run_remote("dump", "vm1", "-o", "-")
        self.assertEqual(done.stdout, self.dump().read_bytes())

    def test_a_name_of_its_own(self):
        self.far_vmcorectl(f"cat {self.dump()}")
        self.run_remote("dump", "vm1")
        named = [name for name in self.names() if name.startswith("vm1-") and name.endswith(".vmcore")]
        self.assertEqual(len(named), 1)

    def test_exit_codes(self):
        for code in (FAILED, NOT_AS_ASKED, GUEST_CHANGED, INTERRUPTED):
            self.far_vmcorectl(f"echo why >&2; exit {code}")
            self.assertIn(b"why", self.run_remote("dmesg", "vm1", code=code).stderr)
        self.far_vmcorectl(f"cat {self.dump()}; exit {GUEST_CHANGED}")
        target, _ = self.dumped(code=GUEST_CHANGED)
        self.assertTrue(target.exists())

    def test_an_existing_file_is_kept(self):
        self.far_vmcorectl(f"cat {self.dump()}")
        target = self.out / "vmcore"
        target.write_text("old")
        self.dumped(code=FAILED)
        self.assertEqual(target.read_text(), "old")
        self.assertFalse((self.far / "words").exists())     # nobody was asked
        self.dumped("--crash-guest", "nmi", "--yes", "--force", code=FAILED)     # --force is about the guest there
        self.assertEqual(target.read_text(), "old")
        self.dumped("--force")
        self.assertEqual(target.read_bytes(), self.dump().read_bytes())

    # What goes wrong

    def test_nothing_is_named_that_is_no_whole_dump(self):
        for script in (f"head -c 100000 {self.dump()}; kill -9 $$", f"head -c 40 {self.dump()}", "echo no dump",
                       f"cat {self.dump()}; exit 1", "true"):
            with self.subTest(script):
                self.far_vmcorectl(script)
                self.dumped(code=FAILED)
                self.assertEqual(self.left(), [])

    def test_a_dump_that_was_cut_off_is_incomplete(self):
        whole = self.dump().stat().st_size
        self.far_vmcorectl(f"head -c {whole // 2} {self.dump()}; printf '{{\\n  \"as_asked\": true\\n}}\\n' >&2")
        answer = json.loads(self.dumped("--output", "json", code=NOT_AS_ASKED)[1].stdout)
        self.assertEqual((answer["as_asked"], answer["incomplete"]), (False, True))
        self.assertEqual(self.left(), ["vmcore.incomplete"])

    # What is done with the guest then

    def far_that_asks(self, dump):
        """It notes what it hears behind the trailer, and whether the dump had its name here by then."""
        self.far_vmcorectl(f"{dump}; printf %s \"${{2#--then-when-kept=}}\"\n"
                           f"[ \"$(head -c 1)\" = k ] && echo kept > {self.far}/heard || echo none > {self.far}/heard\n"
                           f"ls {self.out} > {self.far}/there")

    def heard(self):
        return (self.far / "heard").read_text().strip(), (self.far / "there").read_text().split()

    def test_the_other_end_acts_when_its_dump_is_kept_here(self):
        self.far_that_asks(f"cat {self.dump()}")
        target, done = self.dumped("--then", "destroy")
        self.assertEqual(self.heard(), ("kept", ["vmcore"]))
        self.assertEqual(target.read_bytes(), self.dump().read_bytes())
        self.assertIn(b"written", done.stdout)

    def test_the_other_end_does_not_act_where_its_dump_is_not_kept_here(self):
        whole = self.dump().stat().st_size
        for dump, code, left in (("echo no dump", FAILED, []),
                                 (f"head -c {whole // 2} {self.dump()}", NOT_AS_ASKED, ["vmcore.incomplete"])):
            self.far_that_asks(dump)
            self.dumped("--then", "destroy", code=code)
            self.assertEqual((self.heard()[0], self.left()), ("none", left))

    def test_nothing_comes_behind_the_end_of_a_dump(self):
        self.far_vmcorectl(f"cat {self.dump()}; printf %s \"${{2#--then-when-kept=}}\"; head -c 1; echo more")
        target, done = self.dumped("--then", "destroy", code=NOT_AS_ASKED)
        self.assertIn(b"written", done.stdout)
        self.assertEqual(target.read_bytes(), self.dump().read_bytes())

    def test_always_is_not_asked_about(self):
        self.far_vmcorectl(f"cat {self.dump()}")
        self.dumped("--then-always", "destroy")
        self.assertEqual([word for word in self.far_words() if "then" in word], ["--then-always=destroy"])

    def test_no_vmcorectl_there(self):
        done = self.run_remote("dmesg", "vm1", code=FAILED)
        self.assertIn(b"install it", done.stderr)

    def test_no_ssh(self):
        self.script(self.near / "ssh", "echo 'ssh: no route' >&2; exit 255")
        done = self.run_remote("dmesg", "vm1", code=FAILED)
        self.assertIn(b"no route", done.stderr)
        self.assertIn(b"far: the connection by ssh failed", done.stderr)

    def test_another_version_is_said(self):
        self.far_vmcorectl("echo text", version="vmcorectl 9.9.9")
        done = self.run_remote("dmesg", "vm1")
        self.assertEqual(done.stdout, b"text\n")
        self.assertIn(b"far has vmcorectl 9.9.9, this is " + VERSION.encode(), done.stderr)

    def test_a_shell_that_talks(self):
        self.far_vmcorectl("echo text", version="Welcome to far!")
        done = self.run_remote("dmesg", "vm1", code=FAILED)
        self.assertIn(b"the remote vmcorectl printed this in place of its version: Welcome to far!", done.stderr)
        self.assertEqual(done.stdout, b"")

    def test_no_such_uri(self):
        for uri in ("qemu:///system", "qemu+tls://far/system", "qemu+ssh://-oProxyCommand=x/system"):
            self.run_remote("dmesg", "vm1", uri=uri, code=USAGE)
        self.run_remote("memory", "vm1", "--svg", "x.svg", code=USAGE)
        self.run_remote("dump", "--all-crashed", code=USAGE)
        self.run_remote("dump", "vm1", "vm2", code=USAGE)
        self.run_remote("debug", "x.vmcore", code=USAGE)
        self.run_cli("list", "-c", URI, code=USAGE)

    def test_every_verb(self):
        """What has no guest is run there as well: its stored crashes, keys and files are of that host."""
        self.far_vmcorectl("echo text")
        for words, there in ((["list", "vm1", "--since", "7d"], ["list", "--since=7d", "--", "vm1"]),
                             (["rm", "X-1"], ["rm", "--", "X-1"]), (["key", "k"], ["key", "--", "k"]),
                             (["path", "--folder", "X-1"], ["path", "--folder", "--", "X-1"]),
                             (["convert", "-d", "1", "a", "b"], ["convert", "--dump-level=1", "--", "a", "b"]),
                             (["debug", "--run", "s", "a", "b"], ["debug", "--run=s", "--", "a", "b"]),
                             (["receive", "vm1", "-o", "x"], ["receive", "--connect=qemu:///system", "--file=x", "--", "vm1"]),
                             (["dump", "vm1", "--dry-run"], ["dump", "--connect=qemu:///system", "--asked-as=" + URI,
                                                             "--dry-run", "--", "vm1"])):
            self.assertEqual(self.run_remote(*words).stdout, b"text\n")
            self.assertEqual(self.far_words(), [there[0], "--ends-with-stdin", *there[1:]])

    # How it ends

    def begun(self, *words):
        process = subprocess.Popen([VMCORECTL, *words, "-c", URI, "--remote"], env=self.env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        for _ in range(600):
            if (self.far / "begun").exists():
                return process
            time.sleep(0.05)
        self.fail("did not begin")

    def test_an_interruption_lets_the_other_end_end(self):
        self.far_vmcorectl(f"touch {self.far}/begun; cat > /dev/null; echo the guest runs >&2; exit 130")
        process = self.begun("dmesg", "vm1")
        os.killpg(process.pid, signal.SIGINT)           # as the terminal does
        _, errors = process.communicate(timeout=60)
        self.assertEqual((process.returncode, b"the guest runs" in errors), (INTERRUPTED, True))

    def test_whoever_is_killed_takes_the_other_end_along(self):
        self.far_vmcorectl(f"touch {self.far}/begun; cat > /dev/null; touch {self.far}/ended")
        process = self.begun("dump", "vm1", "-o", str(self.out / "vmcore"))
        process.kill()
        process.communicate(timeout=60)
        for _ in range(600):
            if (self.far / "ended").exists():
                break
            time.sleep(0.05)
        self.assertTrue((self.far / "ended").exists())
        self.assertEqual(self.left(), [])

    def test_the_other_end_ends_with_its_input(self):
        """The real vmcorectl, whose worker never answers."""
        program = self.with_worker("channel.recv(1)")
        process = subprocess.Popen([program, "dmesg", "--ends-with-stdin", self.dump()], stdin=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        self.assertIsNone(process.poll())
        process.stdin.close()
        self.assertEqual(process.wait(timeout=60), INTERRUPTED)


if __name__ == "__main__":
    main()
