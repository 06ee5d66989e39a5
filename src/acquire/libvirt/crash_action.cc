// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/crash_action.h"

#include <optional>
#include <utility>

#include "src/acquire/libvirt/connection.h"
#include "src/acquire/libvirt/definition.h"
#include "src/acquire/libvirt/state.h"

namespace vmcore::acquire {
namespace {

constexpr std::string_view kPreserveRunning = "preserve-running";

// The numbers of libvirt 3.9 and later, by the words of the definition.
constexpr std::pair<std::string_view, virDomainLifecycleAction> kActions[] = {
    {"destroy", VIR_DOMAIN_LIFECYCLE_ACTION_DESTROY},
    {"restart", VIR_DOMAIN_LIFECYCLE_ACTION_RESTART},
    {"rename-restart", VIR_DOMAIN_LIFECYCLE_ACTION_RESTART_RENAME},
    {kPreserve, VIR_DOMAIN_LIFECYCLE_ACTION_PRESERVE},
    {"coredump-destroy", VIR_DOMAIN_LIFECYCLE_ACTION_COREDUMP_DESTROY},
    {"coredump-restart", VIR_DOMAIN_LIFECYCLE_ACTION_COREDUMP_RESTART},
};

std::optional<unsigned> number_of(std::string_view word) {
  for (const auto& [known, number] : kActions) {
    if (word == known) {
      return number;
    }
  }
  return std::nullopt;
}

Result<CrashAction> action_of(virDomain* domain) {
  const char* const name = virDomainGetName(domain);
  CrashAction action{.name = name != nullptr ? name : "", .uuid = uuid_of(domain)};
  if (virDomainIsActive(domain) != 1) {
    return fail(Errc::guest_state, "{}: the domain does not run", action.name);
  }
  TRY_ASSIGN(const std::string xml, definition_of(domain, 0));
  TRY_ASSIGN(const GuestSetup setup, read_definition(xml));
  action.action = setup.on_crash.value_or("destroy");
  int state = 0;
  int reason = 0;
  if (virDomainGetState(domain, &state, &reason, 0) != 0) {
    return libvirt_failure(action.name);
  }
  action.crashed = crash_word(state, reason) == CrashWord::yes;
  return action;
}

}  // namespace

Result<CrashAction> crash_action(const Selection& selection) {
  TRY_ASSIGN(const LibvirtConnection connection, connect_libvirt(selection.uri));
  TRY_ASSIGN(const LibvirtDomain domain,
             find_domain(connection.get(), selection.domain, selection.look_up));
  return action_of(domain.get());
}

Result<CrashAction> set_crash_action(const Selection& selection, std::string_view wanted) {
  TRY_ASSIGN(const LibvirtConnection connection, connect_libvirt(selection.uri));
  TRY_ASSIGN(const LibvirtDomain domain,
             find_domain(connection.get(), selection.domain, selection.look_up));
  TRY_ASSIGN(CrashAction before, action_of(domain.get()));
  if (before.action == wanted || before.action == kPreserveRunning) {
    return before;
  }
  const std::optional<unsigned> number = number_of(wanted);
  // What cannot be given back later is not taken away.
  if (!number || !number_of(before.action)) {
    return fail(Errc::unsupported, "{}: this vmcorectl does not know on_crash {}", before.name,
                number ? before.action : wanted);
  }
  if (virDomainSetLifecycleAction(domain.get(), VIR_DOMAIN_LIFECYCLE_CRASH, *number,
                                  VIR_DOMAIN_AFFECT_LIVE) != 0) {
    return libvirt_failure(fmt::format("{}: on_crash {}", before.name, wanted));
  }
  return before;
}

}  // namespace vmcore::acquire
