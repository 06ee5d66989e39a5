// vmcorectl: turns a crashed guest into a small vmcore that crash and drgn open.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "src/cli/exit_code.h"
#include "src/cli/remote.h"
#include "src/cli/verb.h"

namespace vmcore::cli {
namespace {

struct Verb {
  const char* name;
  const char* help;
  AddVerb add;
  bool prints_json;
};

constexpr Verb kVerbs[] = {
    {"check", "Say whether, how and at what price guests would be dumped", add_check, true},
    {"dump", "Dump the memory of a guest into a small vmcore", add_dump, true},
    {"receive", "Take the dump that a guest's own capture kernel sends", add_receive, true},
    {"key", "Make a key that guests seal their dumps to, or print its public half", add_key, false},
    {"convert", "Filter and rewrite a dump file", add_convert, true},
    {"info", "Say what a dump file, or the memory of a guest, holds", add_info, true},
    {"dmesg", "Print the kernel log of a guest, or in a dump file", add_dmesg, true},
    {"memory", "Say what a guest's memory is used for, and draw where", add_memory, true},
};

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

// For --remote: whoever started us by ssh is gone when its end of our standard input is, and no
// signal tells of that.
void end_with_stdin() {
  std::thread([] {
    char byte = 0;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    ::kill(::getpid(), SIGTERM);
  }).detach();
}

int run(int argc, char** argv) {
  CLI::App app("Small, private vmcores of KVM guests", "vmcorectl");
  app.set_version_flag("-V,--version", std::string("vmcorectl ") + VMCORECTL_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  Common common;
  std::string output_format = "text";
  bool ends_with_stdin = false;
  std::vector<std::pair<CLI::App*, Run>> verbs;
  for (const Verb& verb : kVerbs) {
    CLI::App* command = app.add_subcommand(verb.name, verb.help);
    command->add_flag("-q,--quiet", common.quiet, "Print nothing but errors");
    if (verb.prints_json) {
      command->add_option("--output", output_format, "How results are printed")
          ->check(CLI::IsMember({"text", "json"}))
          ->capture_default_str();
    }
    command->add_flag("--ends-with-stdin", ends_with_stdin, "End when standard input does")
        ->group("");
    verbs.emplace_back(command, verb.add(*command, common));
    if (command->get_option_no_throw("--connect") != nullptr) {
      add_remote_option(*command);
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  common.json = output_format == "json";
  const auto chosen = std::find_if(verbs.begin(), verbs.end(),
                                   [](const auto& verb) { return verb.first->parsed(); });
  if (ends_with_stdin) {
    end_with_stdin();
  }
  const int code =
      is_remote(*chosen->first) ? run_remotely(*chosen->first, common) : chosen->second();
  // A full disk or a closed pipe must not pass as success.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::perror("vmcorectl: standard output");
    return code == kExitGuestChanged ? code : kExitFailed;
  }
  return code;
}

}  // namespace
}  // namespace vmcore::cli

int main(int argc, char** argv) {
  vmcore::cli::open_standard_descriptors();
  std::signal(SIGPIPE, SIG_IGN);  // a write that fails says so itself
  return vmcore::cli::run(argc, argv);
}
