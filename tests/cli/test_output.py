# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the output goes, and what it never overwrites."""

import contextlib
import os
import stat
import subprocess
import unittest

from harness import DONE, FAILED, NOT_AS_ASKED, VMCORECTL, Cli, main


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

    def test_a_link_stays_and_its_file_is_replaced(self):
        (self.folder / "sub").mkdir()
        (self.folder / "sub/file").write_text("old")
        os.symlink("sub/file", self.folder / "out")
        self.refused("convert", self.dump(), "out", says=["sub/file exists already", "--force"])
        done = self.run_cli("convert", self.dump(), "out", "--force")
        self.assertIn(b"written       sub/file", done.stdout)
        self.assertEqual(os.readlink(self.folder / "out"), "sub/file")
        self.assertEqual(self.info("sub/file")["level"]["reached"], 31)
        self.assertEqual(stat.S_IMODE((self.folder / "sub/file").stat().st_mode), 0o600)

    def test_a_link_to_nothing_gets_its_file(self):
        os.symlink("later", self.folder / "out")
        self.run_cli("convert", self.dump(), "out")
        self.assertEqual(self.names(), ["later", "out"])
        self.assertTrue((self.folder / "out").is_symlink())

    def test_links_to_what_is_no_file(self):
        os.symlink("/dev/null", self.folder / "null")
        os.symlink(".", self.folder / "folder")
        os.symlink("null", self.folder / "further")
        self.refused("convert", self.dump(), "null", "--force", says=["a link to /dev/null", "device"])
        self.refused("convert", self.dump(), "further", "--force", says=["a link to /dev/null", "device"])
        self.refused("convert", self.dump(), "folder", "--force", says=["is a folder"])
        self.assertTrue((self.folder / "null").is_symlink())

    def test_the_names_of_standard_output(self):
        """A scratch link in place of the host's /dev/stdout, which nobody may lose to this test."""
        os.symlink("/proc/self/fd/1", self.folder / "stdout")
        for name in ("stdout", "/proc/self/fd/1"):
            with self.subTest(name):
                for words in ((), ("--force",)):
                    done = self.run_cli("convert", self.dump(), name, *words)
                    self.assertIn(b"6.12.0-test", done.stderr)          # what is said goes beside
                    (self.folder / "out").write_bytes(done.stdout)
                    self.assertEqual(self.info("out")["level"]["reached"], 31)
                with open(self.folder / "out", "wb") as out:
                    self.run_cli("convert", self.dump(), name, "--force", stdout=out)
                self.assertEqual(self.info("out")["level"]["reached"], 31)
                self.assertEqual(os.readlink(self.folder / "stdout"), "/proc/self/fd/1")

    def test_a_descriptor_that_was_given(self):
        with open(self.folder / "out", "wb") as out:
            self.run_cli("convert", self.dump(), f"/dev/fd/{out.fileno()}", pass_fds=[out.fileno()])
        self.assertEqual(self.info("out")["level"]["reached"], 31)
        self.refused("convert", self.dump(), "/dev/fd/99", says=["/dev/fd/99"])
        self.refused("convert", self.dump(), "/dev/stderr", says=["is for messages"])

    def test_a_fifo(self):
        os.mkfifo(self.folder / "fifo")
        os.symlink("fifo", self.folder / "link")
        self.refused("convert", self.dump(), "fifo", "--force", says=["the FIFO fifo has no reader"])
        for name in ("fifo", "link"):
            with open(self.folder / "out", "wb") as out, \
                    subprocess.Popen(["cat", "fifo"], cwd=self.folder, stdout=out) as reader:
                # Its reader opens it when it likes: refused until then.
                for _ in range(600):
                    done = subprocess.run([VMCORECTL, "convert", self.dump(), name], cwd=self.folder,
                                          capture_output=True, check=False)
                    if done.returncode == DONE:
                        break
                self.assertEqual(done.returncode, DONE, done.stderr)
                self.assertEqual(reader.wait(timeout=60), 0)
            self.assertEqual(self.info("out")["level"]["reached"], 31)
        self.assertTrue(stat.S_ISFIFO((self.folder / "fifo").stat().st_mode))

    def test_other_outputs_follow_links_too(self):
        os.symlink("key", self.folder / "key-link")
        os.symlink("svg", self.folder / "svg-link")
        public = self.run_cli("key", "key-link").stdout
        self.assertEqual(self.run_cli("key", "key").stdout, public)
        self.assertEqual(stat.S_IMODE((self.folder / "key").stat().st_mode), 0o600)
        self.refused("key", "/dev/null")
        self.run_cli("memory", self.dump(), "--svg", "svg-link")
        self.run_cli("memory", self.dump(), "--svg", "svg-link", "--force")
        self.assertTrue((self.folder / "svg-link").is_symlink())
        self.assertIn("<svg", (self.folder / "svg").read_text())
        os.symlink("/proc/self/fd/1", self.folder / "stdout")
        self.assertIn(b"<svg", self.run_cli("memory", self.dump(), "--svg", "stdout", "--force").stdout)

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
        self.refused("convert", self.dump(), "sub/", says=["does not name a file"])

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

    def test_results_that_cannot_be_printed(self):
        """The dump is there all the same, and the exit code does not say that nothing was kept."""
        with open("/dev/full", "wb") as full:
            done = self.run_cli("convert", self.dump(), "out", stdout=full, code=NOT_AS_ASKED)
            self.assertIn(b"standard output: No space", done.stderr)
            self.assertEqual(self.info("out")["level"]["reached"], 31)
            self.run_cli("convert", self.dump(), "--dry-run", stdout=full, code=FAILED)
            self.run_cli("info", self.dump(), stdout=full, code=FAILED)

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
