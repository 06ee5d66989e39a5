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
            self.assertEqual(list(finding), ["schema", "guest", "id", "title", "result", "hint", "value", "numbers"])
            self.assertIsNone(finding["guest"])
            self.assertIn(finding["result"], ("PASS", "WARN"))
        self.assertEqual(findings[0]["result"], "PASS")

    def test_lines(self):
        lines = self.run_cli("check", "-c", "test:///default").stdout.decode().splitlines()
        self.assertEqual(len(lines), len(IDS) + 1)
        for line in lines[:-1]:
            self.assertRegex(line, r"^host: Checking for .*: (PASS|WARN)( \(.*\))?$")
        self.assertRegex(lines[-1], r"^\d PASS, 0 NOTE, \d WARN, 0 FAIL$")
        quiet = self.run_cli("check", "-q", "-c", "test:///default").stdout.decode().splitlines()
        self.assertEqual(quiet, [line for line in lines[:-1] if ": PASS" not in line])

    def test_no_libvirt(self):
        """Nobody listens: a warning, which monitoring can make a failure."""
        uri = f"qemu:///session?socket={self.folder}/none"
        findings = {finding["id"]: finding for finding in self.checked("-c", uri, code=DONE)}
        self.assertEqual(findings["host.libvirt"]["result"], "WARN")
        self.assertIn(f"no connection to libvirt at {uri}", findings["host.libvirt"]["hint"])
        self.assertIn("start libvirt: systemctl start libvirtd", findings["host.libvirt"]["hint"])
        self.checked("-c", uri, "--fail-on", "warn", code=FAILED)

    def node(self, **states):
        """libvirt's test driver with these domains: 1 runs, 5 is shut off."""
        path = self.folder / "node.xml"
        path.write_text("<node>" + "".join(
            f"<domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'><name>{name}</name>"
            f"<memory>65536</memory><os><type>hvm</type></os><test:runstate>{state}</test:runstate></domain>"
            for name, state in states.items()) + "</node>")
        return f"test://{path}"

    def test_all_by_name_and_those_that_are_off(self):
        findings = self.checked("-c", self.node(zeta=5, alpha=1, mid=5), "--all", code=FAILED)
        guests = list(dict.fromkeys(finding["guest"] for finding in findings))
        self.assertEqual(guests, ["alpha", "mid", "zeta"])
        self.assertEqual([finding["result"] for finding in findings if finding["id"] == "state"], ["PASS", "NOTE", "NOTE"])
        self.checked("-c", self.node(off=5), "--all", code=DONE)
        self.checked("-c", self.node(off=5), "--all", "--fail-on", "warn", code=FAILED)
        self.checked("-c", self.node(off=5), "off", code=FAILED)

    def test_several(self):
        uri = self.node(zeta=5, alpha=1, mid=5)
        findings = self.checked("-c", uri, "zeta", "alpha", code=FAILED)
        self.assertEqual(list(dict.fromkeys(finding["guest"] for finding in findings)), ["zeta", "alpha"])
        fixed = self.run_cli("check", "--fix", "--all", "-c", uri, "--output", "json")
        documents = json.loads(fixed.stdout)
        self.assertEqual([document["guest"] for document in documents], ["alpha", "mid", "zeta"])
        for document in documents:
            self.assertIn("does not run in QEMU", document["skipped"])
        done = self.run_cli("check", "--fix", "-c", uri, "zeta", "nobody", "--output", "json", code=FAILED)
        self.assertEqual([document["error"]["code"] for document in json.loads(done.stdout)], ["unsupported", "not_found"])

    def test_numbers(self):
        findings = self.checked("-c", "test:///default", "test", code=FAILED)
        numbers = {finding["id"]: finding["numbers"] for finding in findings}
        self.assertEqual(set(numbers["room"]), {"likely_bytes", "most_bytes", "free_bytes"})
        self.assertGreater(numbers["room"]["free_bytes"], 0)

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
        self.assertIn("does not run its domains in QEMU", [finding["hint"] for finding in findings if finding["id"] == "idle"][0])
        done = self.run_cli("check", "--fix", "-c", "test:///default", "test", code=FAILED)
        self.assertIn(b"does not run in QEMU", done.stderr)
        self.assertEqual(self.names(), [])


if __name__ == "__main__":
    main()
