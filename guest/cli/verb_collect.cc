// SPDX-License-Identifier: GPL-2.0-or-later
// Runs at boot: keeps and reports what an earlier crash left behind.
#include <cstdio>

#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/root/read_config.h"
#include "guest/root/state_file.h"
#include "guest/save/offer_log.h"
#include "guest/status/judge_status.h"
#include "guest/status/status_facts.h"
#include "src/base/printable.h"

namespace vmcore::guest::cli {
namespace {

// Read by pam_motd(8).
constexpr std::string_view kMotdFolder = "/run/motd.d";
constexpr std::string_view kMotd = "/run/motd.d/vmcore-guest";

std::string pieces_in(const root::Root& root, const std::string& folder) {
  std::string text;
  for (const std::string& name : root.list(folder).value_or(std::vector<std::string>())) {
    text += fmt::format("{}:\n{}\n", name, root.read(folder + "/" + name).value_or(""));
  }
  return text;
}

// The copy in the guest stays.
void send_to_host(const root::Root& root, const std::string& folder) {
  const Result<> offered =
      root::read_config(root).and_then([&](const config::CaptureConfig& config) {
        return save::offer_log(pieces_in(root, folder), config);
      });
  if (offered) {
    fmt::print("sent {} to the host\n", folder);
  } else {
    fmt::print("{} was not sent to the host: {}\n", folder, printable(offered.error().message));
  }
}

Result<> collect() {
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  const auto collected = status::collect_pstore(root);
  if (!collected.value_or("").empty()) {
    send_to_host(root, *collected);
  }
  const Result<> kept = collected ? Result<>() : tl::unexpected(collected.error());
  const std::string text = status::motd(status::read_status(root));
  if (text.empty()) {
    root::remove_state(root, kMotd);
    return kept;
  }
  fmt::print("{}", text);
  TRY(root::make_state_folder(root, kMotdFolder));
  TRY(root::write_state(root, kMotd, text, 0644));
  return kept;
}

}  // namespace

Run add_collect(CLI::App&, const Common& common) {
  return [&common] { return report(collect(), common); };
}

}  // namespace vmcore::guest::cli
