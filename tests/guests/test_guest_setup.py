#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vmcore-guest setup and remove on root file systems: Debian's by debootstrap, others' as they lay them out.

Setup changes what it shows, a second one changes nothing, and remove leaves each byte as it was: from outside (--root),
inside by chroot, and by the packages. VMCORE_GUEST names the program, in its build folder.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from guests.debian import run
from guests.debian_root import changes, command, copy_of, make_package, written_tree
from guests.harness import SKIP, Findings

PROGRAM = "/usr/sbin/vmcore-guest"
# Exit codes of setup, of a second one, and of remove. By hand: the commands of a root in which none can run.
DONE = (0, 0, 0)
COMMANDS_BY_HAND = (3, 0, 3)
LINE_BY_HAND = (3, 3, 0)
MENU_BY_HAND = (3, 3, 3)
# Where packagers keep their books.
BOOKS = ("/var/lib/dpkg", "/var/lib/rpm", "/var/log", "/var/cache")

FEDORA = {
    PROGRAM: "", "/usr/lib/systemd/systemd": "", "/usr/sbin/grub2-mkconfig": "#!/bin/sh\n", "/usr/bin/dracut": "",
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX="rhgb quiet"\nGRUB_ENABLE_BLSCFG=true\n', "/boot/grub2/grub.cfg": "",
    "/boot/loader/entries/0a-6.8.5-301.fc40.x86_64.conf":
        "title Fedora\nversion 6.8.5-301.fc40.x86_64\nlinux /vmlinuz-6.8.5-301.fc40.x86_64\n"
        "initrd /initramfs-6.8.5.img $tuned_initrd\noptions root=UUID=1 ro rhgb quiet $tuned_params\ngrub_class fedora\n",
    "/boot/loader/entries/0a-0-rescue.conf": "title Rescue\nlinux /vmlinuz-0-rescue\noptions root=UUID=1 ro\n",
    "/lib/modules/6.8.5-301.fc40.x86_64/modules.dep": "kernel/drivers/misc/pvpanic/pvpanic-mmio.ko.xz: pvpanic.ko.xz\n",
}
ARCH = {
    PROGRAM: "", "/usr/lib/systemd/systemd": "", "/usr/bin/mkinitcpio": "",
    "/boot/loader/loader.conf": "default arch.conf\n",
    "/boot/loader/entries/arch.conf": "title Arch\nlinux /vmlinuz-linux\ninitrd /initramfs-linux.img\noptions root=LABEL=a rw",
    "/etc/mkinitcpio.conf": "MODULES=()\n",
    "/lib/modules/6.17.1-arch1-1/modules.dep": "kernel/a/qemu_fw_cfg.ko.zst:\nkernel/b/pvpanic-pci.ko.zst:\n",
}
ALPINE = {
    PROGRAM: "", "/etc/alpine-release": "3.20.0\n", "/sbin/openrc-run": "", "/sbin/update-extlinux": "",
    "/etc/update-extlinux.conf": "# comment\noverwrite=1\ndefault_kernel_opts=\"quiet rootfstype=ext4\"\nmodules=ext4\n",
    "/boot/extlinux.conf": "LABEL virt\n  APPEND root=UUID=1 quiet\n", "/etc/runlevels/boot/.keep": "",
    "/lib/modules/6.6.100-0-virt/modules.dep": "kernel/a/qemu_fw_cfg.ko.gz:\nkernel/b/pvpanic-mmio.ko.gz:\n",
}
DIRECT = {PROGRAM: "", "/usr/lib/systemd/systemd": ""}
EL8_ENTRY = "/boot/loader/entries/0a-4.18.0-372.el8.x86_64.conf"
EL8 = {
    **DIRECT, "/usr/sbin/grub2-mkconfig": "#!/bin/sh\n", "/boot/grub2/grub.cfg": "blscfg\n",
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX="crashkernel=160M console=ttyS0"\nGRUB_ENABLE_BLSCFG="true"\n',
    EL8_ENTRY: "title EL 8\nlinux /vmlinuz\noptions $kernelopts $tuned_params\n",
    "/boot/grub2/grubenv": "# GRUB Environment Block\nsaved_entry=0a\nkernelopts=root=UUID=1 ro crashkernel=160M \n"
        + "#" * 948,
}
EL7_MENU = "/boot/efi/EFI/centos/grub.cfg"
EL7 = {
    **DIRECT, "/usr/sbin/grub2-mkconfig": "#!/bin/sh\n", "/boot/grub2/.keep": "",
    "/etc/default/grub": 'GRUB_CMDLINE_LINUX="quiet"  # crashkernel=128M\n',
    EL7_MENU: "menuentry 'EL 7' {\n\tlinuxefi /vmlinuz-3.10.0 ro quiet\n}\n",
}

# name: files, exit codes, and what setup leaves: path: texts in it
LAYOUTS = {
    "Fedora": (FEDORA, COMMANDS_BY_HAND, {
        "/boot/loader/entries/0a-6.8.5-301.fc40.x86_64.conf": ["ro rhgb quiet $tuned_params crashkernel=128M\n"],
        "/boot/loader/entries/0a-0-rescue.conf": ["options root=UUID=1 ro crashkernel=128M\n"],
        "/etc/default/grub": ['\nGRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=128M"\n'],
        "/etc/dracut.conf.d/vmcore-guest.conf": ['\nforce_drivers+=" pvpanic-mmio "\n'],
    }),
    "Arch": (ARCH, COMMANDS_BY_HAND, {
        "/boot/loader/entries/arch.conf": ["options root=LABEL=a rw crashkernel=128M"],
        "/etc/mkinitcpio.conf.d/vmcore-guest.conf": ["\nMODULES+=(qemu_fw_cfg pvpanic-pci)\n"],
    }),
    "Alpine": (ALPINE, MENU_BY_HAND, {
        "/etc/update-extlinux.conf":
            ['\ndefault_kernel_opts="$default_kernel_opts crashkernel=128M kexec_load_disabled=0"\n'],
        "/etc/modules-load.d/vmcore-guest.conf": ["\nqemu_fw_cfg\npvpanic-mmio\n"],
        "/etc/init.d/vmcore-guest": ["#!/sbin/openrc-run\n", f"{PROGRAM} load\n"],
        "/etc/runlevels/boot/vmcore-guest": [],
    }),
    "direct kernel boot": (DIRECT, LINE_BY_HAND, {}),
    "EL 8, reserved in grubenv": (EL8, DONE, {EL8_ENTRY: ["options $kernelopts $tuned_params\n"]}),
    "EL 7, menu in the EFI partition": (EL7, MENU_BY_HAND, {"/etc/default/grub": ["_DEFAULT crashkernel=128M"]}),
}
# Systems that are declared: what marks them, and the option that setup names.
DECLARED = {
    "NixOS": ({"/etc/NIXOS": "", "/nix/store/a-etc/x": ""}, "boot.kernelParams"),
    "Guix System": ({"/etc/os-release": "ID=guix\n"}, "kernel-arguments"),
    "ostree": ({"/ostree/repo/config": "", "/etc/default/grub": "", "/usr/sbin/grub2-mkconfig": ""}, "rpm-ostree kargs"),
}
# What does not serve as a reservation, and why.
USELESS = {"auto": "expects a number", "0M": "reserves nothing", "1G-2G:0M": "reserves nothing"}


class Guest:
    """A tree, the vmcore-guest that sets it up, and what is found."""

    def __init__(self, name: str, tree, run_words, findings: Findings):
        self.name, self.tree, self.run_words, self.findings = name, tree, run_words, findings

    def run(self, code: int, says: str, *words):
        """Runs a verb and checks its exit code and a text that it prints."""
        done = self.run_words(*words)
        wrong = [f"exit {done.returncode}, expected {code}"] if done.returncode != code else []
        wrong += [f"does not say \"{says}\""] if says not in done.stdout else []
        self.findings.check(f"{self.name}: {' '.join(words)}", [*wrong, done.stdout] if wrong else [])

    def same(self, what: str, before: dict, *without: str) -> None:
        self.findings.check(f"{self.name}: {what}", changes(before, self.tree.picture(*without)))

    def has(self, path: str, *texts: str) -> None:
        there = (self.tree.folder / path.lstrip("/")).is_file()
        text = self.tree.read(path) if there else ""
        missing = [wanted for wanted in texts if wanted not in text]
        self.findings.check(f"{self.name}: {path}", [f"has no {missing}", text] if missing or not there else [])

    def says(self, expected: str, *words) -> None:
        got = self.tree.chroot(*words).stdout.strip()
        self.findings.check(f"{self.name}: {' '.join(words)}", [got] if got != expected else [])

    def round_trip(self, codes: tuple, look, *options) -> None:
        """Nothing by a dry run, setup, nothing by a second one, and all of it back. `codes` are those of setup, the
        second setup and remove."""
        before = self.tree.picture()
        self.run(codes[0], "would change", "setup", "--dry-run", *options)
        self.same("a dry run changes nothing", before)
        self.run(codes[0], "+++ /etc/", "setup", *options)
        look()
        after = self.tree.picture()
        self.run(codes[1], "set up already", "setup", *options)
        self.same("a second setup changes nothing", after)
        self.run(codes[2], "reboot to apply", "remove")
        self.same("remove takes all of it back", before)
        self.run(0, "nothing to do", "remove")


def grub_lines(guest: Guest, wanted: bool) -> None:
    """Each kernel of GRUB's menu (but the recovery mode) has crashkernel= in the end, or none."""
    lines = [line for line in guest.tree.read("/boot/grub/grub.cfg").splitlines()
             if line.lstrip().startswith("linux\t") and " single" not in line]
    wrong = [line for line in lines if line.rstrip().endswith(" crashkernel=128M") != wanted]
    guest.findings.check(f"{guest.name}: grub.cfg", wrong or ([] if lines else ["it has no kernel"]))


def try_debian(program: str, findings: Findings) -> None:
    with copy_of("plain") as root:
        shutil.copy(program, root.folder / PROGRAM[1:])

        def enabled(guest):
            guest.says("enabled", "systemctl", "is-enabled", "vmcore-guest.service")
            guest.says("", "systemd-analyze", "verify", "--man=no", "vmcore-guest.service")
            grub_lines(guest, True)

        inside = Guest("inside", root, lambda *words: root.chroot(PROGRAM, *words), findings)
        inside.round_trip(DONE, lambda: enabled(inside))
        grub_lines(inside, False)
        outside = Guest("--root", root,
                        lambda verb, *words: root.mounted(program, verb, "--root", root.folder, *words), findings)
        outside.round_trip(DONE, lambda: enabled(outside), "--panic-on", "oops,nmi")


def try_deb(package: Path, findings: Findings) -> None:
    with copy_of("kdump-tools") as root:
        guest = Guest("kdump-tools", root, lambda *words: root.chroot(PROGRAM, *words), findings)
        before = root.picture(*BOOKS)
        shutil.copy(package, root.folder / "package.deb")
        install(guest, before, root.chroot("dpkg", "-i", "/package.deb"), "package.deb")

        with_package = root.picture()
        guest.run(1, "kdump-tools.service is enabled", "setup")
        guest.same("a refusal changes nothing", with_package)
        guest.round_trip(DONE, lambda: guest.has("/etc/systemd/system/kdump-tools-dump.service.d/vmcore-guest.conf",
                                              f"ExecStartPre=-{PROGRAM} save\n"), "--beside")
        guest.run(0, "kdump-tools.service is disabled", "setup", "--replace")
        guest.says("disabled", "systemctl", "is-enabled", "kdump-tools.service")
        guest.says("enabled", "systemctl", "is-enabled", "vmcore-guest.service")
        erase(guest, before, root.chroot("dpkg", "--purge", "vmcore-guest"))
        guest.says("enabled", "systemctl", "is-enabled", "kdump-tools.service")


def try_replaced(program: str, findings: Findings) -> None:
    """The reservation outlives the package whose panic kernel is replaced."""
    with copy_of("kdump-tools") as root:
        shutil.copy(program, root.folder / PROGRAM[1:])
        guest = Guest("replaced", root, lambda *words: root.chroot(PROGRAM, *words), findings)
        guest.run(0, "kdump-tools.service is disabled", "setup", "--replace")
        done = root.chroot("dpkg", "--purge", "kdump-tools")
        findings.check("kdump-tools is purged", [done.stdout] if done.returncode or "kdump-tools.cfg" in "".join(
            os.listdir(root.folder / "etc/default/grub.d")) else [])
        root.chroot("update-grub")
        grub_lines(guest, True)


# Fails in the middle: when the files in /etc/default are written, and those in /etc/udev are not.
FULL = """mount -t tmpfs -o size=4k,nr_inodes=1 none "$0/etc/udev/rules.d"
exec "$@" """
READ_ONLY = """mount --bind "$0/etc/udev" "$0/etc/udev"
mount -o remount,bind,ro "$0/etc/udev"
exec "$@" """


def try_failing(program: str, findings: Findings) -> None:
    """A setup that cannot write one of its files leaves all of them as they were."""
    with copy_of("plain") as root:
        shutil.copy(program, root.folder / PROGRAM[1:])
        (root.folder / "etc/udev/rules.d").mkdir(exist_ok=True)
        before = root.picture()
        for name, mounts, word in [("full", FULL, "No space left"), ("read-only", READ_ONLY, "Read-only file system")]:
            guest = Guest(name, root, lambda verb, *words: command(
                "unshare", "--mount", "sh", "-c", mounts, root.folder, program, verb, "--root", root.folder, *words), findings)
            guest.run(1, word, "setup")
            guest.same("every file is as it was", before)


def try_rpm(package: Path, findings: Findings) -> None:
    """In a root of Debian's, by the rpm of this machine: what is tried is the package's scripts."""
    with copy_of("plain") as root:
        guest = Guest("rpm", root, lambda *words: root.chroot(PROGRAM, *words), findings)
        (root.folder / "usr/share/licenses").mkdir()     # of package filesystem where rpm is at home
        rpm = ("rpm", "--root", root.folder, "--dbpath", "/var/lib/rpm", "--force-debian", "--nodeps")
        before = root.picture(*BOOKS)
        install(guest, before, root.mounted(*rpm, "--install", package))
        guest.run(0, "reboot to apply", "setup")
        guest.says("enabled", "systemctl", "is-enabled", "vmcore-guest.service")
        erase(guest, before, root.mounted(*rpm, "--erase", "vmcore-guest"))


def install(guest: Guest, before: dict, done, *left: str) -> None:
    """Installing has told how the guest stands, and changed nothing. `left` are files of the test's."""
    findings, root = guest.findings, guest.tree
    wrong = [done.stdout] if done.returncode or "vmcore-guest setup" not in done.stdout else []
    findings.check(f"{guest.name}: the package is installed, and says what to do", wrong)
    for name in left:
        (root.folder / name).unlink()
    new = changes(before, root.picture(*BOOKS))
    findings.check(f"{guest.name}: installing changes nothing", [line for line in new if not line.startswith("/usr/")])


def erase(guest: Guest, before: dict, done) -> None:
    guest.findings.check(f"{guest.name}: the package goes", [done.stdout] if done.returncode else [])
    guest.same("with the package goes what setup did", before, *BOOKS)


def try_layout(program: str, name: str, findings: Findings) -> None:
    files, codes, expected = LAYOUTS[name]
    with written_tree(files) as tree:
        guest = Guest(name, tree, lambda verb, *words: command(program, verb, "--root", tree.folder, *words), findings)

        def look():
            for path, texts in expected.items():
                if texts:
                    guest.has(path, *texts)

        guest.round_trip(codes, look)


def try_declared(program: str, findings: Findings) -> None:
    for name, (files, option) in DECLARED.items():
        with written_tree({**DIRECT, **files}) as tree:
            guest = Guest(name, tree, lambda verb, *words: command(program, verb, "--root", tree.folder, *words), findings)
            before = tree.picture()
            guest.run(1, option, "setup")
            guest.same("nothing is touched", before)


def try_useless(program: str, findings: Findings) -> None:
    """A crashkernel= that reserves nothing is told, and overridden on request; a later setup does not go back to it."""
    for word, why in USELESS.items():
        files = {**EL7, "/etc/default/grub": f'GRUB_CMDLINE_LINUX="crashkernel={word} quiet"\n'}
        with written_tree(files) as tree:
            guest = Guest(f"crashkernel={word}", tree,
                          lambda verb, *words: command(program, verb, "--root", tree.folder, *words), findings)
            guest.run(3, why, "setup")
            guest.run(3, "vmcore-guest setup --crashkernel 128M", "setup", "--dry-run")
            guest.run(3, f"has crashkernel={word}; the kernel uses crashkernel=128M", "setup", "--crashkernel", "128M", "--dry-run")


def main() -> int:
    program = os.environ.get("VMCORE_GUEST", "")
    if not Path(program).is_file():
        print("VMCORE_GUEST must name the program under test")
        return 1
    missing = [name for name in ("debootstrap", "unshare", "cpack", "strip", "rpm") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        print(f"SKIPPED: needs {', '.join(missing) or 'root'}")
        return SKIP
    findings = Findings()
    with tempfile.TemporaryDirectory() as folder:
        stripped = str(Path(folder) / "vmcore-guest")
        run(["strip", "-o", stripped, program])
        for name in LAYOUTS:
            try_layout(stripped, name, findings)
        try_declared(stripped, findings)
        try_useless(stripped, findings)
        try_debian(stripped, findings)
        try_failing(stripped, findings)
        try_replaced(stripped, findings)
        try_deb(make_package(Path(program).parents[1], Path(folder)), findings)
        try_rpm(make_package(Path(program).parents[1], Path(folder), "rpm"), findings)
    return findings.exit_code()


if __name__ == "__main__":
    sys.exit(main())
