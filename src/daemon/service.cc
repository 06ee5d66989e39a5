// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/service.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "src/base/fd.h"
#include "src/base/ownership.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/daemon/aftermath.h"
#include "src/daemon/armed.h"
#include "src/daemon/control_desk.h"
#include "src/daemon/guardian_line.h"
#include "src/daemon/job_process.h"
#include "src/daemon/keeper.h"
#include "src/daemon/link.h"
#include "src/daemon/log.h"
#include "src/daemon/look_ahead.h"
#include "src/daemon/loop.h"
#include "src/daemon/notify.h"
#include "src/daemon/qmp_folder.h"

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

// Who may ask for the state of guests: the group of the folder that has the socket.
gid_t group_of_folder(const std::filesystem::path& file) {
  struct stat status {};
  return ::stat(file.parent_path().c_str(), &status) == 0 ? status.st_gid : ::getegid();
}

// A guardian that is missing is missed when a trap is set.
MonitorPrograms programs_beside(std::filesystem::path vmcorectl) {
  return {.vmcorectl = std::move(vmcorectl),
          .guardian = guardian_executable().value_or("vmcore-guardian")};
}

// A vmcored that was killed may have been starting a process, which has its lock and its socket
// until it has become another program.
template <class Work>
auto once_free(const Work& work) {
  constexpr int kMostTries = 40;
  constexpr std::chrono::milliseconds kTryEvery{50};
  for (int i = 1;; ++i) {
    auto done = work();
    if (done || done.error().code != Errc::busy || i == kMostTries) {
      return done;
    }
    std::this_thread::sleep_for(kTryEvery);
  }
}

class Service {
 public:
  static Result<std::unique_ptr<Service>> start(const ServiceOptions& options,
                                                config::Config config) {
    TRY_ASSIGN(Fd signals, take_signals());
    TRY_ASSIGN(std::filesystem::path program, vmcorectl_executable());
    TRY_ASSIGN(GuestRecords records, GuestRecords::open(options.state));
    TRY_ASSIGN(Fd lock, once_free([&] { return records.lock(); }));
    std::unique_ptr<Service> service(new Service(options, std::move(config), std::move(signals),
                                                 std::move(records), std::move(program)));
    service->lock_ = std::move(lock);
    return service;
  }

  Result<> run() {
    loop_.watch(signals_.get(), [this] { on_signal(); });
    TRY_ASSIGN(aftermath_, Aftermath::start(loop_, keeper_.config(), options_.state / "hooks"));
    TRY(listen());
    keeper_.recover({});
    watch_guests();
    if (!keeper_.has_sources()) {
      return fail(Errc::unsupported, "no guests can be watched: see the messages above");
    }
    aftermath_->keep_writing([this] { return count_armed(); });
    feed_watchdog(loop_);
    notify_ready();
    say(Priority::info, "",
        fmt::format("waits for crashes, and keeps them in {}", keeper_.config().store.string()));
    return loop_.run();
  }

 private:
  Service(ServiceOptions options, config::Config config, Fd signals, GuestRecords records,
          std::filesystem::path program)
      : options_(std::move(options)),
        signals_(std::move(signals)),
        programs_(programs_beside(program)),
        keeper_(loop_, std::move(config), std::move(records),
                {.vmcorectl = std::move(program), .config = options_.config},
                {.on_settled =
                     [this](const GuestId&, const CrashOutcome& outcome) {
                       aftermath_->add(outcome, count_armed());
                     },
                 .on_surplus =
                     [this](const GuestId& id) {
                       say(Priority::warning, id.name,
                           "it is disarmed: more guests than vmcored remembers have ended since");
                       armed_.disarm(id, [](const Result<>&) {});
                     }}),
        armed_(loop_, hands_that_arm()),
        look_ahead_(loop_, programs_.vmcorectl, programs_.boot_time, [this](const GuestId& id) {
          return keeper_.state_of(id) == phase_name(GuestPhase::watched) &&
                 keeper_.stands_after_panic(id);
        }) {}

  std::size_t count_armed() {
    const std::vector<GuestId> guests = keeper_.guests();
    return static_cast<std::size_t>(std::ranges::count_if(
        guests, [this](const GuestId& id) { return keeper_.record_of(id).armed; }));
  }

  Armed::Hands hands_that_arm() {
    return {.record = [this](const GuestId& id) -> GuestRecord& { return keeper_.record_of(id); },
            .save = [this](const GuestRecord& record,
                           RecordWriter::Done done) { keeper_.save(record, std::move(done)); },
            .folder = [this](const GuestId& id) { return folder_of(id.from); },
            .wants_arming = [this](const GuestId& id) { return keeper_.policy_of(id).arm; },
            .note = keeper_.events().on_note,
            .on_armed_domain = [this](const GuestId& id) { look_ahead_.add(id); }};
  }

  ControlDesk::Hands hands_of_desk() {
    return {
        .guests = [this] { return keeper_.guests(); },
        .state = [this](const GuestId& id) { return keeper_.state_of(id); },
        .record = [this](const GuestId& id) -> const GuestRecord& { return keeper_.record_of(id); },
        .folder = [this](const std::string& socket) { return folder_of(socket); }};
  }

  // What a command asks for needs a service; the service needs no command.
  Result<> listen() {
    auto server = once_free([this] {
      return control::Server::listen(options_.socket, group_of_folder(options_.socket));
    });
    if (server) {
      desk_.emplace(loop_, *std::move(server), armed_, hands_of_desk());
      return {};
    }
    if (server.error().code == Errc::busy) {
      return tl::unexpected(std::move(server).error());
    }
    say(Priority::error, "", "commands cannot reach it: " + server.error().message);
    return {};
  }

  // A socket's path has the folder's in front.
  QmpFolder* folder_of(const std::string& from) const {
    const auto parent = std::filesystem::path(from).parent_path();
    const auto found = std::ranges::find_if(
        folders_, [&](const QmpFolder* folder) { return folder->folder() == parent; });
    return found != folders_.end() ? *found : nullptr;
  }

  std::map<std::string, ArmWish> wishes() {
    std::map<std::string, ArmWish> wishes;
    for (const GuestId& id : keeper_.guests()) {
      // Others may have had that socket before.
      if (const GuestRecord& record = keeper_.record_of(id); record.armed) {
        const auto& crash = record.crash;
        const bool stays = crash && crash->settled && crash->policy_due.empty();
        wishes[id.from] = {true, record.trap_resets, stays ? crash->process : std::nullopt};
      }
    }
    return wishes;
  }

  SourceEvents events() {
    SourceEvents events = keeper_.events();
    events.on_event = [this, tell = events.on_event](const GuestId& id,
                                                     const acquire::GuestEvent& event) {
      tell(id, event);
      // A guest that is found in its panic is armed, too: no event may tell of its restart.
      const bool is_there = event.found && event.kind != acquire::GuestEvent::Kind::stopped;
      if (is_there || event.kind == acquire::GuestEvent::Kind::started) {
        armed_.on_started(id);
        if (!id.uuid.empty() && folder_of(id.from) == nullptr) {  // a domain
          look_ahead_.add(id);
        }
      }
    };
    return events;
  }

  void watch_folders() {
    for (const std::filesystem::path& path : keeper_.config().qmp_folders) {
      if (!linked_.insert(path.string()).second) {
        continue;
      }
      auto folder = QmpFolder::open(loop_, path, programs_, events(), wishes());
      if (folder) {
        folders_.push_back(folder->get());
        keeper_.add(*std::move(folder));
        keeper_.look_for_sockets(folders_.back()->folder());
      } else {
        say(Priority::error, "", folder.error().message);
      }
    }
  }

  void watch_guests() {
    for (const std::string& uri : keeper_.config().uris) {
      if (!linked_.insert(uri).second) {
        continue;
      }
      auto link = LibvirtLink::start(loop_, uri, events());
      if (link) {
        keeper_.add(*std::move(link));
      } else {
        say(Priority::error, "", link.error().message);
      }
    }
    watch_folders();
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
      if (const Result<> set = aftermath_->configure(*config); !set) {
        say(Priority::error, "", set.error().message);
      }
      keeper_.configure(*std::move(config));
      watch_guests();
      say(Priority::info, "", "the configuration was read again");
    } else {
      say(Priority::error, "", "the old configuration stays in use: " + config.error().message);
    }
    notify_ready();
  }

  void stop() {
    if (std::exchange(stopping_, true)) {
      return;
    }
    notify_stopping();
    say(Priority::info, "", "ends");
    keeper_.stop([this] { aftermath_->finish([this] { loop_.stop(); }); });
  }

  ServiceOptions options_;
  Fd lock_;  // of the records
  Fd signals_;
  Loop loop_;  // before what uses it
  MonitorPrograms programs_;
  std::vector<QmpFolder*> folders_;  // of the keeper
  Keeper keeper_;
  Armed armed_;
  LookAhead look_ahead_;
  std::optional<ControlDesk> desk_;
  std::unique_ptr<Aftermath> aftermath_;
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
  struct stat status {};
  if (::stat(config.store.c_str(), &status) == 0) {
    TRY(check_ours(status, config.store));
  }
  return config;
}

int run_service(const ServiceOptions& options) {
  auto config = configuration(options);
  if (!config) {
    report_error(config.error());
    return kExitUsage;  // systemd does not try again
  }
  auto service = Service::start(options, *std::move(config));
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

int give_back_guests(const ServiceOptions& options) {
  const auto records = GuestRecords::open(options.state);
  const auto lock = records ? once_free([&] { return records->lock(); })
                            : Result<Fd>(tl::unexpected(records.error()));
  if (!lock) {
    return report_error(lock.error());
  }
  std::vector<Error> damaged;
  int code = kExitDone;
  for (const GuestRecord& record : records->load(damaged)) {
    if (const Result<> given = give_back(record); !given) {
      code = report_error(
          {given.error().code, fmt::format("{}: {}", record.name, given.error().message)});
    }
  }
  for (const Error& error : damaged) {
    code = report_error(error);
  }
  return code;
}

}  // namespace vmcore::daemon
