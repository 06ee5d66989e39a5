# SPDX-License-Identifier: GPL-2.0-or-later
"""What a sos report gets of vmcorectl: copy this file to the folder sos/report/plugins of sos.

Manifests say which guests crashed, when and why. Memory, kernel logs and reports of guests stay out: they have guests' data."""

from sos.report.plugins import DebianPlugin, IndependentPlugin, Plugin


# DebianPlugin: sos 4.0, which Debian 12 has, takes no other there.
class Vmcorectl(Plugin, IndependentPlugin, DebianPlugin):

    short_desc = "crashes of KVM guests that vmcorectl keeps"
    plugin_name = "vmcorectl"
    profiles = ("virt", "system")
    packages = ("vmcorectl",)
    services = ("vmcored", "vmcored-give-back")

    def setup(self):
        self.add_copy_spec([
            "/etc/vmcorectl/vmcored.conf",
            "/etc/vmcorectl/conf.d/*.conf",
            "/var/lib/vmcorectl/*/manifest.json",
            "/var/lib/vmcorectl/*/state.json",
            "/var/lib/prometheus/node-exporter/vmcored.prom",
        ])
        self.add_cmd_output([
            "vmcorectl --version",
            "vmcored --check-config",
            "vmcorectl list --output json",
            "vmcorectl arm --output json",
            "vmcorectl check --output json",
            "vmcorectl check --all --output json",
            "ls -lR /etc/vmcorectl /var/lib/vmcorectl",
        ])

    def postproc(self):
        # A hook's configuration may have a token in a URL.
        self.do_path_regex_sub(r"/etc/vmcorectl/.*\.conf", r"(https?://)[^\s\"']+", r"\1********")
