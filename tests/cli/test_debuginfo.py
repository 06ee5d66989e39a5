# SPDX-License-Identifier: GPL-2.0-or-later
"""debuginfo: it finds the vmlinux of a dump, names the kernel of any other, and says which package has the right one."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

from harness import FAILED, MAKE_DUMP, NOT_AS_ASKED, USAGE, Cli, main

MAKE_DEBUG_FILE = Path(MAKE_DUMP).with_name("make_debug_file")
RELEASE = "6.12.0-test"     # of the dump


class DebugFiles(Cli):
    """A home of its own, so that nobody's cache is looked at."""

    def make(self, kind: str, name: str, release=RELEASE) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([MAKE_DEBUG_FILE, kind, release, path], check=True)
        return path

    def environment(self, **more) -> dict:
        known = {name: value for name, value in os.environ.items() if not name.startswith(("DEBUGINFOD", "XDG_"))}
        return {**known, "HOME": str(self.folder / "home"), **more}

    def found(self, *words, code=None, env=None) -> dict:
        done = self.run_cli("debuginfo", self.dump(), "--output", "json", *words, code=code, env=env or self.environment())
        return json.loads(done.stdout)


class Debuginfo(DebugFiles):
    def test_a_file(self):
        found = self.found("--from", self.make("vmlinux", "mine"), code=0)
        self.assertEqual(found["release"], RELEASE)
        self.assertEqual(found["vmlinux"]["path"], str(self.folder / "mine"))
        self.assertEqual((found["vmlinux"]["matched_by"], found["vmlinux"]["source"]), ("release", "given"))
        self.assertEqual(found["vmlinux"]["build_id"], b"vmlinux-6.12.0-test".hex())
        self.assertIsNone(found["modules"])     # this guest has no BTF

    def test_a_folder(self):
        self.make("vmlinux", "tree/usr/lib/debug/boot/vmlinux-other", "6.1.9")
        right = self.make("vmlinux", "tree/usr/lib/debug/boot/vmlinux-this")
        found = self.found("--from", "tree", code=0)
        self.assertEqual(found["vmlinux"]["path"], str(right.relative_to(self.folder)))

    def test_a_package_goes_to_the_cache(self):
        tree = self.folder / "tree"
        self.make("vmlinux", f"tree/usr/lib/debug/boot/vmlinux-{RELEASE}")
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text("Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n")
        subprocess.run(["dpkg-deb", "--build", tree, self.folder / "x.deb"], check=True, stdout=subprocess.DEVNULL)
        found = self.found("--from", "x.deb", code=0)
        self.assertEqual(found["vmlinux"]["path"], str(self.folder / f"home/.cache/vmcorectl/symbols/{RELEASE}/vmlinux"))
        again = self.found(code=0)
        self.assertEqual(again["vmlinux"]["source"], "cache")
        other = self.found("--cache", self.folder / "elsewhere", "--from", "x.deb", code=0)
        self.assertEqual(other["vmlinux"]["path"], str(self.folder / f"elsewhere/{RELEASE}/vmlinux"))

    def test_a_wrong_one_is_refused_by_name(self):
        found = self.found("--from", self.make("vmlinux", "wrong", "6.1.9"), code=FAILED)
        self.assertIsNone(found["vmlinux"])
        self.assertIn(f"is of kernel 6.1.9 (build-id {b'vmlinux-6.1.9'.hex()}), and the dump is of kernel {RELEASE}",
                      found["refused"][0]["why"])
        text = self.run_cli("debuginfo", self.dump(), "--from", "wrong", code=FAILED, env=self.environment()).stdout.decode()
        self.assertIn("vmlinux         not found", text)
        self.assertIn("wrong is of kernel 6.1.9", text)

    def test_what_is_no_vmlinux(self):
        for kind, says in (("vmlinuz", f"is vmlinuz of kernel {RELEASE}"), ("stripped", "stripped"), ("module", "is a kernel module")):
            with self.subTest(kind):
                found = self.found("--from", self.make(kind, kind), code=FAILED)
                self.assertIn(says, found["refused"][0]["why"])
        found = self.found("--from", self.dump(), code=FAILED)
        self.assertIn("is a dump", found["refused"][0]["why"])

    def test_nothing(self):
        found = self.found(code=FAILED)
        self.assertIsNone(found["vmlinux"])
        self.assertIsNone(found["advice"]["package"])
        self.assertIn("--from", found["advice"]["note"])

    def test_a_server_that_is_dead(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            begin = time.monotonic()
            found = self.found("--fetch", code=FAILED, env=self.environment(DEBUGINFOD_URLS=url))
        self.assertLess(time.monotonic() - begin, 60)
        self.assertTrue(found["remarks"])

    def test_what_is_refused(self):
        self.run_cli("debuginfo", code=USAGE)
        self.refused("debuginfo", self.dump(), "--from", "nothing", says=["nothing"], env=self.environment())
        self.refused("debuginfo", self.dump("bare-6.12"), says=["the kernel is not known"], env=self.environment())


if __name__ == "__main__":
    main()
