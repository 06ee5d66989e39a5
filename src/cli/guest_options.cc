// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/guest_options.h"
#include "src/base/process.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include "src/base/whole_file.h"
#include "src/cli/audit_trail.h"
#include "src/cli/dump_options.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/budget.h"
#include "src/job/describe_crash.h"
#include "src/job/known_domain.h"

namespace vmcore::cli {
namespace {

// "2s", "500ms", "1.5" (seconds), or "none".
std::optional<std::chrono::milliseconds> parse_pause(const std::string& text) {
  using std::chrono::milliseconds;
  if (text == "none") {
    return milliseconds(0);
  }
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  const std::string_view unit(rest, end);
  const bool known = unit.empty() || unit == "s" || unit == "ms";
  if (error != std::errc() || !known || !(value > 0) || value > 1e6) {
    return std::nullopt;
  }
  return milliseconds(std::max(1L, std::lround(unit == "ms" ? value : value * 1000)));
}

bool names_guest(const GuestOptions& source) {
  return !source.uri.empty() || !source.socket.empty() || source.by_id || source.by_name;
}

// A folder is no dump: what is called like one may be a guest, whose folder it is.
bool names_file(const GuestOptions& source) {
  std::error_code error;
  const auto status = std::filesystem::status(source.domain, error);
  return source.domain.find('/') != std::string::npos ||
         (std::filesystem::exists(status) && !std::filesystem::is_directory(status));
}

}  // namespace

std::chrono::milliseconds GuestOptions::longest_pause() const {
  return parse_pause(pause_limit).value();
}

acquire::Selection GuestOptions::selection() const {
  acquire::Selection guest{.socket = socket,
                           .uri = uri,
                           .domain = domain,
                           .asked_as = asked_as,
                           .allow_taint = allow_taint};
  guest.look_up = by_id     ? acquire::LookUp::id
                  : by_name ? acquire::LookUp::name
                            : acquire::LookUp::any;
  return guest;
}

Result<acquire::Selection> reach_guest(const GuestOptions& options, std::optional<Loan>& loan) {
  acquire::Selection guest = options.selection();
  if (!options.socket.empty()) {
    TRY_ASSIGN(auto taken, Loan::take(options.control, options.socket));
    if (taken) {
      guest.monitor = loan.emplace(*std::move(taken)).client();
    }
  }
  return guest;
}

namespace {

void add_connection_options(CLI::App& command, GuestOptions& options) {
  command.add_option("-c,--connect", options.uri,
                     "The URI of libvirt; default: LIBVIRT_DEFAULT_URI");
  command.add_option("--asked-as", options.asked_as, "The URI of --remote, for messages")
      ->group("");
  CLI::Option* by_id = command.add_flag("--id", options.by_id, "DOMAIN is an id");
  command.add_flag("--name", options.by_name, "DOMAIN is a name")->excludes(by_id);
  command.add_option("--qmp", options.socket, "The QMP socket of a QEMU, in place of a domain");
  add_socket_option(command, options.control);
}

}  // namespace

void add_guest_options(CLI::App& command, GuestOptions& options, const std::string& name,
                       const std::string& help) {
  command.add_option(name, options.domain, help);
  add_connection_options(command, options);
}

void add_guests_options(CLI::App& command, GuestOptions& options, const std::string& help) {
  command.add_option("DOMAIN", options.domains, help);
  add_connection_options(command, options);
}

void add_allow_taint(CLI::App& command, GuestOptions& options) {
  command.add_flag("--allow-taint", options.allow_taint,
                   "Allow commands to the monitor of a libvirt domain; they mark it as tainted "
                   "until it is shut down");
}

CLI::Option* add_pause_limit(CLI::App& command, GuestOptions& options, const std::string& help) {
  return command.add_option("--pause-limit", options.pause_limit, help)
      ->check([](const std::string& text) {
        return parse_pause(text) ? "" : "give a time such as 2s or 500ms, or none";
      })
      ->capture_default_str();
}

void add_source_options(CLI::App& command, GuestOptions& options) {
  add_guest_options(
      command, options, "SOURCE",
      "A dump file of any known format, a stored crash (vmcorectl list: its ID, or -1 "
      "for the newest), or a libvirt domain");
  CLI::Option* crash = command.add_flag("--crash", options.is_crash, "SOURCE is a stored crash");
  for (const char* const other : {"--name", "--id", "--qmp", "--connect"}) {
    crash->excludes(command.get_option(other));
  }
  add_store_option(command, options.store);
  add_allow_taint(command, options);
  CLI::Option* pause = command.add_flag(
      "--pause", options.pause, "Pause the guest while its memory is read, to show one moment");
  add_pause_limit(command, options,
                  "The longest pause of a running guest: 2s, 500ms, none. When it is over, the "
                  "guest is resumed and nothing is printed")
      ->needs(pause);
  command.parse_complete_callback([&options] { check_source(options); });
}

void check_source(const GuestOptions& options) {
  if (options.domain.empty() == options.socket.empty()) {
    throw CLI::ValidationError("SOURCE",
                               "give a dump FILE, a stored crash, a DOMAIN or --qmp SOCKET");
  }
}

Result<std::optional<vault::OpenCrash>> find_crash(const GuestOptions& source) {
  std::optional<vault::OpenCrash> found;
  if (!source.is_crash &&
      (names_guest(source) || names_file(source) || !vault::Vault::is_name(source.domain))) {
    return found;
  }
  const auto store = folder_of(source.store);
  if (!store) {
    return tl::unexpected(store.error());
  }
  auto crash = open_crash({.folder = *store}, source.domain);
  const bool is_no_domain = source.is_crash || source.domain.front() == '-';
  if (!crash && (is_no_domain || crash.error().code == Errc::invalid)) {
    return tl::unexpected(std::move(crash).error());
  }
  if (!crash) {
    return found;
  }
  if (!source.is_crash && job::is_known_domain(source.selection())) {
    return fail(Errc::invalid,
                "{} is a stored crash and a domain: give --crash or --name to say which is meant",
                source.domain);
  }
  found.emplace(*std::move(crash));
  return found;
}

bool is_dump_file(const GuestOptions& source) { return !names_guest(source) && names_file(source); }

Result<job::TextResult> read_crash(const vault::OpenCrash& crash, sandbox::Operation operation) {
  const std::optional<report::Manifest>& manifest = crash.crash.manifest;
  if (manifest && manifest->dump) {
    return job::read_file(crash.path + "/" + manifest->dump->file, operation,
                          job::whole_budget().threads);
  }
  const bool callers = operation == sandbox::Operation::callers;
  const bool log = operation == sandbox::Operation::dmesg || callers;
  const bool report = operation == sandbox::Operation::report ||
                      operation == sandbox::Operation::symbols ||
                      operation == sandbox::Operation::page;
  const char* const name = log ? job::kLogName : report ? job::kReportName : "";
  std::error_code ignored;
  if (const std::string path = crash.path + "/" + name;
      *name != '\0' && std::filesystem::exists(path, ignored)) {
    TRY_ASSIGN(std::string text, read_file(path));
    job::TextResult result{
        .name = crash.crash.id, .uuid = {}, .summary = {}, .place = {}, .text = text};
    if (callers) {
      result.summary.remarks.push_back(
          {Errc::not_found,
           "who wrote each line is not known: of this crash only the text of the log was kept"});
    }
    return result;
  }
  return fail(Errc::not_found, "{} has no memory: {}", crash.crash.id,
              manifest ? "only its report and log were kept (see: vmcorectl report, dmesg, info)"
                       : crash.crash.damage);
}

job::PausedText read_source(const GuestOptions& source, sandbox::Operation operation,
                            job::Interrupt& interrupt) {
  const unsigned threads = job::whole_budget().threads;
  const bool is_guest = names_guest(source);
  const auto crash = find_crash(source);
  if (!crash) {
    return {tl::unexpected(crash.error()), {}};
  }
  if (source.pause && (*crash || is_dump_file(source))) {
    return {fail(Errc::invalid, "{} is a {}, and --pause is for guests: leave --pause out",
                 source.domain, *crash ? "stored crash" : "file"),
            {}};
  }
  if (*crash) {
    return {read_crash(**crash, operation), {}};
  }
  if (is_dump_file(source)) {
    return {job::read_file(source.domain, operation, threads), {}};
  }
  std::optional<Loan> loan;
  const auto guest = reach_guest(source, loan);
  if (!guest) {
    return {tl::unexpected(guest.error()), {}};
  }
  if (source.pause) {
    be_killed_first();
  }
  job::PausedText result =
      source.pause
          ? job::read_paused_guest(*guest, operation, threads, source.longest_pause(), interrupt)
          : job::PausedText{job::read_guest(*guest, operation, threads), {}};
  const bool may_be_typo = !is_guest && !result.text && result.text.error().code == Errc::not_found;
  if (!may_be_typo) {
    audit_look(result, *guest, operation);
  }
  if (!result.text && !is_guest) {
    result.text = in_context(std::move(result.text).error(),
                             fmt::format("{} is not a file here; as a domain", source.domain));
  }
  return result;
}

int report_pause(const job::PausedText& result, int code, const Common& common) {
  if (!result.guest) {
    return code;
  }
  const job::GuestReport& guest = *result.guest;
  if (!common.quiet && guest.pause && guest.before.running) {
    print_remarks(
        {{Errc::guest_state, fmt::format("the guest was paused for {:.1f} ms",
                                         static_cast<double>(guest.pause->count()) / 1000)}});
  }
  if (!common.quiet) {
    print_remarks(guest.remarks);
  }
  if (guest.as_expected()) {
    return code;
  }
  const std::string now = guest.after ? guest.after->name : "in an unknown state";
  fmt::print(stderr, "vmcorectl: {}\n",
             printable(fmt::format("{}: the guest was {} and is now {}", guest.name,
                                   guest.before.name, now)));
  return kExitGuestChanged;
}

}  // namespace vmcore::cli
