# SPDX-License-Identifier: GPL-2.0-or-later
"""How a worker is confined, and what is told where that cannot be had."""

import ctypes
import errno
import json
import os
import re
import struct
import subprocess
import unittest
from pathlib import Path

from harness import DONE, FAILED, VMCORECTL, Cli, main

WORKER = Path(VMCORECTL).with_name("vmcore-worker")
SECCOMP, PRCTL, LANDLOCK = 317, 157, 444  # of x86-64
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22


def sanitized() -> bool:
    """Only such a worker is dynamic."""
    return "INTERP" in subprocess.run(["readelf", "-lW", WORKER], stdout=subprocess.PIPE, text=True, check=True).stdout


def host_without(number: int):
    """Called in the child: that call is not there (seccomp: also by prctl)."""
    load, equal, ret = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
    allow, refuse = 0x7FFF0000, 0x00050000 | errno.ENOSYS
    program = [(load, 0, 0, 0), (equal, 0, 1, number), (ret, 0, 0, refuse)]
    if number == SECCOMP:
        program += [(equal, 0, 3, PRCTL), (load, 0, 0, 16), (equal, 0, 1, PR_SET_SECCOMP), (ret, 0, 0, refuse)]
    program += [(ret, 0, 0, allow)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))

    def become():
        libc = ctypes.CDLL(None, use_errno=True)
        filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
        zero = ctypes.c_ulong(0)
        assert libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) == 0
        assert libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), filter_, zero, zero) == 0
    return become


class Confined(Cli):
    def finding(self, become=None, code=DONE, words=()) -> dict:
        done = self.run_cli("check", "--output", "json", *words, code=code, preexec_fn=become)
        return next(entry for entry in json.loads(done.stdout) if entry["id"] == "host.confinement")

    def test_here(self):
        found = self.finding(code=None)
        self.assertIn(found["result"], ("PASS", "WARN"), found)
        self.assertEqual(found["result"] == "PASS", found["hint"] == "", found)

    @unittest.skipIf(os.uname().machine != "x86_64", "numbers of another machine")
    def test_without_landlock(self):
        self.assertEqual(self.finding(host_without(LANDLOCK), code=None)["result"], "WARN")
        done = self.run_cli("dmesg", self.dump(), preexec_fn=host_without(LANDLOCK))
        self.assertIn("note: vmcore-worker is confined without Landlock", done.stderr.decode())

    @unittest.skipIf(os.uname().machine != "x86_64" or sanitized(), "numbers of another machine, or a sanitizer")
    def test_without_seccomp(self):
        none = host_without(SECCOMP)
        self.assertEqual(self.finding(none, code=FAILED)["result"], "FAIL")
        self.refused("convert", self.dump(), "out", says=["cannot be confined", "--allow-unconfined"], preexec_fn=none)
        done = self.run_cli("convert", self.dump(), "out", "--allow-unconfined", preexec_fn=none)
        self.assertIn("warning: vmcore-worker cannot be confined", done.stderr.decode())
        done = self.run_cli("dmesg", self.dump(), preexec_fn=none, env={**os.environ, "VMCORECTL_ALLOW_UNCONFINED": "1"})
        self.assertIn("warning: vmcore-worker cannot be confined", done.stderr.decode())

    def test_in_a_user_namespace(self):
        """As in a container that has one user: a note, and all the rest."""
        if subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode != 0:
            self.skipTest("no user namespaces here")
        done = self.run_cli("-Ur", VMCORECTL, "dmesg", self.dump(), program="unshare")
        self.assertIn("note: vmcore-worker is confined without a user of its own", done.stderr.decode())

    def test_first_to_be_killed_for_memory(self):
        """Of a conversion the worker, and who started it: before any guest of the host."""
        scores = self.folder / "programs0/scores"
        program = self.with_worker(f"with open({str(scores)!r}, 'w') as told:\n"
                                   "    for pid in ('self', os.getppid()):\n"
                                   "        told.write(open(f'/proc/{pid}/oom_score_adj').read())\nos._exit(1)\n")
        self.refused("convert", self.dump(), "out", program=program, says=["exit status 1"])
        self.assertEqual(scores.read_text().split(), ["1000", "1000"])

    def test_last_words_steer_no_terminal(self):
        program = self.with_worker("os.write(2, b'\\x1b[2J words\\n')\nos.kill(os.getpid(), 31)\n")
        said = self.refused("dmesg", self.dump(), program=program, says=["system call that its job does not need"])
        self.assertIn('it said "\\x1b[2J words"', said)

    @unittest.skipIf(sanitized(), "sanitized programs are dynamic")
    def test_the_program(self):
        told = subprocess.run(["readelf", "-hldW", WORKER], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertRegex(told, r"Type:\s+DYN")
        self.assertNotIn("INTERP", told)
        self.assertIn("GNU_RELRO", told)
        self.assertRegex(told, r"BIND_NOW|FLAGS_1.*NOW")
        self.assertRegex(told, r"GNU_STACK.* RW ")

    def test_scattered_memory(self):
        """A million pages, each in a chunk of its own: 56 MB that would cost gigabytes."""
        count = 1_000_000
        header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 4, 62, 1, 0, 128, 64, 0, 64, 56, 0xFFFF, 64, 1, 0)
        section = bytes(44) + struct.pack("<I", count) + bytes(16)  # sh_info
        with open(self.folder / "in", "wb") as file:
            file.write(header + section)
            for i in range(count):
                file.write(struct.pack("<IIQQQQQQ", 1, 0, 0, 0, i << 26, 0, 4096, 0))
        done = self.run_cli("convert", "in", "out", code=None)
        print(f"  {done.stderr.decode().strip()[:200]}", flush=True)
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("more memory than this job may have", done.stderr.decode())


class Table(unittest.TestCase):
    def test_docs(self):
        """The table of docs/SECURITY.md is that of the code."""
        root = Path(__file__).resolve().parents[2]
        words = {"kAll": "all", "kMemory": "memory", "kGuest": "guest", "kSpool": "spool", "kDump": "dump"}
        code = re.findall(r'\{"(\w+)",\s*SCMP_SYS\((\w+)\),\s*([\w| ]+),\s*"((?:[^"\\]|\\.)*)"\}',
                          (root / "src/sandbox/calls.cc").read_text())
        self.assertGreater(len(code), 30)
        rows = [f"| `{name}` | {', '.join(words[use] for use in uses.split(' | '))} | {why} |" for name, number, uses, why in code
                if name == number]
        self.assertEqual(len(rows), len(code))
        told = [line for line in (root / "docs/SECURITY.md").read_text().splitlines() if line.startswith("| `")]
        self.assertEqual(told, rows)


if __name__ == "__main__":
    main()
