// SPDX-License-Identifier: GPL-2.0-or-later
// vmcored: keeps the crashes of a host's guests.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/daemon/service.h"

namespace vmcore::daemon {
namespace {

int check_config(const ServiceOptions& options) {
  const config::Verdict verdict =
      config::check_config(options.config.empty() ? config::kUsualFile : options.config);
  std::fputs(verdict.text.c_str(), verdict.right ? stdout : stderr);
  return verdict.right ? kExitDone : kExitUsage;
}

int run(int argc, char** argv) {
  ServiceOptions options;
  std::string config;
  std::vector<std::string> folders;
  std::string store;
  std::string state = kUsualState;
  bool only_check = false;
  bool give_back = false;
  CLI::App app("Keeps the crashes of the guests of this host", "vmcored");
  app.set_version_flag("-V,--version", std::string("vmcored ") + VMCORECTL_VERSION);
  app.failure_message(CLI::FailureMessage::simple);
  app.add_option("--config", config,
                 fmt::format("The configuration; default: {}", config::kUsualFile));
  app.add_option("-c,--connect", options.uris,
                 "The URI of a libvirt whose domains are watched; can be repeated");
  app.add_option("--qmp-folder", folders,
                 "A folder of QMP sockets of QEMUs without libvirt; can be repeated");
  app.add_option("--store", store, "Where crashes are kept");
  app.add_option("--state", state, "The folder of what vmcored must know of guests after a restart")
      ->capture_default_str();
  app.add_option("--socket", options.socket,
                 "The control socket, over which commands reach vmcored")
      ->capture_default_str();
  app.add_flag("--give-back", give_back,
               "Give armed guests back as they were before, and end; only while no vmcored runs");
  app.add_flag("--check-config", only_check,
               "Print each error of the configuration, or else all its values, and end");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitDone : kExitUsage;
  }
  options.config = config;
  options.qmp_folders.assign(folders.begin(), folders.end());
  options.store = store;
  options.state = state;
  std::signal(SIGPIPE, SIG_IGN);
  return only_check  ? check_config(options)
         : give_back ? give_back_guests(options)
                     : run_service(options);
}

}  // namespace
}  // namespace vmcore::daemon

// Threads may still wait for a libvirt that does not answer: what they use must not be destroyed.
int main(int argc, char** argv) {
  const int code = vmcore::daemon::run(argc, argv);
  std::fflush(nullptr);
  ::_exit(code);
}
