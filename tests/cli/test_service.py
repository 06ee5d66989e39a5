# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcored with a fake QEMU: hooks that a stop interrupts, a monitor that a command borrows, folders that others may change."""

import os
import signal
import subprocess
from pathlib import Path

from harness import FAILED, USAGE, VMCORECTL, main
from test_arm import ARMED, DEFAULTS, WithService


class Hooks(WithService):
    def setUp(self):
        super().setUp()
        self.end(self.service, signal.SIGTERM)
        self.hooks = self.folder / "hooks.d"
        self.hooks.mkdir(0o755)
        (self.folder / "conf").write_text(f"[service]\nhooks = '{self.hooks}'\n[guests]\nafter-crash = 'preserve'\n")

    def hook(self, script: str, name: str = "hook") -> None:
        path = self.hooks / name
        path.write_text(f"#!/bin/sh\ncd {self.folder}\n{script}\n")
        path.chmod(0o755)

    def panic(self) -> None:
        self.qemu.running = False
        self.qemu._event("GUEST_PANICKED", action="pause")

    def said(self) -> list:
        path = self.folder / "said"
        return path.read_text().splitlines() if path.exists() else []

    def marks(self) -> list:
        return [path.name for path in (self.folder / "state" / "hooks").glob("*")]

    def test_a_stop_interrupts_them(self):
        """The one that runs begins again; those that have ended do not."""
        self.hook("echo first >> mails", "first")
        self.hook("echo begins $VMCORECTL_CRASH >> said; [ -e go ] || sleep 600; cat > manifest; echo ends >> said")
        self.service = self.start()
        self.panic()
        self.wait_for(lambda: self.said(), "hook", 120)
        crash = self.said()[0].split()[1]
        self.assertEqual(self.marks(), [crash])
        self.wait_for(lambda: (self.folder / "state" / "hooks" / crash).read_text() == "first\n", "note of the first")
        self.end(self.service, signal.SIGTERM)
        (self.folder / "go").touch()
        self.start()
        self.wait_for(lambda: "ends" in self.said(), "hook that ends")
        self.assertEqual(self.said(), [f"begins {crash}", f"begins {crash}", "ends"])
        self.assertIn(crash, (self.folder / "manifest").read_text())
        self.wait_for(lambda: not self.marks(), "end of the mark")
        self.assertEqual((self.folder / "mails").read_text(), "first\n")

    def test_a_crash_that_was_removed_meanwhile(self):
        (self.folder / "state" / "hooks").mkdir(parents=True)
        (self.folder / "state" / "hooks" / "20261129T214500Z-host1-vm1-000017").touch()
        self.start()
        self.wait_for(lambda: not self.marks(), "end of the mark")
        self.assertIn("no hook runs for 20261129T214500Z-host1-vm1-000017", (self.folder / "log").read_text())


class Monitor(WithService):
    def test_it_comes_back_when_memory_is_read(self):
        """The dump goes on, slowly, without the monitor."""
        words = ("dump", "--qmp", "qmp/vm1.sock", "--method", "qmp", "--pause-limit", "60s", "--bandwidth", "16KiB",
                 "-o", "out", "--socket", self.folder / "control")
        dump = subprocess.Popen([VMCORECTL, *map(str, words)], cwd=self.folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(dump.wait)
        self.addCleanup(dump.kill)
        self.wait_for(lambda: "dump-guest-memory" in self.qemu.deeds, "dump")
        self.ask("arm", "vm1")
        self.assertEqual((self.qemu.actions, self.qemu.clients, dump.poll()), (ARMED, 1, None))

    def test_all_that_are_armed(self):
        self.assertEqual(self.ask("disarm", "--all").stdout, b"no guest is armed\n")
        self.ask("arm", "vm1")
        self.assertEqual(self.ask("disarm", "--all").stdout, b"vm1: not armed\n")
        self.assertEqual(self.qemu.actions, DEFAULTS)


class Others(WithService):
    """What others may write to is not believed."""

    def setUp(self):
        super().setUp()
        self.end(self.service, signal.SIGTERM)

    def refused_start(self, path: Path, mode: int, code: int) -> None:
        before = path.stat().st_mode
        path.chmod(mode)
        done = subprocess.run([str(word) for word in self.words()], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(f"chmod go-w {path}", done.stderr)
        path.chmod(before & 0o7777)

    def test_files_and_folders(self):
        (self.folder / "store").mkdir(exist_ok=True)
        self.refused_start(self.folder / "conf", 0o664, USAGE)
        self.refused_start(self.folder / "store", 0o770, USAGE)
        self.refused_start(self.folder / "state", 0o720, FAILED)
        self.start()

    def test_a_hook_folder(self):
        hooks = self.folder / "hooks.d"
        hooks.mkdir()
        hooks.chmod(0o775)
        (self.folder / "conf").write_text(f"[service]\nhooks = '{hooks}'\n")
        self.start()
        self.assertIn(f"chmod go-w {hooks}", (self.folder / "log").read_text())


if __name__ == "__main__":
    os.umask(0o022)
    main()
