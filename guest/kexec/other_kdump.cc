// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/other_kdump.h"

#include <array>

namespace vmcore::guest::kexec {
namespace {

constexpr const char* kUnits = "/etc/systemd/system";
constexpr const char* kRunlevels = "/etc/runlevels";

// "kdump" is the service of kdumpctl (Fedora, RHEL), or that of SUSE.
constexpr std::array kUnitNames = {
    "kdump-tools.service",   // Debian, Ubuntu
    "kdump.service",         // Fedora, RHEL, SUSE
    "kdump-early.service",   // SUSE
    "kdumpst-init.service",  // kdumpst (Arch, SteamOS)
    "kdump-init.service",    // kdumpst's predecessor
};
constexpr std::array kServiceNames = {"kdump-tools", "kdump"};

OtherKdump::Kind kind_of(const root::Tree& tree, std::string_view unit) {
  if (unit == "kdump-tools.service") {
    return OtherKdump::Kind::kdump_tools;
  }
  const bool kdumpctl = unit == "kdump.service" && !tree.program("kdumpctl").empty();
  return kdumpctl ? OtherKdump::Kind::kdumpctl : OtherKdump::Kind::other;
}

// Whether systemd has such a unit and may start it. Removed packages may leave links behind.
Result<bool> has_unit(const root::Tree& tree, const std::string& unit) {
  TRY_ASSIGN(const auto own, tree.node(fmt::format("{}/{}", kUnits, unit)));
  if (own) {
    return own->content != "/dev/null";
  }
  return tree.root().exists("/usr/lib/systemd/system/" + unit) ||
         tree.root().exists("/lib/systemd/system/" + unit);
}

}  // namespace

Result<std::vector<std::string>> links_to(const root::Tree& tree, const std::string& folder,
                                          std::string_view name, bool dependencies_only) {
  std::vector<std::string> links;
  for (const std::string& entry : tree.names(folder)) {
    if (dependencies_only && !entry.ends_with(".wants") && !entry.ends_with(".requires")) {
      continue;
    }
    const std::string path = fmt::format("{}/{}/{}", folder, entry, name);
    const auto link = tree.node(path);
    if (link && *link) {
      links.push_back(path);
    } else if (!link && link.error().code != Errc::io) {  // ENOTDIR: not a folder
      return tl::unexpected(link.error());
    }
  }
  return links;
}

Result<std::optional<OtherKdump>> find_other_kdump(const root::Tree& tree) {
  for (const std::string unit : kUnitNames) {
    TRY_ASSIGN(const bool there, has_unit(tree, unit));
    TRY_ASSIGN(auto links, links_to(tree, kUnits, unit, true));
    if (there && !links.empty()) {
      return OtherKdump{kind_of(tree, unit), unit, std::move(links)};
    }
  }
  for (const std::string service : kServiceNames) {
    TRY_ASSIGN(auto links, links_to(tree, kRunlevels, service, false));
    if (tree.root().exists("/etc/init.d/" + service) && !links.empty()) {
      return OtherKdump{OtherKdump::Kind::other, service, std::move(links)};
    }
  }
  return std::nullopt;
}

Result<std::optional<OtherKdump>> find_other_kdump(const root::Root& root) {
  return find_other_kdump(root::Tree(root));
}

Error slot_is_taken(const OtherKdump& other) {
  return {
      Errc::busy,
      fmt::format("{} is enabled, and only one capture kernel can be loaded: `vmcore-guest setup "
                  "--replace` disables it until `vmcore-guest remove`; `vmcore-guest setup "
                  "--beside` keeps it, and sends a dump to the host before it saves its own",
                  other.unit)};
}

}  // namespace vmcore::guest::kexec
