// vmcore-guest: sets up what saves a crash of this guest, and loads it.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "guest/setup/verb.h"

namespace vmcore::guest {
namespace {

struct Verb {
  const char* name;
  const char* help;
  AddVerb add;
  bool prints_json;
};

const std::vector<Verb> kVerbs = {
    {"status", "Whether a crash would be saved, and what is missing", add_status, true},
    {"estimate", "How much memory a panic kernel needs", add_estimate, true},
    {"load", "Load the panic kernel and its capture image", add_load, false},
    {"unload", "Take the panic kernel out of memory", add_unload, false},
    {"lock", "Keep what is loaded from being replaced", add_lock, false},
    {"exec", "Reboot into the kernel that load --reboot loaded", add_exec, false},
    {"test", "Crash this guest on purpose, and see what became of it", add_test, true},
    {"collect", "Keep and tell what an earlier crash left behind (run at boot)", add_collect,
     false},
};

int run(int argc, char** argv) {
  CLI::App app("Saves this guest's crashes", "vmcore-guest");
  app.set_version_flag("-V,--version", std::string("vmcore-guest ") + VMCORECTL_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::simple);
  Common common;
  std::string output_format = "text";
  std::vector<std::pair<CLI::App*, Run>> verbs;
  for (const Verb& verb : kVerbs) {
    CLI::App* command = app.add_subcommand(verb.name, verb.help);
    if (verb.prints_json) {
      command->add_option("--output", output_format, "How results are printed")
          ->check(CLI::IsMember({"text", "json"}))
          ->capture_default_str();
    }
    verbs.emplace_back(command, verb.add(*command, common));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  common.json = output_format == "json";
  const auto chosen =
      std::ranges::find_if(verbs, [](const auto& verb) { return verb.first->parsed(); });
  const int code = chosen->second();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    std::perror("vmcore-guest: standard output");
    return 1;
  }
  return code;
}

}  // namespace
}  // namespace vmcore::guest

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a write that fails says so itself
  return vmcore::guest::run(argc, argv);
}
