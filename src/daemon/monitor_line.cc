// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/monitor_line.h"

#include <algorithm>
#include <utility>

#include "qmp/connect.h"
#include "src/acquire/process/guest_process.h"
#include "src/acquire/process/identity.h"

namespace vmcore::daemon {
namespace {

using acquire::GuestEvent;
using std::chrono::milliseconds;

constexpr milliseconds kFirstWait{100};
constexpr milliseconds kLongestWait{30'000};
// The rest of a message that QEMU has begun comes at once.
constexpr milliseconds kSettle{20};

Result<> check_may(pid_t pid, const qmp::Listener& listener) {
  const auto identity = acquire::identity_of(pid);
  // A process that is not seen, or is no QEMU that we know, is not read; its monitor can be used.
  if (!identity) {
    return {};
  }
  const Result<> may = acquire::check_identity(*identity, {listener.uid, listener.gid});
  return may || may.error().code != Errc::denied ? Result<>() : may;
}

// What cannot be better the next time.
bool is_final(Errc code) {
  return code == Errc::not_recognised || code == Errc::denied || code == Errc::malformed ||
         code == Errc::invalid;
}

}  // namespace

std::optional<acquire::ProcessKey> process_of_listener(const qmp::Listener& listener) {
  const auto since = acquire::start_time(listener.pid);
  return since ? std::optional(acquire::ProcessKey{listener.pid, *since}) : std::nullopt;
}

MonitorLine::MonitorLine(Loop& loop, std::filesystem::path socket, const std::string& name)
    : loop_(loop), socket_(std::move(socket)), name_(name) {}

MonitorLine::~MonitorLine() { close(); }

void MonitorLine::close() {
  loop_.cancel(std::exchange(retry_, 0));
  unwatch();
  owner_.reset();
  jobs_.clear();
  events_.reset();
  client_.reset();
}

void MonitorLine::unwatch() {
  if (watched_ >= 0) {
    loop_.forget(std::exchange(watched_, -1));
  }
}

// Connecting

void MonitorLine::begin(std::weak_ptr<Owner> owner) {
  owner_ = std::move(owner);
  try_connect();
}

bool MonitorLine::give_up() {
  if (connected() || place_ == Place::connecting) {
    return false;
  }
  loop_.cancel(std::exchange(retry_, 0));
  end_guest();
  return true;
}

void MonitorLine::end_guest() {
  if (!std::exchange(has_guest_, false)) {
    return;
  }
  process_.reset();
  unsteady_ = 0;
  if (const auto owner = owner_.lock()) {
    owner->on_ended();
  }
}

Result<MonitorLine::Connected> MonitorLine::connect(const std::filesystem::path& socket) {
  Connected result;
  TRY_ASSIGN(qmp::Client client, qmp::connect(socket, {.events = acquire::kGuestEvents}));
  const auto listener = qmp::listener_of(client.fd());
  if (listener && listener->pid > 0) {
    result.process = process_of_listener(*listener);
    TRY(check_may(listener->pid, *listener));
    result.before = qmp::actions_of(qmp::command_line(listener->pid));
  } else {
    result.before = qmp::kQemuActions;
  }
  result.client = std::make_shared<qmp::Client>(std::move(client));
  TRY_ASSIGN(result.events, acquire::events_of_monitor(result.client));
  return result;
}

bool MonitorLine::is_same_file() {
  struct stat now {};
  return ::stat(socket_.c_str(), &now) == 0 && now.st_ino == refused_.st_ino &&
         now.st_dev == refused_.st_dev && now.st_ctim.tv_sec == refused_.st_ctim.tv_sec &&
         now.st_ctim.tv_nsec == refused_.st_ctim.tv_nsec;
}

void MonitorLine::try_connect() {
  if (place_ != Place::nowhere) {
    return;
  }
  if (refused_.st_ino != 0 && is_same_file()) {
    try_later();
    return;
  }
  place_ = Place::connecting;
  loop_.in_background<Result<Connected>>([socket = socket_] { return connect(socket); },
                                         [weak = weak_from_this()](Result<Connected> connected) {
                                           if (const auto self = weak.lock()) {
                                             self->on_connected(std::move(connected));
                                           }
                                         });
}

void MonitorLine::try_later() {
  wait_ = std::clamp(wait_ * 2, kFirstWait, kLongestWait);
  retry_ = loop_.after(wait_, [this] { try_connect(); });
}

void MonitorLine::on_refused(const Error& error) {
  place_ = Place::nowhere;
  const bool is_new = std::exchange(last_error_, error.message) != error.message;
  if (is_final(error.code)) {
    if (::stat(socket_.c_str(), &refused_) != 0) {
      refused_ = {};
    }
    if (const auto owner = owner_.lock(); owner && is_new) {
      owner->on_unusable(error);
    }
  }
  // A QEMU that made this socket and has ended.
  if (error.code != Errc::busy) {
    end_guest();
  }
  try_later();
}

void MonitorLine::on_connected(Result<Connected> connected) {
  const auto owner = owner_.lock();
  if (!owner) {
    return;
  }
  if (!connected) {
    on_refused(connected.error());
    return;
  }
  if (process_ && connected->process != process_) {
    end_guest();  // this is another QEMU
  }
  client_ = std::move(connected->client);
  events_ = std::move(connected->events);
  process_ = connected->process;
  wait_ = {};
  connected_at_ = Loop::Clock::now();
  last_error_.clear();
  refused_ = {};
  has_guest_ = true;
  place_ = Place::home;
  owner->on_connected(std::move(connected->before));
  if (place_ == Place::home) {
    place_ = Place::nowhere;
    come_home();
  }
}

// The monitor's place

void MonitorLine::run(Work work, Done done) {
  if (!connected()) {
    loop_.after({}, [done = std::move(done), name = name_] {
      done(fail(Errc::not_found, "{}: vmcored is not connected to its monitor", name));
    });
    return;
  }
  jobs_.push_back({std::move(work), std::move(done)});
  run_next();
}

void MonitorLine::run_next() {
  if (place_ != Place::home || jobs_.empty()) {
    return;
  }
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  unwatch();
  place_ = Place::away;
  loop_.in_background<Result<>>(
      [client = client_, work = std::move(job.work)] { return work(*client); },
      [weak = weak_from_this(), client = client_, done = std::move(job.done)](Result<> result) {
        const auto self = weak.lock();
        // The connection may have been lost meanwhile. Events that came with the answer are heard
        // after it: firmware resets again while the reset before is carried out.
        if (self && self->client_ == client) {
          self->place_ = Place::nowhere;
          done(std::move(result));
          self->come_home();
        } else {
          done(std::move(result));
        }
      });
}

void MonitorLine::come_home() {
  if (!connected() || place_ != Place::nowhere) {
    return;
  }
  place_ = Place::home;
  watched_ = client_->fd();
  loop_.watch(watched_, [this] { hear(); });
  hear();
  run_next();
}

void MonitorLine::hear() {
  while (place_ == Place::home && events_) {
    const auto event = events_->next();
    const auto owner = owner_.lock();
    if (!event || !owner) {
      return;
    }
    owner->on_event(*event);
  }
}

void MonitorLine::forget_jobs(const std::string& why) {
  for (Job& job : std::exchange(jobs_, {})) {
    job.done(fail(Errc::not_found, "{}: {}", name_, why));
  }
}

void MonitorLine::lose(const std::string& why) {
  unwatch();
  if (const auto owner = owner_.lock()) {
    owner->on_lost();
  }
  events_.reset();
  client_.reset();
  place_ = Place::nowhere;
  forget_jobs(why);
  // Where QEMU has ended, the next attempt tells. One that lets nobody stay is not asked again and
  // again without a pause.
  const bool lasted = Loop::Clock::now() - connected_at_ >= kLongestWait;
  unsteady_ = lasted ? 0 : unsteady_ + 1;
  if (unsteady_ <= 1) {
    try_connect();
  } else {
    wait_ = std::min(kFirstWait * (1U << std::min(unsteady_ - 2, 10U)), kLongestWait);
    retry_ = loop_.after(wait_, [this] { try_connect(); });
  }
}

// Lending

Result<int> MonitorLine::lend() {
  if (place_ != Place::home || !jobs_.empty()) {
    // A QEMU that is there is connected again soon.
    return fail(connected() || has_guest_ ? Errc::busy : Errc::not_found, "{}: its monitor is {}",
                name_, connected() ? "in use" : "not connected");
  }
  if (Result<> settled = client_->settle(kSettle); !settled) {
    return in_context(std::move(settled).error(), name_);
  }
  unwatch();
  place_ = Place::lent;
  return client_->fd();
}

void MonitorLine::take_back(bool usable) {
  if (place_ != Place::lent) {
    return;
  }
  place_ = Place::nowhere;
  if (usable) {
    come_home();
  } else {
    lose("the monitor came back in an unknown state");
  }
}

}  // namespace vmcore::daemon
