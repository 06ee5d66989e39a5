// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/remote.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/sys.h"
#include "src/base/units.h"
#include "src/cli/dump_options.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/budget.h"
#include "src/job/dump_name.h"
#include "src/job/output.h"
#include "src/job/read_job.h"
#include "src/remote/run.h"

namespace vmcore::cli {
namespace {

using Json = nlohmann::ordered_json;

// What was given to an option of the verb, first; nothing where it has none of that name.
std::string given(const CLI::App& command, const std::string& name) {
  const CLI::Option* const option = command.get_option_no_throw(name);
  return option != nullptr && option->count() != 0 ? option->results().front() : std::string();
}

bool is_dump(const CLI::App& command) { return command.get_name() == "dump"; }

// Whether messages of the verb name a guest by the connection.
bool names_guests(const CLI::App& command) {
  return command.get_option_no_throw("--asked-as") != nullptr;
}

// What is not for the other end as it stands. Only a dump comes here; other files stay there.
bool is_ours(const CLI::Option& option, bool dumps) {
  const std::vector<std::string>& names = option.get_lnames();
  const auto is_named = [&](const char* name) {
    return std::ranges::find(names, name) != names.end();
  };
  return is_named("remote") || is_named("connect") || (dumps && is_named("file"));
}

// The help of the connection of a verb that has none by itself: it names the host.
constexpr const char* kForRemoteAlone = "With --remote: the URI that names the host";

bool is_for_remote_alone(const CLI::Option& connection) {
  return connection.get_description() == kForRemoteAlone;
}

// Whether the verb reaches a guest there. `debug` dumps a domain only where its terminal is.
bool reaches_guest(const CLI::App& command) {
  return command.get_name() != "debug" && !is_for_remote_alone(*command.get_option("--connect"));
}

// The verb and its options as the other end gets them. Each value is in one word with its option,
// so that none is taken for an option there.
std::vector<std::string> words_of(const CLI::App& command, const std::string& uri,
                                  const std::string& asked_as) {
  std::vector<std::string> words{command.get_name(), "--ends-with-stdin"};
  if (reaches_guest(command)) {
    words.push_back("--connect=" + uri);
  }
  if (names_guests(command)) {
    words.push_back("--asked-as=" + asked_as);
  }
  const bool dumps = is_dump(command) && command.count("--dry-run") == 0;
  if (dumps) {
    words.emplace_back("--file=-");
  }
  std::vector<std::string> positional{"--"};
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0 || is_ours(*option, dumps)) {
      continue;
    }
    const bool is_flag = option->get_items_expected_max() == 0;
    for (const std::string& value : option->results()) {
      if (option->get_positional()) {
        positional.push_back(value);
      } else {
        words.push_back("--" + option->get_lnames().front() + (is_flag ? "" : "=" + value));
      }
    }
  }
  words.insert(words.end(), positional.begin(), positional.end());
  return words;
}

void warn_of_version(const remote::RemoteEnd& end, const std::string& host) {
  const std::string own = std::string("vmcorectl ") + VMCORECTL_VERSION;
  if (end.version != own) {
    fmt::print(stderr, "vmcorectl: note: {} has {}, this is {}\n", printable(host),
               printable(end.version), own);
  }
}

// The JSON document among the lines that came by standard error, and the other lines.
struct Said {
  Json json;  // null where there is none
  std::string rest;
};

Said split(const std::string& text) {
  const std::size_t begin = text.starts_with("{\n") ? 0 : text.find("\n{\n") + 1;
  const std::size_t end = text.find("\n}\n", begin);
  if (end == std::string::npos) {
    return {Json(), text};
  }
  Json json = Json::parse(text.substr(begin, end + 3 - begin), nullptr, false);
  return json.is_object() ? Said{std::move(json), text.substr(0, begin) + text.substr(end + 3)}
                          : Said{Json(), text};
}

Result<std::string> read_all(int file) {
  TRY_ASSIGN(const std::uint64_t size, sys::file_size(file));
  if (size > sandbox::kMaxOutputText) {
    return fail(Errc::limit, "more than {} MiB of text", sandbox::kMaxOutputText >> 20);
  }
  std::string text(size, '\0');
  TRY(sys::pread_full(file, std::as_writable_bytes(std::span(text)), 0));
  return text;
}

// Names the dump, once it was opened as one.
Result<job::DumpResult> keep(job::Output& output, const std::string& host) {
  TRY_ASSIGN(const Fd dump, duplicate(output.fd()));
  auto read = job::read_text(
      {.operation = sandbox::Operation::info, .how = {.threads = job::whole_budget().threads}},
      {{"source", dump.get()}}, {});
  if (!read) {
    return in_context(std::move(read).error(), host + ": the received file is not a complete dump");
  }
  job::DumpResult result{.summary = std::move(read->summary)};
  TRY(output.keep(result));
  return result;
}

void print_kept(const job::DumpResult& dump, Json said, const Common& common) {
  const std::string path = dump.path.string();
  common.kept = !path.empty();
  if (dump.name_may_go) {
    print_remarks({dump.summary.remarks.back()});
  }
  if (common.json && said.is_object()) {
    said["file"] = path.empty() ? Json() : Json(path);
    if (!dump.as_asked()) {
      said["as_asked"] = false;
      said["incomplete"] = dump.summary.incomplete;
    }
    std::FILE* const to = path.empty() ? stderr : stdout;
    std::fputs((said.dump(2, ' ', true, Json::error_handler_t::replace) + "\n").c_str(), to);
  } else if (!common.quiet && !path.empty()) {
    fmt::print("written       {} ({}){}\n", printable(path),
               human_size(dump.size_bytes.value_or(0)),
               dump.summary.incomplete ? ", incomplete" : "");
  }
}

// Something that no memory holds.
Result<std::string> random_word() {
  std::array<unsigned char, 16> bytes{};
  if (::getentropy(bytes.data(), bytes.size()) != 0) {
    return fail_errno(errno, "getentropy");
  }
  std::string word = "end-of-dump-";
  for (const unsigned char byte : bytes) {
    word += fmt::format("{:02x}", byte);
  }
  return word;
}

// The far end's exit code, or one for what became of its dump here.
int code_of(int far_code, const job::DumpResult& kept) {
  return far_code == kExitDone ? exit_code_of(kept) : far_code;
}

// In JSON what is said of the dump comes by standard error as well, and is completed here.
int dump(const CLI::App& command, const remote::RemoteHost& host, std::vector<std::string> words,
         const Common& common) {
  std::filesystem::path target = job::dump_target(given(command, "--file"));
  if (!target.has_filename()) {
    target /= job::dump_name(given(command, "DOMAIN"), std::chrono::system_clock::now());
  }
  // With --crash-guest, --force is about the guest.
  const bool replace = command.count("--force") != 0 && command.count("--crash-guest") == 0;
  auto output = job::Output::open(target, replace, command.count("--bypass-cache") != 0);
  auto said = make_memory_file("messages");
  if (!output || !said) {
    return report_error(output ? said.error() : output.error(), common);
  }
  // What is done with the guest then must not come before its dump is kept here.
  std::optional<Result<job::DumpResult>> kept;
  remote::KeepAndTell asked;
  if (command.count("--then") != 0) {
    auto trailer = random_word();
    if (!trailer) {
      return report_error(trailer.error(), common);
    }
    asked = {*trailer, [&] {
               kept = keep(*output, host.name);
               return *kept && !(*kept)->summary.incomplete && !(*kept)->name_may_go;
             }};
    words.insert(words.begin() + 1, "--then-when-kept=" + *trailer);
  }
  job::Interrupt interrupt(kExitInterrupted);
  interrupt.arm();
  const auto end = remote::run_remote(host, words, output->fd(),
                                      common.json ? said->get() : STDERR_FILENO, interrupt, asked);
  auto text = read_all(said->get());
  Said parts = split(text ? *text : "");
  std::fputs(printable_lines(parts.rest).c_str(), stderr);
  if (!end) {
    const int code = report_error(end.error(), common);
    if (!kept || !*kept) {
      return code;
    }
    print_kept(**kept, Json(), common);
    return kExitNotAsAsked;
  }
  warn_of_version(*end, host.name);
  const std::uint64_t size = sys::file_size(output->fd()).value_or(0);
  if (end->code != kExitDone && end->code != kExitNotAsAsked && size == 0) {
    if (parts.json.is_object()) {
      fmt::print("{}\n", parts.json.dump(2, ' ', true, Json::error_handler_t::replace));
    }
    return end->code;
  }
  const bool may_be_kept =
      end->code == kExitDone || end->code == kExitNotAsAsked || end->code == kExitGuestChanged;
  if (!kept) {
    kept = may_be_kept
               ? keep(*output, host.name)
               : fail(Errc::truncated,
                      "{}: the dump was cut off: the connection ended before all of it arrived",
                      host.name);
  }
  if (!*kept) {
    const int code = report_error(kept->error(), common);
    return end->code == kExitGuestChanged ? end->code : code;
  }
  print_kept(**kept, std::move(parts.json), common);
  return code_of(end->code, **kept);
}

// Why the verb cannot be run there as it was given; empty: it can.
std::string misuse(const CLI::App& command) {
  if (is_dump(command) && command.get_option("DOMAIN")->count() > 1) {
    return "dump --remote takes one DOMAIN";
  }
  if (command.get_name() == "debug" && command.count("--run") == 0) {
    return "debug --remote needs --run: an analyzer with a prompt needs a terminal there";
  }
  return "";
}

}  // namespace

void add_remote_option(CLI::App& command) {
  const bool has_connection = command.get_option_no_throw("--connect") != nullptr;
  if (!has_connection) {
    command.add_option("-c,--connect", kForRemoteAlone);
  }
  CLI::Option* const remote = command.add_flag("--remote");
  remote->description(
      "Run by ssh on the host that -c names (qemu+ssh://HOST/system), with its own vmcorectl");
  for (const char* const name :
       {"--qmp", "--all-crashed", "--svg", "--html", "--report-fd", "--keep", "--crash"}) {
    if (CLI::Option* const other = command.get_option_no_throw(name)) {
      remote->excludes(other);
    }
  }
  if (!has_connection) {
    command.get_option("--connect")->needs(remote);
  }
}

bool is_remote(const CLI::App& command) {
  const CLI::Option* const option = command.get_option_no_throw("--remote");
  return option != nullptr && option->count() != 0;
}

int run_remotely(const CLI::App& command, const Common& common) {
  std::string uri = given(command, "--connect");
  if (const char* const usual = std::getenv("LIBVIRT_DEFAULT_URI");
      uri.empty() && usual != nullptr) {
    uri = usual;
  }
  const auto host = remote::parse_remote_uri(uri);
  if (!host) {
    report_error(host.error(), common);
    return kExitUsage;
  }
  if (const std::string why = misuse(command); !why.empty()) {
    fmt::print(stderr, "vmcorectl: {}\n", why);
    return kExitUsage;
  }
  const std::vector<std::string> words = words_of(command, host->uri, uri);
  if (is_dump(command) && command.count("--dry-run") == 0) {
    return dump(command, *host, words, common);
  }
  job::Interrupt interrupt(kExitInterrupted);
  interrupt.arm();
  const auto end = remote::run_remote(*host, words, STDOUT_FILENO, STDERR_FILENO, interrupt);
  if (!end) {
    return report_error(end.error(), common);
  }
  warn_of_version(*end, host->name);
  return end->code;
}

}  // namespace vmcore::cli
