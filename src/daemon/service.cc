// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/service.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "src/base/fd.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/daemon/job_process.h"
#include "src/daemon/keeper.h"
#include "src/daemon/link.h"
#include "src/daemon/log.h"
#include "src/daemon/loop.h"
#include "src/daemon/notify.h"

namespace vmcore::daemon {
namespace {

Result<Fd> take_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    ::sigaddset(&set, signal);
  }
  // Before threads are started, which inherit it.
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  return fd ? Result<Fd>(std::move(fd)) : fail_errno(errno, "signalfd");
}

class Service {
 public:
  static Result<std::unique_ptr<Service>> start(const ServiceOptions& options) {
    TRY_ASSIGN(config::Config config, configuration(options));
    TRY_ASSIGN(Fd signals, take_signals());
    TRY_ASSIGN(std::filesystem::path program, vmcorectl_executable());
    TRY_ASSIGN(GuestRecords records, GuestRecords::open(options.state));
    std::unique_ptr<Service> service(new Service(options, std::move(config), std::move(signals),
                                                 std::move(records), std::move(program)));
    return service;
  }

  Result<> run() {
    loop_.watch(signals_.get(), [this] { on_signal(); });
    keeper_.recover({});
    watch_guests();
    feed_watchdog(loop_);
    notify_ready();
    say(Priority::info, "",
        fmt::format("waits for crashes; they go into {}", keeper_.config().store.string()));
    return loop_.run();
  }

 private:
  Service(ServiceOptions options, config::Config config, Fd signals, GuestRecords records,
          std::filesystem::path program)
      : options_(std::move(options)),
        signals_(std::move(signals)),
        keeper_(loop_, std::move(config), std::move(records), std::move(program),
                {.on_settled = [](const GuestId&, const CrashOutcome&) {}}) {}

  void watch_guests() {
    for (const std::string& uri : keeper_.config().uris) {
      if (!linked_.insert(uri).second) {
        continue;
      }
      auto link = LibvirtLink::start(loop_, uri, keeper_.events());
      if (link) {
        keeper_.add(*std::move(link));
      } else {
        say(Priority::error, "", link.error().message);
      }
    }
  }

  void on_signal() {
    signalfd_siginfo signal{};
    while (::read(signals_.get(), &signal, sizeof signal) == sizeof signal) {
      if (signal.ssi_signo == SIGHUP) {
        reload();
      } else {
        stop();
      }
    }
  }

  void reload() {
    notify_reloading();
    if (auto config = configuration(options_)) {
      keeper_.configure(*std::move(config));
      watch_guests();
      say(Priority::info, "", "the configuration was read again");
    } else {
      say(Priority::error, "", "the configuration stays as it was: " + config.error().message);
    }
    notify_ready();
  }

  void stop() {
    if (std::exchange(stopping_, true)) {
      return;
    }
    notify_stopping();
    say(Priority::info, "", "ends");
    keeper_.stop([this] { loop_.stop(); });
  }

  ServiceOptions options_;
  Fd signals_;
  Loop loop_;  // before what uses it
  Keeper keeper_;
  std::set<std::string> linked_;
  bool stopping_ = false;
};

}  // namespace

Result<config::Config> configuration(const ServiceOptions& options) {
  const bool given = !options.config.empty();
  auto loaded = config::load(given ? options.config : config::kUsualFile);
  if (!loaded && (given || loaded.error().code != Errc::not_found)) {
    return loaded;
  }
  config::Config config = loaded ? *std::move(loaded) : config::Config{};
  if (!options.uris.empty() || !options.qmp_folders.empty()) {
    config.uris = options.uris;
    config.qmp_folders = options.qmp_folders;
  }
  if (config.uris.empty() && config.qmp_folders.empty()) {
    config.uris = {"qemu:///system"};
  }
  if (!options.store.empty()) {
    config.store = options.store;
  }
  return config;
}

int run_service(const ServiceOptions& options) {
  auto service = Service::start(options);
  if (!service) {
    return report_error(service.error());
  }
  const Result<> ran = (*service)->run();
  service->reset();
  if (!ran) {
    return report_error(ran.error());
  }
  return kExitDone;
}

}  // namespace vmcore::daemon
