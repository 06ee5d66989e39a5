# SPDX-License-Identifier: GPL-2.0-or-later
"""report --log: what the text of a kernel log or a console alone tells."""

import json
import subprocess
import threading

from harness import FAILED, NOT_AS_ASKED, USAGE, VMCORECTL, Cli, main

OOPS = """\
[    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org) #1
[   12.000001] BUG: kernel NULL pointer dereference, address: 0000000000000010
[   12.000002] Oops: 0002 [#1] PREEMPT SMP PTI
[   12.000003] CPU: 1 PID: 89 Comm: insmod Tainted: G           OE      6.1.0-18-amd64 #1  Debian 6.1.76-1
[   12.000004] RIP: 0010:write_to_null+0x5/0x20 [crasher]
[   12.000005] RSP: 0018:ffffb1c0003dbb48 EFLAGS: 00010246
[   12.000006] RAX: 00000000000000aa RBX: 0000000000000000 RCX: 0000000000000000
[   12.000007] Call Trace:
[   12.000008]  <TASK>
[   12.000009]  ? __die_body.cold+0x1a/0x1f
[   12.000010]  crasher_init+0x41/0x1000 [crasher]
[   12.000011]  do_one_initcall+0x59/0x220
[   12.000012]  </TASK>
[   12.000013] Modules linked in: crasher(OE+) virtio_blk
[   12.000013] ---[ end trace 0000000000000000 ]---
[   12.000014] Kernel panic - not syncing: Fatal exception
[   12.000015] ---[ end Kernel panic - not syncing: Fatal exception ]---
"""


class ReportLog(Cli):
    def report(self, text: str, **more) -> dict:
        (self.folder / "log").write_text(text)
        return json.loads(self.run_cli("report", "--log", "log", "--output", "json", **more).stdout)

    def test_an_oops(self):
        report = self.report(OOPS)
        panic = report["panic"]
        self.assertEqual(panic["class"], "null_dereference")
        self.assertEqual(panic["message"], "BUG: kernel NULL pointer dereference, address: 0000000000000010")
        self.assertEqual(panic["evidence"], ["log"])
        self.assertEqual(panic["cpu"], 1)
        self.assertEqual(panic["task"]["comm"], "insmod")
        self.assertEqual(panic["fault"]["function"], "write_to_null")
        self.assertIn({"name": "rax", "value": "0xaa"}, panic["fault"]["registers"])
        self.assertEqual(panic["signature"]["title"], "NULL dereference in write_to_null [crasher]")
        self.assertEqual(panic["signature"]["exact"], "")
        self.assertFalse(panic["signature"]["weak"])
        self.assertEqual(report["kernel"]["release"], "6.1.0-18-amd64")
        self.assertEqual([flag["letter"] for flag in report["kernel"]["taint"]["flags"]], ["O", "E"])
        self.assertEqual([frame["function"] for frame in report["stacks"][panic["stack"]]["frames"]],
                         ["write_to_null", "crasher_init", "do_one_initcall"])
        self.assertEqual([module["name"] for module in report["modules"]["list"]], ["crasher", "virtio_blk"])
        self.assertEqual(report["format"], "kernel log")
        self.assertFalse(report["incomplete"])

    def test_for_people(self):
        (self.folder / "log").write_text(OOPS)
        out = self.run_cli("report", "--log", "log").stdout.decode()
        for words in ("NULL dereference in write_to_null [crasher] (by the log)", "NULL pointer dereference, address", "CPU 1, task 89 insmod",
                      "6.1.0-18-amd64", "stack of the crash", "crasher_init+0x41/0x1000 [crasher]", "log up to the crash"):
            self.assertIn(words, out)

    def test_standard_input(self):
        done = subprocess.run([VMCORECTL, "report", "--log", "-", "--output", "json"], input=OOPS.encode(), capture_output=True,
                              check=True, timeout=300)
        self.assertEqual(json.loads(done.stdout)["panic"], self.report(OOPS)["panic"])

    def test_a_pipe_that_comes_slowly(self):
        with subprocess.Popen([VMCORECTL, "report", "--log", "-", "--output", "json"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as process:
            def feed():
                for piece in OOPS.encode().splitlines(True):
                    process.stdin.write(piece)
                    process.stdin.flush()
                process.stdin.close()
            feeder = threading.Thread(target=feed)
            feeder.start()
            out = process.stdout.read()
            feeder.join()
        self.assertEqual(json.loads(out)["panic"]["class"], "null_dereference")

    def test_a_cut_log_says_so(self):
        report = self.report(OOPS[:OOPS.index("[   12.000011]") + 20], code=NOT_AS_ASKED)
        self.assertTrue(report["incomplete"])
        self.assertTrue(report["panic"]["signature"]["weak"])
        self.assertIn("cut", report["remarks"][0]["text"])

    def test_earlier_reports_and_later_boots_are_told(self):
        warning = "[   11.000000] WARNING: CPU: 0 PID: 1 at a/b.c:1 foo+0x1/0x20\n"
        report = self.report(OOPS.replace("[   12.000001]", warning + "[   12.000001]") + OOPS.splitlines()[0] + "\n")
        self.assertEqual(report["panic"]["class"], "null_dereference")
        texts = [remark["text"] for remark in report["remarks"]]
        self.assertTrue(any("1 other report" in text and "warning" in text for text in texts), texts)
        self.assertTrue(any("another boot" in text for text in texts), texts)

    def test_a_log_without_a_crash(self):
        report = self.report("[    0.000000] Linux version 6.1.0 (x) #1\n", code=NOT_AS_ASKED)
        self.assertIn("no crash", report["panic"]["not_known"])
        self.assertEqual(report["kernel"]["release"], "6.1.0")

    def test_a_text_that_is_no_log(self):
        for text in ("", "\n", "\0" * 5000, "x" * 100000, "[" * 5000, "\x1b[" * 1000):
            with self.subTest(text[:4]):
                self.assertIn("no crash", self.report(text, code=NOT_AS_ASKED)["panic"]["not_known"])

    def test_the_terminal_is_safe(self):
        (self.folder / "log").write_text(OOPS.replace("insmod", "in\x1b[2J\u202e"))
        out = self.run_cli("report", "--full", "--log", "log").stdout.decode()
        self.assertNotIn("\x1b", out)
        self.assertNotIn("\u202e", out)

    def test_what_is_refused(self):
        self.refused("report", "--log", "none", code=FAILED, says=["none", "No such file"])
        self.refused("report", "--log", ".", code=FAILED, says=["is a folder, not a log"])
        done = self.run_cli("report", "--log", "-", "vm1", code=USAGE)
        self.assertIn("SOURCE cannot be given with --log", done.stderr.decode())


if __name__ == "__main__":
    main()
