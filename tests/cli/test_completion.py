# SPDX-License-Identifier: GPL-2.0-or-later
"""The completion of bash. What it gets from the package bash-completion stands in for that here, and so does virsh."""

import os
import subprocess
from pathlib import Path

from harness import VMCORECTL, Cli, main

VMCORE_GUEST = os.environ["VMCORE_GUEST"]
COMPLETION = Path(__file__).resolve().parents[2] / "src/command/completion.bash"
BASH = r"""
_init_completion() {
    words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword - 1]}
}
_filedir() { COMPREPLY+=($(compgen -f -- "$cur")); }
__ltrim_colon_completions() { :; }
source "$COMPLETION"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_vmcorectl "$1"
printf '%s\n' "${COMPREPLY[@]}"
"""


class Completion(Cli):
    def setUp(self):
        super().setUp()
        virsh = self.folder / "bin/virsh"
        virsh.parent.mkdir()
        virsh.write_text('#!/bin/bash\necho "$*" > words\necho "vm1"\necho "two words"\n'
                         '[[ "$*" != *--all* ]] || echo "off"\n[[ "$*" != *session* ]] || echo "mine"\n')
        virsh.chmod(0o755)

    def offered(self, *words, program=VMCORECTL):
        env = {**os.environ, "COMPLETION": COMPLETION, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-c", BASH, "bash", program, *words], cwd=self.folder, env=env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return [line for line in done.stdout.splitlines() if line]

    def test_verbs(self):
        self.assertEqual(self.offered("du"), ["dump"])
        self.assertIn("help", self.offered("-c", "qemu:///session", ""))
        self.assertIn("dump", self.offered("help", ""))
        self.assertEqual(self.offered("--root", "/mnt", "sta", program=VMCORE_GUEST), ["status"])

    def test_options_of_the_verb(self):
        self.assertEqual(self.offered("check", "--fi"), ["--fix"])
        self.assertEqual(self.offered("-c", "qemu:///session", "dump", "--all-c"), ["--all-crashed"])

    def test_words_of_an_option(self):
        for words, offered in ((["check", "--fail-on", ""], ["fail", "warn"]), (["convert", "--format", "k"], ["kdump"]),
                               (["dump", "--then-always", "re"], ["resume", "reset"]), (["--output", "j"], ["json"]),
                               (["dump", "--consistency", ""], ["pause", "torn", "snapshot"])):
            self.assertEqual(self.offered(*words), offered)
        panic_on = self.offered("setup", "--panic-on", "", program=VMCORE_GUEST)
        self.assertTrue({"oops", "oom", "warn"} <= set(panic_on), panic_on)

    def test_domains(self):
        self.assertEqual(self.offered("dump", ""), ["vm1", r"two\ words"])
        self.assertEqual(self.offered("check", "--fix", ""), ["vm1", r"two\ words", "off"])

    def test_names_with_spaces(self):
        for begun in ("tw", "two ", r"two\ w"):
            self.assertEqual(self.offered("dump", begun), [r"two\ words"])

    def test_domains_of_the_given_connection(self):
        for words in (["dump", "-c", "qemu:///session"], ["-c", "qemu:///session", "dump"],
                      ["dump", "--connect=qemu:///session"], ["dump", "-cqemu:///session"]):
            self.assertEqual(self.offered(*words, "mi"), ["mine"])
            self.assertEqual((self.folder / "words").read_text(), "-q -c qemu:///session list --name\n")


if __name__ == "__main__":
    main()
