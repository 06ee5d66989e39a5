"""Where the output goes, and what it never overwrites."""

import contextlib
import os
import stat
import subprocess
import unittest

from harness import DONE, FAILED, VMCORECTL, Cli, main


class Output(Cli):
    def test_it_is_private(self):
        os.umask(0)
        self.run_cli("convert", self.dump(), "out")
        self.assertEqual(stat.S_IMODE((self.folder / "out").stat().st_mode), 0o600)

    def test_an_existing_file_stays(self):
        (self.folder / "out").write_text("precious")
        self.refused("convert", self.dump(), "out", says=["out exists already", "--force"])
        self.assertEqual((self.folder / "out").read_text(), "precious")

    def test_force_replaces_it(self):
        (self.folder / "out").write_text("old")
        self.run_cli("convert", self.dump(), "out", "--force")
        self.assertEqual(self.names(), ["out"])
        self.run_cli("info", "out")

    def test_force_that_fails_replaces_nothing(self):
        (self.folder / "out").write_text("old")
        (self.folder / "text").write_text("no dump")
        self.refused("convert", "text", "out", "--force")
        self.assertEqual((self.folder / "out").read_text(), "old")

    def test_devices_are_not_replaced(self):
        self.refused("convert", self.dump(), "/dev/null", "--force", says=["/dev/null is a device"])
        self.assertTrue(stat.S_ISCHR(os.stat("/dev/null").st_mode))

    def test_the_input_is_refused_as_output(self):
        path = self.copy()
        os.link(path, self.folder / "hard")
        os.symlink("in", self.folder / "soft")
        before = path.stat()
        for out in ("in", "./in", "hard", "soft", path):
            self.refused("convert", "in", out, "--force", says=["same file"])
        with open(path, "ab") as itself:
            self.refused("convert", "in", "-", says=["same file"], stdout=itself)
        self.assertEqual((path.stat().st_size, path.stat().st_mtime), (before.st_size, before.st_mtime))

    def test_a_missing_folder(self):
        self.refused("convert", self.dump(), "nowhere/out", says=["nowhere: No such file"])

    def test_a_folder(self):
        self.refused("convert", self.dump(), ".", says=["folder"])
        self.refused("convert", self.dump(), "sub/", says=["names no file"])

    def test_standard_output_to_a_file(self):
        with open(self.folder / "out", "wb") as out:
            done = self.run_cli("convert", self.dump(), "-", stdout=out)
        self.assertIn("6.12.0-test", done.stderr.decode())
        self.assertEqual(self.info("out")["level"]["reached"], 31)

    def test_standard_output_to_a_pipe(self):
        done = self.run_cli("convert", self.dump(), "-", "-q")
        (self.folder / "out").write_bytes(done.stdout)
        self.assertEqual(self.info("out")["level"]["reached"], 31)
        self.assertEqual(done.stderr, b"")

    def test_a_pipe_that_is_closed(self):
        with subprocess.Popen([VMCORECTL, "convert", self.dump(), "-"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            process.stdout.close()
            said = process.stderr.read().decode()
        self.assertEqual(process.returncode, FAILED)
        self.assertIn("standard output", said)

    def test_closed_standard_descriptors(self):
        """What is printed must not land in the dump, which would get the closed descriptor's number."""
        done = subprocess.run(["sh", "-c", '"$0" convert "$1" out >&- 2>&- <&-', VMCORECTL, self.dump()],
                              cwd=self.folder, check=False)
        self.assertIn(done.returncode, (DONE, FAILED))
        self.assertEqual(self.info("out")["level"]["reached"], 31)
        self.run_cli("convert", "out", "again", "--verify")


class FullDisk(Cli):
    @contextlib.contextmanager
    def tiny_disk(self, size):
        disk = self.folder / "disk"
        disk.mkdir()
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk],
                                               capture_output=True, check=False).returncode != 0:
            self.skipTest("cannot mount a tmpfs")
        try:
            yield disk
        finally:
            subprocess.run(["umount", "-l", disk], check=True)

    def full(self, *words, **more):
        with self.tiny_disk("64k") as disk:
            line = self.refused("convert", self.dump(), *words, **more)
            self.assertEqual(list(disk.iterdir()), [])
        return line

    def test_of_the_output(self):
        for form in ("kdump", "elf"):
            with self.subTest(form=form):
                line = self.full("disk/out", "--format", form)
                self.assertIn("disk/out: ", line)
                self.assertIn("No space left", line)
            (self.folder / "disk").rmdir()

    def test_of_the_folder_for_standard_output(self):
        line = self.full("-", env={**os.environ, "TMPDIR": str(self.folder / "disk")})
        self.assertIn("No space left", line)


if __name__ == "__main__":
    main()
