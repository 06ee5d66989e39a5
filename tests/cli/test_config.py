# SPDX-License-Identifier: GPL-2.0-or-later
"""The configured store: verbs use it, with its limits."""

import json
import subprocess
from pathlib import Path

from harness import DONE, FAILED, MAKE_DUMP, USAGE, Cli, main

MAKE_STREAM = Path(MAKE_DUMP).with_name("make_stream")


class Configured(Cli):
    def setUp(self):
        super().setUp()
        self.config = self.folder / "vmcored.conf"
        self.store = self.folder / "configured"
        self.configure()

    def configure(self, more="") -> None:
        self.config.write_text(f'[store]\nfolder = "{self.store}"\n{more}')
        self.config.chmod(0o644)

    def receive(self, *words, **more):
        stream = self.dumps / "stream"
        if not stream.exists():
            subprocess.run([MAKE_STREAM, self.dump(), stream], check=True)
        return self.run_cli("receive", stream, "--keep", "-q", *words, **more)

    def ids(self, *words) -> list:
        listed = json.loads(self.run_cli("list", "--output", "json", *words).stdout)
        return [crash["id"] for crash in listed["crashes"]]

    def test_each_verb(self):
        self.receive("--config", self.config)
        (crash,) = self.ids("--config", self.config)
        self.assertEqual([path.name for path in self.store.iterdir() if path.is_dir()], [crash])
        with_config = ("--config", self.config)
        self.assertEqual(self.run_cli("path", "-1", *with_config).stdout.decode(), f"{self.store}/{crash}/vmcore\n")
        self.assertIn(crash, self.run_cli("info", "-1", *with_config).stdout.decode())
        self.run_cli("dmesg", crash, *with_config)
        self.run_cli("convert", crash, "out", *with_config)
        self.run_cli("hold", crash, *with_config)
        self.run_cli("hold", "--release", crash, *with_config)
        self.run_cli("export", crash, "copy", *with_config)
        self.run_cli("prune", *with_config)
        self.run_cli("rm", crash, *with_config)
        self.assertEqual(self.ids(*with_config), [])

    def test_the_option_comes_first(self):
        self.receive("--config", self.config, "--store", "other")
        self.assertFalse(self.store.exists())
        self.assertEqual(len(self.ids("--store", "other")), 1)
        # What the option names needs no configuration.
        self.config.write_text("nonsense")
        self.assertEqual(len(self.ids("--store", "other", "--config", self.config)), 1)

    def test_limits(self):
        self.configure("max-count = 2\n")
        for _ in range(4):
            self.receive("--config", self.config)
        kept = self.ids("--config", self.config)
        self.assertEqual(len(kept), 2)
        self.configure("max-count = 1\n")
        self.run_cli("prune", "--config", self.config)
        self.assertEqual(self.ids("--config", self.config), kept[1:])

    def test_limits_of_a_guest(self):
        self.configure('[guest."stream"]\nstore-count = 2\n[guest."*"]\nlevel = 1\n')
        for _ in range(4):
            self.receive("--config", self.config)
        # A file has no name of a guest: the crash belongs to what was received from.
        self.assertEqual(len(self.ids("--config", self.config)), 2)
        for _ in range(2):
            self.receive("--config", self.config, "--guest-count", "9")
        self.assertEqual(len(self.ids("--config", self.config)), 4)

    def test_limits_are_of_the_configured_store_only(self):
        self.configure("max-count = 1\n")
        for _ in range(3):
            self.receive("--store", "other")
        self.assertEqual(len(self.ids("--store", "other")), 3)

    def test_a_wrong_configuration(self):
        self.config.write_text("[store]\nfolder = 1\nfolders = 2\n")
        for words in (["list"], ["path", "-1"], ["prune"], ["rm", "-1"], ["info", "-1"], ["info", "20261129T"]):
            self.refused(*words, "--config", self.config, says=["vmcored.conf:2: [store] folder", "and 1 more"])
        self.receive("--config", self.config, code=FAILED)
        self.refused("list", "--config", "none.conf", says=["none.conf"])

    def test_what_everybody_may_write_to(self):
        self.config.chmod(0o666)
        self.refused("list", "--config", self.config, says=["its group or others may write to it", "chmod go-w"])

    def test_without_keep(self):
        self.run_cli("dump", "vm1", "--config", self.config, code=USAGE)
        self.run_cli("dump", "vm1", "--guest-size", "1G", code=USAGE)


if __name__ == "__main__":
    main()
