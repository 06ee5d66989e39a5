// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/command/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "src/command/exit_code.h"

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

}  // namespace

int run_program(const Program& program, int argc, char** argv) {
  open_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);  // a write that fails says so itself

  CLI::App app(program.summary, program.name);
  app.set_version_flag("-V,--version", std::string(program.name) + " " + VMCORECTL_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  common.json = output_format == "json";
  const auto chosen =
      std::ranges::find_if(verbs, [](const auto& verb) { return verb.first->parsed(); });
  const int code = chosen->second();
  // A full disk or a closed pipe must not pass as success.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::perror((std::string(program.name) + ": standard output").c_str());
    return code == kExitGuestChanged ? code : common.kept ? kExitNotAsAsked : kExitFailed;
  }
  return code;
}

}  // namespace vmcore
