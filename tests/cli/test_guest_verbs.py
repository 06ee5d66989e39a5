# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcore-guest, as far as it can be tried without loading or crashing anything."""

import json
import os
import struct
import subprocess

from harness import DONE, FAILED, NOT_AS_ASKED, USAGE, Cli, main

VMCORE_GUEST = os.environ["VMCORE_GUEST"]


class GuestVerbs(Cli):
    def guest(self, *words, **more):
        return self.run_cli(*words, program=VMCORE_GUEST, **more)

    def kernel(self, init_size: int) -> str:
        """A bzImage's header, with that init_size."""
        header = bytearray(0x1000)
        header[0x202:0x206] = b"HdrS"
        fields = ((0x206, "<H", 0x20f), (0x236, "<H", 0x7f), (0x238, "<I", 2047), (0x260, "<I", init_size))
        for offset, form, value in fields:
            struct.pack_into(form, header, offset, value)
        (self.folder / "kernel").write_bytes(header)
        return "kernel"

    def test_estimate(self):
        (self.folder / "image").write_bytes(bytes(2 << 20))
        words = ("estimate", "--kernel-image", self.kernel(64 << 20), "--initrd", "image")
        found = json.loads(self.guest(*words, "--output", "json").stdout)
        self.assertEqual((found["crashkernel"], found["kernel_bytes"], found["image_bytes"], found["minimum_bytes"]),
                         ("crashkernel=128M", 64 << 20, 2 << 20, 92 << 20))
        text = self.guest(*words).stdout.decode()
        self.assertIn("crashkernel=128M\n", text)
        self.assertIn("64.0 MiB for the kernel (its init_size) + 2 x 2.0 MiB for the capture image", text)

    def test_an_image_replaces_nothing_but_files(self):
        """It is refused before anything is built. (A scratch link: nobody's /dev/null is lost to this test.)"""
        os.symlink("/dev/null", self.folder / "null")
        os.symlink("/proc/self/fd/1", self.folder / "stdout")
        os.mkfifo(self.folder / "fifo")
        for name, says in (("null", b"a link to /dev/null"), ("stdout", b"FIFO or a descriptor"),
                           ("fifo", b"FIFO or a descriptor"), (".", b"is a folder"), ("nowhere/x", b"nowhere")):
            done = self.guest("build", "-o", name, "--root", self.folder, code=FAILED)
            self.assertIn(says, done.stderr)
        self.assertEqual(os.readlink(self.folder / "null"), "/dev/null")

    def test_images_go_after_the_files_are_back(self):
        root, state = self.folder / "root", self.folder / "root/var/lib/vmcore-guest"
        for name, text in (("usr/sbin/vmcore-guest", ""), ("usr/lib/systemd/systemd", ""), ("etc/default/grub", "X=1\n"),
                           ("usr/sbin/grub-mkconfig", "")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "var/lib").mkdir(parents=True)
        self.guest("setup", "--root", root, "--crashkernel", "128M", code=NOT_AS_ASKED)     # its menu is still to be made
        self.assertIn("crashkernel=128M", (root / "etc/default/grub").read_text())
        image = state / "capture-6.1-test.img"
        image.write_text("an image")
        obstacle = root / "etc/default/.grub.vmcore-guest"
        obstacle.mkdir()
        self.guest("remove", "--root", root, code=FAILED)
        self.assertIn("crashkernel=128M", (root / "etc/default/grub").read_text())
        self.assertTrue(image.exists())
        obstacle.rmdir()
        self.guest("remove", "--root", root)
        self.assertEqual((root / "etc/default/grub").read_text(), "X=1\n")
        self.assertFalse(state.exists())

    def test_no_kernel(self):
        (self.folder / "kernel").write_bytes(b"MZ" + bytes(0x1000))
        done = self.guest("estimate", "--kernel-image", "kernel", "--output", "json", code=FAILED)
        self.assertEqual(json.loads(done.stdout)["error"]["code"], "not_recognised")
        self.assertIn("without a .linux section", done.stderr.decode())
        self.assertIn("No such file", self.guest("estimate", "--kernel-image", "absent", code=FAILED).stderr.decode())

    def test_status_is_a_list_wherever_it_runs(self):
        done = subprocess.run([VMCORE_GUEST, "status", "--output", "json"], stdout=subprocess.PIPE, timeout=60)
        self.assertIn(done.returncode, (DONE, FAILED))
        found = json.loads(done.stdout)
        self.assertEqual({name for finding in found for name in finding}, {"id", "title", "result", "hint", "value"})
        self.assertEqual(done.returncode, FAILED if "FAIL" in [finding["result"] for finding in found] else DONE)

    def test_usage(self):
        for words in ([], ["dance"], ["load", "--reload", "--force"], ["load", "--reload", "--reboot"],
                      ["load", "--refresh", "--reload"], ["load", "--refresh", "--force"],
                      ["test", "--tag", "a b"], ["test", "--tag", "x" * 65], ["test", "--result", "--yes"],
                      ["status", "--output", "xml"]):
            self.assertFalse(self.guest(*words, code=USAGE).stdout, words)


if __name__ == "__main__":
    main()
