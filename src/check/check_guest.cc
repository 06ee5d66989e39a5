// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/check_guest.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "src/acquire/libvirt/setup.h"
#include "src/check/judge_guest.h"
#include "src/job/budget.h"
#include "src/job/dump_name.h"
#include "src/job/guest_census.h"
#include "src/staging/staged_file.h"

namespace vmcore::check {
namespace {

namespace fs = std::filesystem;

// What this way tells of the guest, where it is the first that does.
Result<> look_by(acquire::Guest& guest, acquire::Method method, GuestFacts& facts) {
  if (!facts.state) {
    facts.name = guest.name();
    facts.idle = guest.check_idle();
    TRY_ASSIGN(facts.memory_size, guest.memory_size());
    TRY_ASSIGN(facts.state, guest.state());
  }
  if (method != acquire::Method::direct || !facts.setup.encryption.empty()) {
    return {};
  }
  facts.census = job::take_census(guest, facts.state->running, facts.budget.threads);
  // A domain's dump looks for its memory just as this does.
  const bool in_vain = !*facts.census && acquire::another_may_do(facts.census->error());
  if (in_vain && !facts.domain.empty()) {
    Error why = std::move(*facts.census).error();
    facts.census.reset();
    return tl::unexpected(std::move(why));
  }
  if (*facts.census && facts.state->running) {
    facts.rehearsed = job::rehearse_pause(guest, facts.budget.memory, facts.budget.threads);
  }
  return {};
}

Result<> try_way(const acquire::Selection& guest, acquire::Method method, GuestFacts& facts) {
  acquire::Selection by_method = guest;
  by_method.method = method;
  TRY_ASSIGN(const acquire::OpenedGuest opened, acquire::open_guest(by_method));
  return look_by(*opened.guest, method, facts);
}

// Incomplete dumps that are named after the guest, and what dumps of any guest are staged in.
std::vector<std::string> leftovers_in(const fs::path& folder, const std::string& guest) {
  constexpr std::size_t kMost = 10;
  const std::string prefix = job::file_name(guest) + "-";
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end;
       !error && entry != end && names.size() < kMost; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with(".vmcorectl-") ||
        (name.starts_with(prefix) && name.find(".vmcore.incomplete") != std::string::npos)) {
      names.push_back(name);
    }
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

report::CheckReport check_guest(const acquire::Selection& guest, const fs::path& folder,
                                bool may_be_off) {
  const std::string said = guest.domain.empty() ? guest.socket.string() : guest.domain;
  auto setup = acquire::setup_of(guest);
  if (!setup) {
    return {said,
            {{.id = "state",
              .title = "for the guest",
              .verdict = Verdict::fail,
              .hint = setup.error().message}}};
  }
  GuestFacts facts{.name = setup->name.empty() ? said : setup->name,
                   .domain = guest.domain.empty() ? "" : setup->handle,
                   .setup = *std::move(setup)};
  facts.selection = guest;
  facts.may_be_off = may_be_off;
  facts.trace = read_trace_rights();
  facts.budget = job::whole_budget();
  facts.folder = folder;
  facts.room = staging::free_space(folder);
  for (const acquire::Method method : acquire::methods_for(guest)) {
    if (facts.setup.active) {
      facts.ways.push_back({method, try_way(guest, method, facts)});
    }
  }
  facts.leftovers = leftovers_in(folder, facts.name);
  return judge_guest(facts);
}

Result<std::vector<acquire::Selection>> all_guests(const std::string& libvirt_uri) {
  return acquire::all_domains(libvirt_uri);
}

}  // namespace vmcore::check
