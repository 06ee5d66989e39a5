# SPDX-License-Identifier: GPL-2.0-or-later
"""`vmcorectl check` where there is no guest: of the host, and of guests that are not there."""

import json
import os

from harness import DONE, FAILED, Cli, main

IDS = ["host.worker", "host.confinement", "host.libvirt", "host.ptrace", "host.userfaultfd"]


class Check(Cli):
    def checked(self, *words, code):
        done = self.run_cli("check", "--output", "json", *words, code=code)
        self.assertFalse(done.stderr)
        return json.loads(done.stdout)

    def test_host(self):
        findings = self.checked("-c", "test:///default", code=DONE)
        self.assertEqual([finding["id"] for finding in findings], IDS)
        for finding in findings:
            self.assertEqual(list(finding), ["schema", "guest", "id", "title", "result", "hint", "value"])
            self.assertIsNone(finding["guest"])
            self.assertIn(finding["result"], ("PASS", "WARN"))
        self.assertEqual(findings[0]["result"], "PASS")

    def test_lines(self):
        lines = self.run_cli("check", "-c", "test:///default").stdout.decode().splitlines()
        self.assertEqual(len(lines), len(IDS))
        for line in lines:
            self.assertRegex(line, r"^host: Checking for .*: (PASS|WARN)( \(.*\))?$")

    def test_without_a_worker(self):
        vmcorectl = self.with_worker("")
        os.unlink(vmcorectl.parent / "vmcore-worker")
        findings = json.loads(self.run_cli("check", "--output", "json", "-c", "test:///default", code=FAILED,
                                           program=vmcorectl).stdout)
        self.assertEqual(findings[0]["result"], "FAIL")
        self.assertIn("vmcore-worker", findings[0]["hint"])

    def test_another_host(self):
        for words in (["-c", "qemu+ssh://far/system"], ["-c", "qemu+ssh://far/system", "vm1"]):
            findings = self.checked(*words, code=FAILED)
            self.assertIn("run vmcorectl there", [finding for finding in findings if finding["result"] == "FAIL"][0]["hint"])

    def test_no_guest(self):
        for words in (["-c", "test:///default", "nobody"], ["--qmp", self.folder / "none"]):
            findings = self.checked(*words, code=FAILED)
            self.assertEqual([(finding["id"], finding["result"]) for finding in findings], [("state", "FAIL")])

    def test_all(self):
        findings = self.checked("-c", "test:///default", "--all", code=FAILED)
        self.assertEqual({finding["guest"] for finding in findings}, {"test"})
        self.assertEqual(len(self.checked("-c", "test:///default", "test", code=FAILED)), len(findings))

    def test_not_qemus(self):
        """libvirt's test driver has a domain that runs, but no QEMU."""
        findings = self.checked("-c", "test:///default", "test", code=FAILED)
        results = {finding["id"]: finding["result"] for finding in findings}
        self.assertEqual([results[name] for name in ("state", "idle", "method.direct", "panic")],
                         ["PASS", "FAIL", "WARN", "WARN"])
        done = self.run_cli("check", "--fix", "-c", "test:///default", "test", code=FAILED)
        self.assertIn(b"does not run in QEMU", done.stderr)
        self.assertEqual(self.names(), [])


if __name__ == "__main__":
    main()
