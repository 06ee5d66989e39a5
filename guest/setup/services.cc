// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/services.h"

#include <unistd.h>

#include <array>

#include "guest/image/find_network.h"
#include "guest/root/read_config.h"
#include "guest/setup/boot_loader.h"
#include "src/base/shell.h"

namespace vmcore::guest::setup {
namespace {

constexpr const char* kUnits = "/etc/systemd/system";
constexpr const char* kScripts = "/etc/init.d";
constexpr const char* kRunlevels = "/etc/runlevels";
constexpr const char* kUnit = "/etc/systemd/system/vmcore-guest.service";

// Without reserved memory the unit is skipped and does not fail. systemd-pstore.service moves the
// records of pstore, too: `collect` comes first. The unit has no
// Conflicts=shutdown.target, so that a crash during shutdown is saved, too.
constexpr const char* kUnitText = R"({0}
[Unit]
Description=Capture kernel that saves a crash
Documentation=man:vmcore-guest(8)
DefaultDependencies=no
After=local-fs.target systemd-modules-load.service
Before=basic.target systemd-pstore.service
ConditionKernelCommandLine=crashkernel

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-{1} collect
ExecStart={1} load
{2}ExecReload={1} load --reload
ExecStop={1} unload

[Install]
WantedBy=basic.target
)";

// Runs when the network is up, and repeatedly, because the network may change. This is a timer
// because systemd has no event for a changed address, and each network manager has its own hooks.
constexpr const char* kNetworkUnitText = R"({0}
[Unit]
Description=Reload of the capture kernel after a change of the network
Documentation=man:vmcore-guest(8)
Wants=network-online.target
After=vmcore-guest.service network-online.target
ConditionKernelCommandLine=crashkernel

[Service]
Type=oneshot
ExecStart={1} load --refresh
)";
constexpr const char* kNetworkTimerText = R"({0}
[Unit]
Description=Reload of the capture kernel after a change of the network
Documentation=man:vmcore-guest(8)

[Timer]
OnActiveSec=0
OnUnitInactiveSec=15min
AccuracySec=1s

[Install]
WantedBy=timers.target
)";

// The capture kernel learns the CPUs and memory as of the time when it was loaded, unless the
// kernel keeps them up to date (Linux 6.6, "crash: add generic infrastructure for crash hotplug
// support").
constexpr const char* kReloadRuleText = R"({0}
SUBSYSTEM!="cpu|memory", GOTO="vmcore_guest_end"
ACTION!="add|remove|online|offline", GOTO="vmcore_guest_end"
ATTRS{{crash_hotplug}}=="1", GOTO="vmcore_guest_end"
RUN+="{1} --no-block try-reload-or-restart vmcore-guest.service"
LABEL="vmcore_guest_end"
)";

constexpr const char* kOpenRcText = R"(#!/sbin/openrc-run
{0}
description="Capture kernel that saves a crash"
extra_started_commands="reload"

depend() {{
	need localmount
	after modules
}}

start() {{
	grep -q crashkernel= /proc/cmdline || return 0
	{1} collect
	ebegin "Loading the capture kernel"
	{1} load{2}
	eend $?
}}

reload() {{
	{1} load --reload
}}

stop() {{
	{1} unload
}}
)";

constexpr const char* kNetworkOpenRcText = R"(#!/sbin/openrc-run
{0}
description="Reload of the capture kernel with the network of this machine"

depend() {{
	need net
	after vmcore-guest
}}

start() {{
	grep -q crashkernel= /proc/cmdline || return 0
	ebegin "Reloading the capture kernel with the network"
	{1} load --refresh
	eend $?
}}
)";

constexpr const char* kWhyNetwork =
    "reloads the capture kernel when the network is up or has changed";

Result<> add_network_systemd(root::Tree& tree, const std::string& program) {
  const std::string folder = "/etc/systemd/system/";
  TRY(tree.put_ours(folder + "vmcore-guest-network.service",
                    root::file_node(fmt::format(kNetworkUnitText, kOurMark, program)),
                    kWhyNetwork));
  TRY(tree.put_ours(std::string(kNetworkTimer),
                    root::file_node(fmt::format(kNetworkTimerText, kOurMark)), kWhyNetwork));
  tree.put(folder + "timers.target.wants/vmcore-guest-network.timer",
           root::link_node("../vmcore-guest-network.timer"), "at every boot");
  return {};
}

Result<> add_network_openrc(root::Tree& tree, const std::string& program) {
  TRY(tree.put_ours(std::string(kNetworkScript),
                    root::file_node(fmt::format(kNetworkOpenRcText, kOurMark, program), 0755),
                    kWhyNetwork));
  tree.put("/etc/runlevels/default/vmcore-guest-network",
           root::link_node(std::string(kNetworkScript)), "at every boot");
  return {};
}

// `lock` is the command after the load; empty: none.
Result<> add_systemd(root::Tree& tree, const std::string& program, const std::string& lock) {
  const std::string name = "vmcore-guest.service";
  const std::string start = lock.empty() ? "" : fmt::format("ExecStart={}\n", lock);
  TRY(tree.put_ours(kUnit, root::file_node(fmt::format(kUnitText, kOurMark, program, start)),
                    "loads the capture kernel"));
  tree.put("/etc/systemd/system/basic.target.wants/" + name, root::link_node("../" + name),
           "at every boot");
  if (!lock.empty()) {
    return {};  // a reload would be refused
  }
  const std::string systemctl = tree.program("systemctl");
  return tree.put_ours(std::string(kReloadRule),
                       root::file_node(fmt::format(kReloadRuleText, kOurMark, systemctl)),
                       "reloads the capture kernel when CPUs or memory change");
}

// Adds a value to the line of the key: kdumpctl refuses a second line with the same key.
std::string with_value(const std::string& conf, const std::string& key, const std::string& value) {
  if (root::has_word(conf, value)) {
    return conf;
  }
  bool found = false;
  const std::string text = root::with_words(conf, {value}, [&](std::string_view line) {
    const bool is_key = has_key(line, key);
    found = found || is_key;
    return is_key;
  });
  return found ? text : root::with_line(conf, fmt::format("{} {}", key, value));
}

// kdumpctl copies the files in /etc/kdump/pre.d and those that /etc/kdump.conf names into its
// image, and runs the former before it saves (kdump.conf(5), "kdump_pre").
Result<> add_to_kdumpctl(Plan& plan, const std::string& program) {
  TRY(plan.tree.put_ours(
      "/etc/kdump/pre.d/vmcore-guest.sh",
      root::file_node(fmt::format("#!/bin/sh\n{}\n{} save\nexit 0\n", kOurMark, program), 0755),
      "sends a dump to the host first"));
  TRY_ASSIGN(std::string conf, plan.tree.text("/etc/kdump.conf"));
  conf = with_value(conf, "extra_bins", program);
  conf = with_value(conf, "extra_modules", "virtio_console");
  return plan.tree.put_text("/etc/kdump.conf", std::move(conf), "adds vmcore-guest to its image");
}

}  // namespace

Result<std::string> installed_program(const root::Tree& tree) {
  if (const std::string path = tree.program("vmcore-guest"); !path.empty()) {
    return path;
  }
  std::array<char, 4096> self{};
  const ssize_t length = ::readlink("/proc/self/exe", self.data(), self.size());
  if (tree.root().running() && length > 0) {
    return std::string(self.data(), static_cast<std::size_t>(length));
  }
  return fail(Errc::not_found,
              "vmcore-guest is not installed in the guest: install its package there, or copy this "
              "program to /usr/local/sbin of the guest");
}

Result<> add_service(Plan& plan, std::string_view lock_options) {
  root::Tree& tree = plan.tree;
  TRY_ASSIGN(const std::string program, installed_program(tree));
  const std::string lock =
      lock_options.empty() ? "" : fmt::format("{} lock {}", program, lock_options);
  const bool network =
      image::follows_network(root::read_config(tree.root()).value_or(config::CaptureConfig()));
  if (tree.root().exists("/usr/lib/systemd/systemd") ||
      tree.root().exists("/lib/systemd/systemd")) {
    TRY(add_systemd(tree, program, lock));
    TRY(network ? add_network_systemd(tree, program) : Result<>());
  } else if (tree.root().exists("/sbin/openrc-run") || tree.root().exists("/usr/sbin/openrc-run")) {
    TRY(tree.put_ours(
        "/etc/init.d/vmcore-guest",
        root::file_node(
            fmt::format(kOpenRcText, kOurMark, program, lock.empty() ? "" : " && " + lock), 0755),
        "loads the capture kernel"));
    tree.put("/etc/runlevels/boot/vmcore-guest", root::link_node("/etc/init.d/vmcore-guest"),
             "at every boot");
    TRY(network ? add_network_openrc(tree, program) : Result<>());
  } else {
    plan.by_hand.push_back(
        fmt::format("neither systemd nor OpenRC was found: run `{}` at every boot",
                    shell_command({program, "load"})));
  }
  return {};
}

Result<> remove_links(root::Tree& tree, const std::vector<root::Change>& changes) {
  for (const root::Change& change : changes) {
    const std::string folder = root::parent_of(change.path);
    const bool unit = folder == kUnits;
    if (change.before || (!unit && folder != kScripts)) {
      continue;
    }
    const std::string name = change.path.substr(folder.size() + 1);
    TRY_ASSIGN(const auto links, kexec::links_to(tree, unit ? kUnits : kRunlevels, name, unit));
    for (const std::string& link : links) {
      tree.set_base(link, std::nullopt);
    }
  }
  return {};
}

Result<> add_collector(Plan& plan, const kexec::OtherKdump& other) {
  TRY_ASSIGN(const std::string program, installed_program(plan.tree));
  switch (other.kind) {
    case kexec::OtherKdump::Kind::kdump_tools:
      return plan.tree.put_ours(
          "/etc/systemd/system/kdump-tools-dump.service.d/vmcore-guest.conf",
          root::file_node(fmt::format("{}\n[Service]\nExecStartPre=-{} save\n", kOurMark, program)),
          "sends a dump to the host first");
    case kexec::OtherKdump::Kind::kdumpctl:
      return add_to_kdumpctl(plan, program);
    case kexec::OtherKdump::Kind::other:
      break;
  }
  plan.by_hand.push_back(
      fmt::format("the hooks of {} are not known: make it run `{}` before it saves a crash",
                  other.unit, shell_command({program, "save"})));
  return {};
}

}  // namespace vmcore::guest::setup
