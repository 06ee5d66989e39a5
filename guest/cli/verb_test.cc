// SPDX-License-Identifier: GPL-2.0-or-later
// Crashes this guest on purpose, and checks the dump.
#include <fcntl.h>
#include <unistd.h>

#include <ctime>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "guest/cli/faults.h"
#include "guest/cli/report.h"
#include "guest/cli/verb.h"
#include "guest/kexec/load.h"
#include "guest/root/read_word.h"
#include "guest/root/state_file.h"
#include "guest/save/dump_time.h"
#include "guest/status/saved_dumps.h"
#include "guest/status/status_facts.h"
#include "src/base/sys.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::guest::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kTest = "/var/lib/vmcore-guest/test";
constexpr std::string_view kBoot = "/proc/sys/kernel/random/boot_id";

struct Options {
  bool yes = false;
  bool result = false;
  std::string tag;
  std::string by = "sysrq";
};

// The tag is a word on a kernel command line, so it has no blanks or quotes.
bool is_tag(std::string_view tag) {
  return tag.size() <= 64 &&
         tag.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
             std::string_view::npos;
}

Result<> confirm(const Options& options) {
  if (options.yes) {
    return {};
  }
  if (::isatty(STDIN_FILENO) == 0) {
    return fail(Errc::invalid,
                "this crashes the guest, and there is no terminal to ask: use --yes");
  }
  fmt::print("This crashes this guest now. Type \"crash\" to go on: ");
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer != "crash") {
    return fail(Errc::cancelled, "nothing was done");
  }
  return {};
}

Result<> crash(const Options& options) {
  TRY_ASSIGN(const root::Root root, root::Root::open("/"));
  TRY_ASSIGN(const Trigger fault, ready_fault(root, options.by));
  TRY(confirm(options));
  const std::int64_t now = std::time(nullptr);
  const std::string tag = options.tag.empty() ? "test-" + save::dump_time(now) : options.tag;
  kexec::LoadRequest request;
  if (const auto record = kexec::read_load_record(root)) {
    request = kexec::request_of(*record);
  }
  request.tag = tag;
  TRY_ASSIGN(const auto remarks, kexec::load_capture_kernel(root, request));
  print_remarks(remarks);
  const Json test{
      {"tag", tag}, {"time", now}, {"boot", root::read_word(root, {kBoot}).value_or("")}};
  TRY(root::write_state(root, kTest,
                        test.dump(2, ' ', true, Json::error_handler_t::replace) + "\n"));
  TRY_ASSIGN(const Fd trigger, root.open(fault.file, O_WRONLY));
  fmt::print("crashing by {}, tagged {}{}{}\n", options.by, tag, fault.note.empty() ? "" : ": ",
             fault.note);
  std::fflush(stdout);
  ::sync();
  return sys::write_full(trigger.get(), std::as_bytes(std::span(fault.word)));
}

// Whether this guest has the dump of the last test, as far as it can know.
Result<std::string> result_of_test(const root::Root& root) {
  const auto text = root.read(kTest);
  const Json test = Json::parse(text.value_or(""), nullptr, false);
  if (!test.is_object() || !test.contains("tag") || !test["tag"].is_string() ||
      !test.contains("time") || !test["time"].is_number_integer() || !test.contains("boot") ||
      !test["boot"].is_string()) {
    return fail(Errc::not_found, "no test was run: run vmcore-guest test");
  }
  const std::string tag = test["tag"];
  if (test["boot"] == root::read_word(root, {kBoot}).value_or("")) {
    return fail(Errc::guest_state,
                "{}: the guest has not rebooted since the test: it did not crash", tag);
  }
  const status::StatusFacts facts = status::read_status(root);
  // The time of the crash has a resolution of one second.
  const bool newer =
      facts.last && facts.last->time >= save::dump_time(test["time"].get<std::int64_t>() - 1);
  if (newer && facts.last->tag.value_or(tag) != tag) {
    return fail(Errc::not_found, "{}: the newest dump in this guest is of another crash: {}", tag,
                facts.last->path);
  }
  if (newer && facts.last->complete) {
    return fmt::format("{}: the dump is {}", tag, facts.last->path);
  }
  if (newer) {
    return fail(Errc::truncated, "{}: the dump is incomplete: {}", tag, facts.last->path);
  }
  return fail(Errc::not_found,
              "{}: this guest has no dump of the test. If the target is the host, look there for a "
              "dump with this tag (vmcorectl info); otherwise see the log of the console",
              tag);
}

int show_result(const Common& common) {
  const auto root = root::Root::open("/");
  const auto result = root ? result_of_test(*root) : tl::unexpected(root.error());
  if (!result) {
    return report_error(result.error(), common);
  }
  if (common.json) {
    fmt::print("{}\n", Json{{"result", *result}}.dump(2, ' ', true));
  } else {
    fmt::print("{}\n", *result);
  }
  return kExitDone;
}

void check_usage(const Options& options) {
  if (!is_tag(options.tag)) {
    throw CLI::ValidationError("--tag", "letters, digits, '-', '_' and '.', at most 64");
  }
}

}  // namespace

Run add_test(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  CLI::Option* result = command.add_flag("--result", options->result,
                                         "After the reboot: check that the dump was saved");
  command.add_flag("--yes", options->yes, "Crash without asking")->excludes(result);
  command.add_option("--tag", options->tag, "A tag to store with the dump")->excludes(result);
  command
      .add_option("--by", options->by, fmt::format("The fault: {}", fmt::join(fault_names(), ", ")))
      ->check(CLI::IsMember(fault_names()))
      ->excludes(result);
  command.parse_complete_callback([options] { check_usage(*options); });
  return [options, &common] {
    return options->result ? show_result(common) : report(crash(*options), common);
  };
}

}  // namespace vmcore::guest::cli
