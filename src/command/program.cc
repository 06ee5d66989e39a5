// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/command/program.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "src/base/printable.h"
#include "src/command/exit_code.h"
#include "src/command/misuse.h"
#include "src/command/verb_words.h"

namespace vmcore {
namespace {

// Where one is closed, the next file that is opened gets its number, and would take what is
// printed.
void open_standard_descriptors() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) {
    fd = ::open("/dev/null", O_RDWR);  // the lowest number that is free
  }
  if (fd >= 0) {
    ::close(fd);
  }
}

// Whoever reads standard output has seen enough, as `head` has.
bool reader_is_gone() {
  pollfd pipe{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&pipe, 1, 0) == 1 && (pipe.revents & POLLERR) != 0;
}

int report_unknown_verb(const Program& program, const std::string& word) {
  const std::string nearest = nearest_verb(program.verbs, word);
  fmt::print(stderr, "{}: there is no verb {}{} (see: {} --help)\n", program.name,
             word.empty() ? "\"\"" : printable(word),
             nearest.empty() ? "" : fmt::format(": did you mean {}?", nearest), program.name);
  return kExitUsage;
}

// Of one verb at least.
bool takes_value(const CLI::App& app, const std::string& name) {
  return std::ranges::any_of(app.get_subcommands({}), [&](const CLI::App* verb) {
    const CLI::Option* const option = verb->get_option_no_throw(name);
    return option != nullptr && option->get_items_expected_max() > 0;
  });
}

}  // namespace

int run_program(const Program& program, int argc, char** argv) {
  open_standard_descriptors();
  // A write that fails says so itself.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);

  CLI::App app(program.summary, program.name);
  app.set_version_flag("-V,--version", std::string(program.name) + " " + VMCORECTL_VERSION);
  app.require_subcommand(1);
  Common common;
  std::string output_format = "text";
  std::vector<std::pair<CLI::App*, Run>> verbs;
  for (const Verb& verb : program.verbs) {
    CLI::App* command = app.add_subcommand(verb.name, verb.help);
    if (verb.prints_json) {
      command->add_option("--output", output_format, "The form in which results are printed")
          ->check(CLI::IsMember({"text", "json"}))
          ->capture_default_str();
    }
    Run run = verb.add(*command, common);
    verbs.emplace_back(command, program.wrap == nullptr
                                    ? std::move(run)
                                    : program.wrap(*command, common, std::move(run)));
  }
  std::vector<std::string> words =
      verb_first({argv + std::min(argc, 1), argv + argc},
                 [&app](const std::string& option) { return takes_value(app, option); });
  if (!words.empty() && !words.front().starts_with('-') &&
      !has_verb(program.verbs, words.front())) {
    return report_unknown_verb(program, words.front());
  }
  std::ranges::reverse(words);  // CLI11 takes them from the end
  try {
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // help, version
      return app.exit(error) == 0 ? kExitDone : kExitUsage;
    }
    fmt::print(stderr, "{}\n", printable(misuse_text(app, error)));
    return kExitUsage;
  }
  common.json = output_format == "json";
  const auto chosen =
      std::ranges::find_if(verbs, [](const auto& verb) { return verb.first->parsed(); });
  const int code = chosen->second();
  // A full disk or a closed pipe must not pass as success.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    const int why = errno;
    if (!reader_is_gone()) {
      fmt::print(stderr, "{}: standard output: {}\n", program.name, std::strerror(why));
    }
    return code == kExitGuestChanged ? code : common.kept ? kExitNotAsAsked : kExitFailed;
  }
  return code;
}

}  // namespace vmcore
