// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/base/printable.h"
#include "src/base/units.h"
#include "src/base/utc.h"
#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/report/crash_groups.h"
#include "src/show/text_line.h"
#include "src/vault/crash_id.h"
#include "src/vault/filter.h"

namespace vmcore::cli {
namespace {

using Crashes = std::vector<report::ListedCrash>;

struct Options {
  StoreChoice store;
  vault::Filter filter;
  std::string since;
  std::string until;
  bool newest = false;
  bool reverse = false;
  bool group = false;
};

void print_crashes(const Crashes& crashes) {
  std::vector<std::vector<std::string>> rows{{"ID", "SIZE", "REASON", "STATE", "WHAT"}};
  for (const report::ListedCrash& crash : crashes) {
    rows.push_back({crash.id, human_size(crash.bytes),
                    printable(crash.manifest ? crash.manifest->reason : ""), flags_of(crash),
                    printable(title_of(crash))});
  }
  std::fputs(show::table(rows).c_str(), stdout);
}

// Of a crash whose manifest is damaged nothing is known but what its ID says.
void add_to(report::CrashGroup& group, const report::ListedCrash& crash) {
  const bool is_newest =
      group.newest.empty() || vault::number_of(crash.id) > vault::number_of(group.newest);
  ++group.count;
  if (is_newest) {
    group.newest = crash.id;
    group.title = title_of(crash);
  }
  if (!crash.manifest) {
    return;
  }
  const report::Manifest& manifest = *crash.manifest;
  group.signature = is_newest ? manifest.signature : group.signature;
  group.first = group.first == 0 ? manifest.time : std::min(group.first, manifest.time);
  group.last = std::max(group.last, manifest.time);
  const std::string& guest = manifest.capture.guest.name;
  if (std::ranges::find(group.guests, guest) == group.guests.end()) {
    group.guests.push_back(guest);
  }
}

// The most frequent last.
std::vector<report::CrashGroup> groups_of(const Crashes& crashes) {
  std::map<std::string, report::CrashGroup> groups;
  for (const report::ListedCrash& crash : crashes) {
    const report::CrashSignature signature =
        crash.manifest ? crash.manifest->signature : report::CrashSignature();
    const bool is_known = !signature.family.empty() && !signature.weak;
    add_to(groups[is_known ? signature.family : title_of(crash)], crash);
  }
  std::vector<report::CrashGroup> sorted;
  for (auto& [key, group] : groups) {
    sorted.push_back(std::move(group));
  }
  std::ranges::stable_sort(sorted, {}, &report::CrashGroup::count);
  return sorted;
}

void print_groups(const std::vector<report::CrashGroup>& groups) {
  std::vector<std::vector<std::string>> rows{{"COUNT", "GUESTS", "FIRST", "NEWEST", "WHAT"}};
  for (const report::CrashGroup& group : groups) {
    rows.push_back({fmt::format("{}", group.count), fmt::format("{}", group.guests.size()),
                    utc_text(static_cast<std::int64_t>(group.first)), group.newest,
                    printable(group.title)});
  }
  std::fputs(show::table(rows).c_str(), stdout);
}

void print_text(const Crashes& crashes, const std::string& folder, const Options& options,
                const Common& common) {
  if (crashes.empty()) {
    if (!common.quiet) {
      fmt::print("no crash {}is in {}\n", vault::matches({}, options.filter) ? "" : "that fits ",
                 printable(folder));
    }
  } else if (options.group) {
    print_groups(groups_of(crashes));
  } else {
    print_crashes(crashes);
  }
}

Result<Crashes> find(const std::string& folder, const Options& options) {
  TRY_ASSIGN(const vault::Vault vault, vault::Vault::open(folder));
  TRY_ASSIGN(Crashes crashes, vault.list());
  std::erase_if(crashes, [&](const report::ListedCrash& crash) {
    return !vault::matches(crash, options.filter);
  });
  if (options.newest && crashes.size() > 1) {
    crashes.erase(crashes.begin(), crashes.end() - 1);
  }
  if (options.reverse) {
    std::ranges::reverse(crashes);
  }
  return crashes;
}

int run(Options& options, const Common& common) {
  const std::uint64_t now = now_in_seconds();
  if (!options.since.empty()) {
    options.filter.since = parse_time(options.since, now);
  }
  if (!options.until.empty()) {
    options.filter.until = parse_time(options.until, now);
  }
  const auto folder = folder_of(options.store);
  auto crashes = folder ? find(*folder, options) : tl::unexpected(folder.error());
  if (!crashes) {
    return report_error(crashes.error(), common);
  }
  const bool damaged = std::ranges::any_of(
      *crashes, [](const report::ListedCrash& crash) { return !crash.damage.empty(); });
  if (common.json && options.group) {
    std::fputs(report::to_json(report::CrashGroups{*folder, groups_of(*crashes)}).c_str(), stdout);
  } else if (common.json) {
    std::fputs(report::to_json(report::CrashList{*folder, *std::move(crashes)}).c_str(), stdout);
  } else {
    print_text(*crashes, *folder, options, common);
  }
  return damaged ? kExitNotAsAsked : kExitDone;
}

}  // namespace

Run add_list(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  const auto check_time = [](const std::string& text) {
    return parse_time(text, 0) ? "" : "give a time such as \"2026-11-29 21:45\" (UTC), 2h or 7d";
  };
  command.add_option("DOMAIN", options->filter.guests, "Only crashes of these domains (or UUIDs)");
  command.add_option("-S,--since", options->since, "Only crashes since then: a time, 2h, 7d")
      ->check(check_time);
  command.add_option("-U,--until", options->until, "Only crashes until then")->check(check_time);
  command.add_option("--reason", options->filter.reason, "Only crashes of this reason: panic ...");
  command.add_option("--signature", options->filter.signature,
                     "Only crashes of this signature, family, or with this in the title");
  command.add_flag("-1", options->newest, "Only the newest");
  command.add_flag("-r,--reverse", options->reverse, "The newest first");
  command
      .add_flag("--group", options->group,
                "A line for each family of signatures, the most frequent last")
      ->excludes(command.get_option("-1"));
  add_store_option(command, options->store);
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
