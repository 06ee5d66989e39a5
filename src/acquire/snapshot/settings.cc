// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/snapshot/settings.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace vmcore::acquire {
namespace {

using qmp::Json;

constexpr std::string_view kCapability = "background-snapshot";
// Tells of a migration, and changes nothing in its stream. libvirt always sets it.
constexpr std::string_view kHarmless = "events";

// Our limit is too high to have an effect, and encodes the previous one: this number plus that one.
// Nobody else sets a limit in this range, so a limit that a killed snapshot left behind is
// recognised as ours and can be undone.
constexpr std::uint64_t kUnlimited = 1ULL << 62;
constexpr std::uint64_t kMostLimit = 1ULL << 60;
// Limits beyond are none themselves. libvirt sets such (its QEMU_DOMAIN_MIG_BANDWIDTH_MAX, in whole
// MiB): ours is the same with these odd bytes.
constexpr std::uint64_t kWholeMiB = (1U << 20) - 1;
constexpr std::uint64_t kOddBytes = 0xc0de5;

std::uint64_t our_limit(std::uint64_t before) {
  if (before < kMostLimit) {
    return kUnlimited + before;
  }
  return (before & kWholeMiB) == 0 ? before + kOddBytes : before;
}

std::optional<std::uint64_t> limit_before(std::uint64_t ours) {
  if (ours >= kUnlimited && ours - kUnlimited < kMostLimit) {
    return ours - kUnlimited;
  }
  return ours >= kMostLimit && (ours & kWholeMiB) == kOddBytes ? std::optional(ours - kOddBytes)
                                                               : std::nullopt;
}

Result<std::uint64_t> bandwidth(SnapshotMonitor& monitor) {
  TRY_ASSIGN(const Json parameters, monitor.execute("query-migrate-parameters"));
  if (!qmp::text_member(parameters, "tls-creds").value_or("").empty()) {
    return fail(Errc::busy,
                "QEMU is set to encrypt migrations (tls-creds), and cannot write a snapshot then: "
                "clear tls-creds, or use --consistency pause");
  }
  const auto limit = qmp::number_member(parameters, "max-bandwidth");
  if (!limit) {
    return fail(Errc::unsupported, "QEMU does not report its bandwidth limit (max-bandwidth)");
  }
  return *limit;
}

Result<> set_bandwidth(SnapshotMonitor& monitor, std::uint64_t limit) {
  TRY(monitor.execute("migrate-set-parameters", {{"max-bandwidth", limit}}));
  return {};
}

Result<> set_capability(SnapshotMonitor& monitor, bool on) {
  TRY(monitor.execute(
      "migrate-set-capabilities",
      {{"capabilities", Json::array({{{"capability", kCapability}, {"state", on}}})}}));
  return {};
}

// The names of the capabilities that are on.
Result<std::vector<std::string>> capabilities_on(SnapshotMonitor& monitor) {
  TRY_ASSIGN(const Json list, monitor.execute("query-migrate-capabilities"));
  std::vector<std::string> on;
  bool known = false;
  for (const Json& entry : list.is_array() ? list : Json::array()) {
    const std::string name = qmp::text_member(entry, "capability").value_or("");
    known = known || name == kCapability;
    if (qmp::bool_member(entry, "state").value_or(false)) {
      on.push_back(name);
    }
  }
  if (!known) {
    return fail(Errc::unsupported, "QEMU has no {}: it needs version 6.0 or later", kCapability);
  }
  return on;
}

Result<> check_capabilities(SnapshotMonitor& monitor) {
  TRY_ASSIGN(const auto on, capabilities_on(monitor));
  std::string names;
  for (const std::string& name : on) {
    names += name == kHarmless ? "" : (names.empty() ? "" : ", ") + name;
  }
  if (!names.empty()) {
    return fail(Errc::busy,
                "migration capabilities that conflict with a snapshot are enabled: {} (disable "
                "them with migrate-set-capabilities)",
                names);
  }
  return {};
}

// QEMU's words, migration/options.c (migration.c before v8.1).
std::string_view way_out(std::string_view refusal) {
  if (refusal.find("not supported by host kernel") != std::string_view::npos) {
    return " (QEMU's user needs userfaultfd: sysctl vm.unprivileged_userfaultfd=1, or for QEMU 8.2 "
           "and later access to /dev/userfaultfd)";
  }
  if (refusal.find("guest memory configuration") != std::string_view::npos) {
    return " (the host cannot write-protect this memory, as memory-backend-file outside tmpfs and "
           "hugetlbfs, or not shared)";
  }
  return "";
}

}  // namespace

Result<SnapshotSettings> SnapshotSettings::look(SnapshotMonitor& monitor) {
  TRY(check_capabilities(monitor));
  TRY_ASSIGN(const std::uint64_t limit, bandwidth(monitor));
  return SnapshotSettings(limit);
}

// The limit first: by the limit, the capability is recognised as ours.
Result<> SnapshotSettings::apply(SnapshotMonitor& monitor) const {
  TRY(set_bandwidth(monitor, our_limit(limit_)));
  if (Result<> set = set_capability(monitor, true); !set) {
    TRY(set_bandwidth(monitor, limit_));
    return fail(Errc::unsupported, "QEMU refuses a snapshot: {}{}; or use --consistency pause",
                set.error().message, way_out(set.error().message));
  }
  return {};
}

Result<bool> SnapshotSettings::applied(SnapshotMonitor& monitor) const {
  TRY_ASSIGN(const auto on, capabilities_on(monitor));
  return std::ranges::find(on, kCapability) != on.end();
}

Result<> SnapshotSettings::undo(SnapshotMonitor& monitor) const {
  TRY(set_capability(monitor, false));
  return set_bandwidth(monitor, limit_);
}

std::optional<SnapshotSettings> SnapshotSettings::left_behind(SnapshotMonitor& monitor) {
  const auto parameters = monitor.execute("query-migrate-parameters");
  const auto limit = parameters ? qmp::number_member(*parameters, "max-bandwidth") : std::nullopt;
  const auto before = limit ? limit_before(*limit) : std::nullopt;
  return before ? std::optional(SnapshotSettings(*before)) : std::nullopt;
}

Result<std::vector<Remark>> mend_snapshot(SnapshotMonitor& monitor) {
  const auto left = SnapshotSettings::left_behind(monitor);
  if (!left) {
    return std::vector<Remark>{};
  }
  TRY(left->undo(monitor));
  return std::vector<Remark>{
      {Errc::guest_state,
       fmt::format("an earlier snapshot by vmcorectl was killed and left QEMU's {} and bandwidth "
                   "limit changed: both are restored now",
                   kCapability),
       Severity::fact}};
}

}  // namespace vmcore::acquire
