#include "guest/setup/services.h"

#include <unistd.h>

#include <array>

#include "guest/image/find_network.h"
#include "guest/root/read_config.h"
#include "guest/setup/boot_loader.h"
#include "src/base/shell.h"

namespace vmcore::guest {
namespace {

constexpr const char* kUnit = "/etc/systemd/system/vmcore-guest.service";

// Where no memory is reserved it is skipped, not failed. No Conflicts=shutdown.target: a crash of
// the way down is saved, too.
constexpr const char* kUnitText = R"({0}
[Unit]
Description=Panic kernel that saves a crash
Documentation=man:vmcore-guest(8)
DefaultDependencies=no
After=local-fs.target systemd-modules-load.service
Before=basic.target
ConditionKernelCommandLine=crashkernel

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-{1} collect
ExecStart={1} load
ExecReload={1} load --reload
ExecStop={1} unload

[Install]
WantedBy=basic.target
)";

// By then the network is up, and later it may be another. A timer, for no event of systemd tells of
// an address that changed, and each network manager has hooks of its own.
constexpr const char* kNetworkUnitText = R"({0}
[Unit]
Description=Panic kernel that knows the network of this machine
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
Description=Panic kernel that knows the network of this machine
Documentation=man:vmcore-guest(8)

[Timer]
OnActiveSec=0
OnUnitInactiveSec=15min
AccuracySec=1s

[Install]
WantedBy=timers.target
)";

// The kernel that crashes tells the panic kernel of its CPUs and memory as they were when that was
// loaded, unless it keeps that up to date itself (Linux 6.6, "crash: add generic infrastructure for
// crash hotplug support").
constexpr const char* kReloadRuleText = R"({0}
SUBSYSTEM!="cpu|memory", GOTO="vmcore_guest_end"
ACTION!="add|remove|online|offline", GOTO="vmcore_guest_end"
ATTRS{{crash_hotplug}}=="1", GOTO="vmcore_guest_end"
RUN+="{1} --no-block try-reload-or-restart vmcore-guest.service"
LABEL="vmcore_guest_end"
)";

constexpr const char* kOpenRcText = R"(#!/sbin/openrc-run
{0}
description="Panic kernel that saves a crash"
extra_started_commands="reload"

depend() {{
	need localmount
	after modules
}}

start() {{
	grep -q crashkernel= /proc/cmdline || return 0
	{1} collect
	ebegin "Loading the panic kernel"
	{1} load
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
description="Panic kernel that knows the network of this machine"

depend() {{
	need net
	after vmcore-guest
}}

start() {{
	grep -q crashkernel= /proc/cmdline || return 0
	ebegin "Telling the panic kernel of the network"
	{1} load --refresh
	eend $?
}}
)";

constexpr const char* kWhyNetwork = "again when the network is up, or another";

Result<> add_network_systemd(Tree& tree, const std::string& program) {
  const std::string folder = "/etc/systemd/system/";
  TRY(tree.put_ours(folder + "vmcore-guest-network.service",
                    file_node(fmt::format(kNetworkUnitText, kOurMark, program)), kWhyNetwork));
  TRY(tree.put_ours(std::string(kNetworkTimer), file_node(fmt::format(kNetworkTimerText, kOurMark)),
                    kWhyNetwork));
  tree.put(folder + "timers.target.wants/vmcore-guest-network.timer",
           link_node("../vmcore-guest-network.timer"), "at every boot");
  return {};
}

Result<> add_network_openrc(Tree& tree, const std::string& program) {
  TRY(tree.put_ours(std::string(kNetworkScript),
                    file_node(fmt::format(kNetworkOpenRcText, kOurMark, program), 0755),
                    kWhyNetwork));
  tree.put("/etc/runlevels/default/vmcore-guest-network", link_node(std::string(kNetworkScript)),
           "at every boot");
  return {};
}

Result<> add_systemd(Tree& tree, const std::string& program) {
  const std::string name = "vmcore-guest.service";
  TRY(tree.put_ours(kUnit, file_node(fmt::format(kUnitText, kOurMark, program)),
                    "loads the panic kernel"));
  tree.put("/etc/systemd/system/basic.target.wants/" + name, link_node("../" + name),
           "at every boot");
  const std::string systemctl = tree.program("systemctl");
  return tree.put_ours(std::string(kReloadRule),
                       file_node(fmt::format(kReloadRuleText, kOurMark, systemctl)),
                       "again when CPUs or memory change");
}

// The value behind those of the key: kdumpctl refuses a second line of the same key.
std::string with_value(const std::string& conf, const std::string& key, const std::string& value) {
  if (has_word(conf, value)) {
    return conf;
  }
  bool found = false;
  const std::string text = with_words(conf, {value}, [&](std::string_view line) {
    const bool is_key = has_key(line, key);
    found = found || is_key;
    return is_key;
  });
  return found ? text : with_line(conf, fmt::format("{} {}", key, value));
}

// kdumpctl copies into its image what /etc/kdump.conf and /etc/kdump/pre.d name, and runs the
// latter before it saves (kdump.conf(5), "kdump_pre").
Result<> add_to_kdumpctl(Plan& plan, const std::string& program) {
  TRY(plan.tree.put_ours(
      "/etc/kdump/pre.d/vmcore-guest.sh",
      file_node(fmt::format("#!/bin/sh\n{}\n{} save\nexit 0\n", kOurMark, program), 0755),
      "to the host first"));
  TRY_ASSIGN(std::string conf, plan.tree.text("/etc/kdump.conf"));
  conf = with_value(conf, "extra_bins", program);
  conf = with_value(conf, "extra_modules", "virtio_console");
  return plan.tree.put_text("/etc/kdump.conf", std::move(conf), "into its image");
}

}  // namespace

Result<std::string> installed_program(const Tree& tree) {
  if (const std::string path = tree.program("vmcore-guest"); !path.empty()) {
    return path;
  }
  std::array<char, 4096> self{};
  const ssize_t length = ::readlink("/proc/self/exe", self.data(), self.size());
  if (tree.root().running() && length > 0) {
    return std::string(self.data(), static_cast<std::size_t>(length));
  }
  return fail(Errc::not_found,
              "there is no vmcore-guest in it: install the package there, or copy this program to "
              "its /usr/local/sbin");
}

Result<> add_service(Plan& plan) {
  Tree& tree = plan.tree;
  TRY_ASSIGN(const std::string program, installed_program(tree));
  const bool network = follows_network(read_config(tree.root()).value_or(CaptureConfig()));
  if (tree.root().exists("/usr/lib/systemd/systemd") ||
      tree.root().exists("/lib/systemd/systemd")) {
    TRY(add_systemd(tree, program));
    TRY(network ? add_network_systemd(tree, program) : Result<>());
  } else if (tree.root().exists("/sbin/openrc-run") || tree.root().exists("/usr/sbin/openrc-run")) {
    TRY(tree.put_ours("/etc/init.d/vmcore-guest",
                      file_node(fmt::format(kOpenRcText, kOurMark, program), 0755),
                      "loads the panic kernel"));
    tree.put("/etc/runlevels/boot/vmcore-guest", link_node("/etc/init.d/vmcore-guest"),
             "at every boot");
    TRY(network ? add_network_openrc(tree, program) : Result<>());
  } else {
    plan.by_hand.push_back(fmt::format("neither systemd nor OpenRC: run `{}` at every boot",
                                       shell_command({program, "load"})));
  }
  return {};
}

Result<> add_collector(Plan& plan, const OtherKdump& other) {
  TRY_ASSIGN(const std::string program, installed_program(plan.tree));
  switch (other.kind) {
    case OtherKdump::Kind::kdump_tools:
      return plan.tree.put_ours(
          "/etc/systemd/system/kdump-tools-dump.service.d/vmcore-guest.conf",
          file_node(fmt::format("{}\n[Service]\nExecStartPre=-{} save\n", kOurMark, program)),
          "to the host first");
    case OtherKdump::Kind::kdumpctl:
      return add_to_kdumpctl(plan, program);
    case OtherKdump::Kind::other:
      break;
  }
  plan.by_hand.push_back(
      fmt::format("where {} saves a crash, let it run `{}` first: its hooks are not known here",
                  other.unit, shell_command({program, "save"})));
  return {};
}

}  // namespace vmcore::guest
