# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcore-guest save: what a capture environment gets by it, from a dump in place of /proc/vmcore."""

import os
import re
import shutil
import tempfile
from pathlib import Path

from harness import FAILED, USAGE, Cli, main

VMCORE_GUEST = os.environ["VMCORE_GUEST"]


class GuestSave(Cli):
    def save(self, *words, **more) -> str:
        """What it said."""
        return self.run_cli("save", *words, program=VMCORE_GUEST, **more).stderr.decode()

    def test_one_file(self):
        """As the collector of somebody else's capture environment: VMCORE FILE, or -o."""
        said = self.save(self.dump(), "out")
        self.assertIn("Linux 6.12.0-test crashed: Kernel panic - not syncing: test\n", said)
        self.save(self.dump(), "-o", "again", "--level", 1)
        self.assertEqual(self.names(), ["again", "out"])
        self.assertEqual((self.folder / "out").stat().st_mode & 0o777, 0o600)
        info = self.info("out")
        self.assertEqual((info["level"]["reached"], info["incomplete"]), (31, False))
        self.assertEqual(self.info("again")["level"]["reached"], 1)
        self.run_cli("convert", self.dump(), "converted")
        self.assertEqual(info["pages"], self.info("converted")["pages"])

    def test_an_existing_file_stays(self):
        (self.folder / "out.incomplete").write_text("mine")
        self.save(self.dump(), "out", code=FAILED)
        self.assertEqual((self.folder / "out.incomplete").read_text(), "mine")
        self.assertIn("in exists already", self.save(self.dump(), self.copy(), code=FAILED))

    def test_the_next_target_is_tried(self):
        disk = Path(tempfile.mkdtemp(dir=Path(VMCORE_GUEST).parent))     # /tmp may be in memory, which is refused
        self.addCleanup(shutil.rmtree, disk)
        said = self.save(self.dump(), "--target", "nowhere", "--target", f"raw:{self.folder}/in",
                         "--target", f"file:{disk}/crashes")
        self.assertIn("nowhere: unknown kind of target \"nowhere\": use one of port[:NAME], ", said)
        self.assertIn("raw: \"%s/in\" is not /dev/NAME" % self.folder, said)
        names = sorted(path.name for path in (disk / "crashes").iterdir())
        self.assertEqual(names[1:], ["boot-reason", "reboot-reason", "reboot-stack"])
        self.assertTrue(re.fullmatch(r"\d{4}-\d\d-\d\d-\d{6}", names[0]), names)
        self.assertIn("Kernel panic - not syncing: test", (disk / "crashes" / names[0] / "dmesg.txt").read_text())

    def test_nothing_to_save(self):
        self.assertIn("No such file", self.save("absent", "out", code=FAILED))
        (self.folder / "in").write_bytes(b"no dump at all" * 1000)
        self.save("in", "out", code=FAILED)
        self.assertEqual(self.names(), ["in"])
        self.assertIn("this is not a capture kernel", self.save("-o", "out", code=FAILED))

    def test_the_configuration_is_checked(self):
        (self.folder / "conf").write_text("level = 40\n")
        self.assertIn("conf: line 1: ", self.save(self.dump(), "out", "--config", "conf", code=FAILED))
        self.save(self.dump(), "out", "--level", 40, code=USAGE)
        self.save(self.dump(), "-o", "out", "--target", "port", code=USAGE)


if __name__ == "__main__":
    main()
