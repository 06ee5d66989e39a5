# SPDX-License-Identifier: GPL-2.0-or-later
"""The examples: hooks, which run with a curl and a fence_kdump_send that write down what they get, alert rules, and what
guests of several kinds need for their crashes to be kept."""

import json
import os
import re
import runpy
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
import types
import unittest
import xml.etree.ElementTree
from pathlib import Path
from unittest import mock

from harness import VMCORECTL, main
from test_faults import WithGuests

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")
NASTY = 'x"; rm -rf ~\nBcc: all@example.org\n`$(reboot)`<@everyone>'


def manifest(**more) -> str:
    return json.dumps({"schema": "vmcorectl-manifest/1", "reason": "panic", "witness": "event",
                       "signature": {"exact": "1", "family": "2", "title": "NULL pointer in ext4_write"},
                       "capture": {"guest": {"name": "vm1", "uuid": "u-u", "host": "host1"}}, **more})


class Examples(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="vmcorectl-examples-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.program("curl")

    def program(self, name) -> Path:
        path = self.folder / name
        path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {self.folder}/words\ncat > {self.folder}/input\n')
        path.chmod(0o755)
        return path

    def run_hook(self, name, text, **more) -> None:
        path = EXAMPLES / "hooks" / name
        self.assertTrue(path.stat().st_mode & stat.S_IXUSR)
        subprocess.run([path], input=text.encode(), check=True, timeout=60,
                       env={"PATH": f"{self.folder}:{os.environ['PATH']}", "VMCORECTL_CRASH": "the-id",
                            "VMCORECTL_FOLDER": "/store/the-id", **more})

    def got(self) -> tuple:
        return (self.folder / "words").read_text().splitlines(), (self.folder / "input").read_text()


@unittest.skipUnless(shutil.which("jq"), "jq is not installed")
class Hooks(Examples):
    def test_mail(self):
        self.run_hook("10-mail.sh", manifest(), MAIL_TO="admin@example.org")
        words, text = self.got()
        self.assertIn("admin@example.org", words)
        self.assertIn("Subject: vm1 crashed: NULL pointer in ext4_write\n", text)
        self.assertIn("vmcorectl info the-id\n", text)

    def test_mail_of_a_hostile_guest(self):
        self.run_hook("10-mail.sh", manifest(signature={"title": NASTY}, capture={"guest": {"name": NASTY}}))
        head = self.got()[1].split("\n\n")[0]
        self.assertEqual([line.split(":")[0] for line in head.splitlines()], ["From", "To", "Subject", "Content-Type"])

    def test_mail_of_what_is_not_known(self):
        self.run_hook("10-mail.sh", manifest(signature=None))
        self.assertIn("Subject: vm1 crashed: \n", self.got()[1])

    def test_chat(self):
        self.run_hook("20-chat.sh", manifest(), CHAT_CURL="/secret.curl")
        words, text = self.got()
        self.assertEqual(words[words.index("--config") + 1], "/secret.curl")
        self.assertEqual(json.loads(text),
                         {"text": "vm1 on host1 crashed: `NULL pointer in ext4_write` (the-id)"})

    def test_chat_of_a_hostile_guest(self):
        self.run_hook("20-chat.sh", manifest(signature={"title": NASTY}))
        text = json.loads(self.got()[1])["text"]
        self.assertEqual(text.count("`"), 2)
        for letter in "\n<>@":
            self.assertNotIn(letter, text)

    def fence(self, text) -> bool:
        """Whether the hook told the cluster."""
        (self.folder / "words").unlink(missing_ok=True)
        nodes = self.folder / "nodes"
        nodes.mkdir(exist_ok=True)
        (nodes / "vm1").write_text("7411 node1 node2\n")
        self.run_hook("30-fence-kdump.sh", text, FENCE_KDUMP_FOLDER=str(nodes),
                      FENCE_KDUMP_SEND=str(self.program("fence_kdump_send")))
        return (self.folder / "words").exists()

    def test_fence_kdump(self):
        self.assertTrue(self.fence(manifest()))
        words = self.got()[0]
        self.assertEqual(words[words.index("--ipport") + 1], "7411")
        self.assertEqual(words[-2:], ["node1", "node2"])

    def test_fence_kdump_of_no_panic(self):
        for text in (manifest(reason="request"), manifest(reason="hang"), manifest(capture={"guest": {"name": "vm2"}}),
                     manifest(capture={"guest": {"name": "../nodes/vm1"}}), manifest(capture={"guest": {}})):
            self.assertFalse(self.fence(text), text)


@unittest.skipUnless(PROMTOOL, "promtool is not installed: tests/guests/test_alerts.py fetches it")
class Alerts(WithGuests):
    def promtool(self, *words, **more) -> None:
        done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)

    def test_the_rules(self):
        self.promtool("check", "rules", EXAMPLES / "prometheus/vmcored.rules.yml")
        self.promtool("test", "rules", EXAMPLES / "prometheus/vmcored.rules.test.yml")

    def test_what_vmcored_writes(self):
        """Before its first crash, and after it."""
        self.begin()
        metrics = self.folder / "vmcored.prom"
        self.until(metrics.exists, "metrics")
        self.promtool("check", "metrics", input=metrics.read_text())
        self.crash("vm000")
        self.until(lambda: 'vmcored_dumps_total{result="kept"} 1\n' in metrics.read_text(), "a crash in the metrics")
        self.promtool("check", "metrics", input=metrics.read_text())


class Automatic(Examples):
    def read(self, name) -> str:
        return (EXAMPLES / "automatic" / name).read_text()

    def test_qemu(self):
        for name in ("qemu-system-x86_64", "install", "uuidgen"):
            self.program(name)
        subprocess.run([EXAMPLES / "automatic/qemu.sh", "web1", "web1.qcow2", "-snapshot"], stdin=subprocess.DEVNULL, check=True,
                       env={"PATH": f"{self.folder}:{os.environ['PATH']}"})
        words = " ".join(self.got()[0])
        for part in ("-action panic=pause", "-device pvpanic-pci", "-device vmcoreinfo", "name=org.vmcorectl.dump.0", "-snapshot",
                     "-qmp unix:/run/qemu-vmcored/web1.qmp,server=on,wait=off", "-qmp unix:/run/qemu/web1.qmp,server=on,wait=off"):
            self.assertIn(part, words)

    def test_libvirt(self):
        domain = xml.etree.ElementTree.fromstring(self.read("libvirt-domain.xml"))
        self.assertEqual(domain.find("devices/panic").get("model"), "isa")
        self.assertEqual(domain.find("devices/channel/target").get("name"), "org.vmcorectl.dump.0")

    def test_proxmox(self):
        """The script, QEMU's monitor and vmcored's configuration name the same folder."""
        lines = self.read("proxmox.conf").splitlines()
        config = tomllib.loads("\n".join(line[4:] for line in lines[lines.index("#   [service]"):] if line.startswith("#   ")))
        (folder,) = config["service"]["qmp-folders"]
        self.assertIn(f"path={folder}/100.qmp,", "\n".join(lines))
        self.assertEqual(lines[-1].split()[:3], ["d", folder, "0700"])

    def test_openstack(self):
        config = self.folder / "openstack.conf"
        config.write_text(self.read("openstack.conf"))
        config.chmod(0o644)
        done = subprocess.run([Path(VMCORECTL).with_name("vmcored"), "--check-config", "--config", config], capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('on-hang = "dump"', done.stdout)

    def test_kata(self):
        self.assertEqual(tomllib.loads(self.read("kata.toml"))["hypervisor"]["qemu"]["extra_monitor_socket"], "qmp")



@unittest.skipUnless(shutil.which("ansible-playbook") and os.geteuid() == 0, "needs ansible-playbook, and root")
class Ansible(unittest.TestCase):
    """The role, with a vmcorectl that finds something to fix until it has fixed it."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="vmcorectl-ansible-"))
        self.addCleanup(shutil.rmtree, self.folder)
        program = self.folder / "vmcorectl"
        program.write_text(f"""#!/bin/sh
cd {self.folder}
echo "$*" >> calls
case "$*" in *--dry-run*) [ -e fixed ] || exit 3 ;; *) touch fixed ;; esac
""")
        program.chmod(0o755)
        (self.folder / "vmcored").symlink_to(Path(VMCORECTL).with_name("vmcored"))

    def play(self, *words, code=0) -> str:
        done = subprocess.run(["ansible-playbook", "-i", "hypervisors,", "-c", "local", "--skip-tags", "install,start", "-e",
                               json.dumps({"vmcorectl_folder": str(self.folder / "etc"), "vmcorectl_service": False}), *words,
                               self.playbook()],
                              env={**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_GATHERING": "explicit",
                                   "ANSIBLE_LOCAL_TEMP": str(self.folder / "tmp"), "ANSIBLE_ROLES_PATH": str(EXAMPLES / "ansible/roles")},
                              capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def playbook(self) -> Path:
        path = self.folder / "site.yml"
        path.write_text((EXAMPLES / "ansible/site.yml").read_text().replace("hosts: hypervisors", "hosts: all"))
        return path

    def test_the_second_run_changes_nothing(self):
        (self.folder / "etc").mkdir()
        self.assertIn("changed=4", self.play())
        self.assertIn("changed=0", self.play())
        calls = (self.folder / "calls").read_text().splitlines()
        fix = "check --fix --all"
        self.assertEqual(calls, [f"{fix} --dry-run --output json", f"{fix} --output json", f"{fix} --dry-run --output json"])
        text = (self.folder / "etc/conf.d/50-ansible.conf").read_text()
        self.assertEqual(tomllib.loads(text)["guests"], {"arm": True, "after-crash": "restart"})

    def test_what_vmcored_refuses_is_not_written(self):
        (self.folder / "etc").mkdir()
        wrong = {"vmcorectl_config": {"guests": {"after-crash": "explode"}}}
        self.assertIn("after-crash", self.play("-e", json.dumps(wrong), code=2))
        self.assertFalse((self.folder / "etc/conf.d/50-ansible.conf").exists())


class Sos(unittest.TestCase):
    """The plugin, in a sos that writes down what it is told."""

    def test_no_data_of_guests(self):
        told = []
        base = type("Plugin", (), {"add_copy_spec": lambda self, paths: told.extend(paths),
                                   "add_cmd_output": lambda self, commands: told.extend(commands),
                                   "do_path_regex_sub": lambda self, *words: told.append(words)})
        plugins = types.ModuleType("sos.report.plugins")
        plugins.Plugin, plugins.IndependentPlugin, plugins.DebianPlugin = base, type("IndependentPlugin", (), {}), type("DebianPlugin", (), {})
        modules = {"sos": types.ModuleType("sos"), "sos.report": types.ModuleType("sos.report"), "sos.report.plugins": plugins}
        with mock.patch.dict(sys.modules, modules):
            plugin = runpy.run_path(str(EXAMPLES / "sos/vmcorectl.py"))["Vmcorectl"]()
        plugin.setup()
        plugin.postproc()
        self.assertEqual([word for word in told if re.search("vmcore$|dmesg|report|console|registers", str(word))], [])
        pattern, replacement = told[-1][1:]
        self.assertEqual(re.sub(pattern, replacement, 'url = "https://chat/secret"'), 'url = "https://********"')
        for verb, *options in (word.split()[1:] for word in told if str(word).startswith("vmcorectl ")):
            help_of = subprocess.run([VMCORECTL, *([] if verb.startswith("-") else [verb]), "--help"], capture_output=True, text=True)
            for option in (word for word in (verb, *options) if word.startswith("--")):
                self.assertIn(option, help_of.stdout)


@unittest.skipUnless(shutil.which("apparmor_parser"), "apparmor_parser is not installed")
class AppArmor(unittest.TestCase):
    def test_its_parser_accepts_the_profile(self):
        profile = EXAMPLES / "apparmor/vmcored"
        done = subprocess.run(["apparmor_parser", "--skip-kernel-load", "--skip-cache", profile], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("flags=(complain", profile.read_text())

    def test_it_has_the_capabilities_of_the_unit(self):
        unit = (EXAMPLES.parent / "src/daemon/system/vmcored.service").read_text()
        wanted = re.search("^CapabilityBoundingSet=(.*)", unit, re.M)[1].lower().replace("cap_", "").split()
        profile = (EXAMPLES / "apparmor/vmcored").read_text()
        of_namespaces = ["dac_read_search", "sys_admin"]    # of programs that open a dump
        self.assertEqual(sorted(re.findall("capability ([a-z_]+),", profile)), sorted(wanted + of_namespaces))


if __name__ == "__main__":
    main()
