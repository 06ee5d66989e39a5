# SPDX-License-Identifier: GPL-2.0-or-later
"""dump --then and --then-always: what is done with a guest, and what not, after what became of its dump."""

import json
import os
import signal
import subprocess
import time

from fake_qemu import FakeQemu
from harness import DONE, FAILED, INTERRUPTED, NOT_AS_ASKED, USAGE, VMCORECTL, Cli, main

DUMP = "dump-guest-memory"


class Then(Cli):
    def qemu(self, kind="elf-6.12", **more):
        path = self.folder / "qmp"
        path.unlink(missing_ok=True)
        qemu = FakeQemu(path, self.dump(kind), **more)
        self.addCleanup(qemu.close)
        return qemu

    def dumped(self, *words, code=DONE, limit="none"):
        return self.run_cli("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", limit, *words, code=code)

    def expect_withheld(self, done, action, why, by_hand):
        said = done.stderr.decode()
        self.assertIn(f"--then {action} was not carried out: {why}. By hand: {by_hand}", said)

    def test_after_a_complete_dump(self):
        for action, deeds in (("destroy", ["quit"]), ("reset", ["system_reset"]), ("resume", ["cont"])):
            for option in ("--then", "--then-always"):
                with self.subTest(action=action, option=option):
                    qemu = self.qemu()
                    done = self.dumped("-o", "out", "--force", option, action)
                    self.assertEqual(qemu.deeds, [DUMP, *deeds])
                    self.assertIn(f"then {action}: done".encode(), done.stdout)

    def test_into_a_folder(self):
        self.qemu()
        (self.folder / "dumps").mkdir()
        for folder in ("dumps", "dumps/"):
            path = json.loads(self.dumped("--output", "json", "--force", "-o", folder).stdout)["file"]
            self.assertRegex(path, r"^dumps/vm1-\d{8}T\d{6}Z\.vmcore$")
        self.dumped("-o", "nowhere/", code=FAILED)

    def test_a_dry_run_needs_no_pause(self):
        """By the monitor alone it is not known what would be kept."""
        qemu = self.qemu()
        done = self.dumped("-o", "out", "--dry-run", code=FAILED)
        self.assertIn(b"--dry-run needs method direct", done.stderr)
        self.assertEqual((qemu.deeds, self.names()), ([], ["qmp"]))

    def test_not_after_a_dump_that_failed(self):
        """A typo in the output's name: nothing of the guest may be lost for it."""
        for action, by_hand in (("destroy", "the QMP command quit to qmp"),
                                ("reset", "the QMP commands system_reset and cont to qmp"),
                                ("resume", "the QMP command cont to qmp")):
            with self.subTest(action):
                qemu = self.qemu()
                done = self.dumped("-o", "nowhere/out", "--then", action, code=FAILED)
                self.assertEqual(qemu.deeds, [])
                self.expect_withheld(done, action, "no dump was kept", by_hand)

    def test_always_after_a_dump_that_failed(self):
        qemu = self.qemu()
        done = self.dumped("-o", "nowhere/out", "--then-always", "reset", code=FAILED)
        self.assertEqual(qemu.deeds, ["system_reset"])
        self.assertNotIn(b"not carried out", done.stderr)

    def test_not_after_one_that_is_incomplete(self):
        for option, deeds in (("--then", []), ("--then-always", ["quit"])):
            with self.subTest(option):
                qemu = self.qemu(cut=self.dump().stat().st_size // 2)
                done = self.dumped("-o", "out", option, "destroy", code=NOT_AS_ASKED)
                self.assertEqual(qemu.deeds, [DUMP, *deeds])
                self.assertTrue(list(self.folder.glob("out.incomplete*")))
                if not deeds:
                    self.expect_withheld(done, "destroy", "the dump is incomplete", "the QMP command quit to qmp")

    def test_not_with_strict_that_keeps_nothing(self):
        qemu = self.qemu(cut=self.dump().stat().st_size // 2)
        done = self.dumped("-o", "out", "--strict", "--then", "destroy", code=FAILED)
        self.assertEqual(qemu.deeds, [DUMP])
        self.expect_withheld(done, "destroy", "no dump was kept", "the QMP command quit to qmp")

    def test_one_that_holds_more_than_was_asked_is_complete(self):
        qemu = self.qemu("bare-6.12")
        self.dumped("-o", "out", "--then", "destroy", code=NOT_AS_ASKED)
        self.assertEqual(qemu.deeds, [DUMP, "quit"])

    def test_not_where_nothing_was_begun(self):
        qemu = self.qemu()
        for option in ("--then", "--then-always"):
            done = self.dumped("-o", "out", option, "destroy", code=FAILED, limit="1ms")
            self.assertEqual(qemu.deeds, [])
            self.expect_withheld(done, "destroy", "no dump was kept", "the QMP command quit to qmp")
        (self.folder / "qmp").unlink()
        done = self.dumped("-o", "out", "--then", "destroy", code=FAILED)
        self.expect_withheld(done, "destroy", "no dump was kept", "the QMP command quit to qmp")

    def test_a_full_standard_output(self):
        qemu = self.qemu()
        with open("/dev/full", "wb") as full:
            done = self.run_cli("dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "-o", "-", "--then",
                                "destroy", stdout=full, code=FAILED)
        self.assertEqual(qemu.deeds, [DUMP])
        self.expect_withheld(done, "destroy", "no dump was kept", "the QMP command quit to qmp")

    def test_told_in_json(self):
        def told(*words, code=DONE):
            return json.loads(self.dumped("--output", "json", *words, code=code).stdout)["guest"].get("then")
        self.qemu()
        self.assertEqual(told("-o", "a", "--then", "reset"), {"action": "reset", "done": True})
        self.assertIsNone(told("-o", "b"))
        self.assertEqual(told("-o", "nowhere/c", "--then", "reset", code=FAILED), {
            "action": "reset", "done": False, "withheld": "no dump was kept",
            "by_hand": "the QMP commands system_reset and cont to qmp"})
        answer = json.loads(self.dumped("--output", "json", "-o", "d", "--then", "reset", code=FAILED,
                                        limit="1ms").stdout)
        self.assertEqual((answer["then"]["done"], "guest" in answer), (False, False))

    def test_one_or_the_other(self):
        self.dumped("-o", "out", "--then", "reset", "--then-always", "reset", code=USAGE)
        for option in ("--then", "--then-always"):
            self.dumped("--crash-guest", "nmi", "--yes", "--channel", "x", option, "reset", code=USAGE)
            self.dumped(option, "nothing", code=USAGE)

    # The other end of --remote

    def far_end(self, *words):
        return subprocess.Popen(
            [VMCORECTL, "dump", "--ends-with-stdin", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "-o", "-",
             "--then-when-kept=the-end", *words], cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

    def take(self, process):
        dump = b""
        while not dump.endswith(b"the-end"):
            got = os.read(process.stdout.fileno(), 1 << 20)
            self.assertTrue(got, "it ended without its trailer")
            dump += got
        return dump.removesuffix(b"the-end")

    def test_the_other_end_waits_until_its_dump_is_kept(self):
        qemu = self.qemu()
        process = self.far_end("--then", "destroy")
        (self.folder / "out").write_bytes(self.take(process))
        time.sleep(0.5)
        self.assertEqual(qemu.deeds, [DUMP])
        process.stdin.write(b"k")
        process.stdin.flush()
        self.assertEqual(process.wait(timeout=60), DONE)
        self.assertEqual(qemu.deeds, [DUMP, "quit"])
        self.assertEqual(self.info("out")["level"]["reached"], 31)
        process.communicate()

    def test_the_other_end_does_nothing_where_its_dump_is_not_kept(self):
        qemu = self.qemu()
        process = self.far_end("--then", "destroy")
        self.take(process)
        process.stdin.close()
        said = process.stderr.read().decode()
        self.assertIn(process.wait(timeout=60), (DONE, INTERRUPTED))
        self.assertEqual(qemu.deeds, [DUMP])
        self.assertIn("did not keep it. By hand: the QMP command quit", said)
        process.stdout.close()
        process.stderr.close()

    def test_not_after_an_interruption(self):
        for option in ("--then", "--then-always"):
            qemu = self.qemu()
            process = subprocess.Popen(
                [VMCORECTL, "dump", "--qmp", "qmp", "--method", "qmp", "--pause-limit", "none", "-o", "out", "--bandwidth",
                 "1KiB", option, "destroy"], cwd=self.folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
            while DUMP not in qemu.deeds:
                time.sleep(0.05)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1].decode()
            self.assertEqual(process.returncode, INTERRUPTED, said)
            self.assertEqual(qemu.deeds, [DUMP])
            self.assertIn("the dump was interrupted", said)


if __name__ == "__main__":
    main()
