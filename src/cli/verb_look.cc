// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>

#include "src/cli/guest_options.h"
#include "src/cli/job_reporter.h"
#include "src/cli/keep.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/kernel_end.h"
#include "src/report/json.h"

namespace vmcore::cli {
namespace {

struct Options {
  GuestOptions guest;
  JobOptions service;
  int go_fd = -1;
};

// Tells the service that the look is ready, which gives its monitor back, and waits for its word.
Result<> wait_for_word(JobReporter& reporter, int go) {
  reporter.give_back_for_now();
  TRY(await_go(go, -1));
  reporter.take_monitor_again();
  return {};
}

std::string to_json(const job::KernelEnding& ending) {
  return report::document_text({{"schema", "vmcorectl-look/1"},
                                {"end", job::end_name(ending.end)},
                                {"powers_off", ending.powers_off},
                                {"line", report::text_or_null(ending.line, report::kMaxText)}});
}

void print(const job::KernelEnding& ending, const Common& common) {
  if (common.json) {
    std::fputs(to_json(ending).c_str(), stdout);
  } else if (!common.quiet) {
    fmt::print("{}{}{}\n", job::end_name(ending.end), ending.line.empty() ? "" : ": ",
               printable(ending.line));
  }
}

int run(Options& options, const Common& common) {
  auto reporter = JobReporter::open(options.service);
  if (!reporter) {
    report_error(reporter.error(), common);
    return kExitUsage;
  }
  std::optional<Loan> loan;
  auto guest = reporter->monitor() ? options.guest.selection() : reach_guest(options.guest, loan);
  if (guest && reporter->monitor()) {
    guest->monitor = reporter->monitor();
  }
  std::function<Result<>()> await;
  if (options.go_fd >= 0) {
    await = [&] { return wait_for_word(*reporter, options.go_fd); };
  }
  const auto ending = guest ? job::look_at_end(*guest, await)
                            : Result<job::KernelEnding>(tl::unexpected(guest.error()));
  if (!ending) {
    const int code = report_error(ending.error(), common);
    return reporter->end(code, error_json(ending.error()));
  }
  print(*ending, common);
  return reporter->end(kExitDone, to_json(*ending));
}

}  // namespace

Run add_look(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_guest_options(command, options->guest, "DOMAIN", "A libvirt domain: name, UUID or id");
  add_job_options(command, options->service, {});
  command
      .add_option(
          "--go-fd", options->go_fd,
          "For services: get ready, give the monitor back, and look when a byte can be read "
          "from this descriptor")
      ->needs("--monitor-fd")
      ->check(CLI::Range(3, 1 << 20));
  command.parse_complete_callback([options] {
    if (options->guest.domain.empty() == options->guest.socket.empty()) {
      throw CLI::ValidationError("DOMAIN", "give a DOMAIN or --qmp SOCKET");
    }
  });
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
