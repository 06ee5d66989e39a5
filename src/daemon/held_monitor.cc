// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/held_monitor.h"

#include <algorithm>
#include <utility>

#include "qmp/connect.h"
#include "qmp/unix_peers.h"
#include "src/acquire/process/guest_process.h"
#include "src/acquire/process/identity.h"
#include "src/acquire/qmp/registers.h"
#include "src/daemon/after_crash.h"
#include "src/daemon/guest_machine.h"
#include "src/guardian/line.h"

namespace vmcore::daemon {
namespace {

using acquire::GuestEvent;
using Kind = GuestEvent::Kind;
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

// What QEMU did not do, or a guardian that has ended.
constexpr std::chrono::seconds kTryAgain{5};

// What cannot be better the next time.
bool is_final(Errc code) {
  return code == Errc::not_recognised || code == Errc::denied || code == Errc::malformed ||
         code == Errc::invalid;
}

double milliseconds_since(Loop::Clock::time_point since) {
  return std::chrono::duration<double, std::milli>(Loop::Clock::now() - since).count();
}

qmp::Json parse_details(const std::string& details) {
  return qmp::parse_object(details).value_or(qmp::Json::object());
}

}  // namespace

std::optional<acquire::ProcessKey> process_of_listener(const qmp::Listener& listener) {
  const auto since = acquire::start_time(listener.pid);
  return since ? std::optional(acquire::ProcessKey{listener.pid, *since}) : std::nullopt;
}

std::optional<bool> kernel_runs(qmp::Client& monitor) {
  const auto cpus =
      acquire::read_registers([&](const std::string& command, const qmp::Json& arguments) {
        return monitor.execute(command, arguments);
      });
  if (!cpus) {
    return std::nullopt;
  }
  return std::ranges::any_of(*cpus, [](const CpuState& cpu) { return cpu.rip >> 63 != 0; });
}

HeldMonitor::HeldMonitor(Loop& loop, std::filesystem::path socket, const MonitorPrograms& programs,
                         const SourceEvents& calls)
    : loop_(loop), socket_(std::move(socket)), programs_(programs), calls_(calls) {
  id_.from = socket_.string();
  id_.name = socket_.stem().string();
}

HeldMonitor::~HeldMonitor() {
  loop_.cancel(retry_);
  loop_.cancel(ahead_);
  loop_.cancel(guard_);
  if (watched_ >= 0) {
    loop_.forget(watched_);
  }
  if (guardian_) {
    loop_.forget(guardian_.fd());
  }
}

void HeldMonitor::note(const std::string& text, bool bad) const {
  calls_.on_note(fmt::format("{}: {}", id_.name, text), bad);
}

// Connecting

void HeldMonitor::begin() { try_connect(); }

bool HeldMonitor::gone() {
  if (connected() || place_ == Place::connecting) {
    return false;
  }
  loop_.cancel(std::exchange(retry_, 0));
  tell_stopped();
  return true;
}

void HeldMonitor::tell_stopped() {
  if (std::exchange(known_, false)) {
    trapped_.reset();
    stays_ = false;
    process_.reset();
    unsteady_ = 0;
    calls_.on_event(id_, {.kind = Kind::stopped, .name = id_.name, .uuid = id_.uuid});
  }
}

Result<HeldMonitor::Connected> HeldMonitor::connect(const std::filesystem::path& socket) {
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

bool HeldMonitor::is_same_file() {
  struct stat now {};
  return ::stat(socket_.c_str(), &now) == 0 && now.st_ino == refused_.st_ino &&
         now.st_dev == refused_.st_dev && now.st_ctim.tv_sec == refused_.st_ctim.tv_sec &&
         now.st_ctim.tv_nsec == refused_.st_ctim.tv_nsec;
}

void HeldMonitor::try_connect() {
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

void HeldMonitor::try_later() {
  wait_ = std::clamp(wait_ * 2, kFirstWait, kLongestWait);
  retry_ = loop_.after(wait_, [this] { try_connect(); });
}

void HeldMonitor::on_refused(const Error& error) {
  place_ = Place::nowhere;
  const bool is_new = std::exchange(last_error_, error.message) != error.message;
  if (is_final(error.code)) {
    if (::stat(socket_.c_str(), &refused_) != 0) {
      refused_ = {};
    }
    if (is_new) {
      calls_.on_note(fmt::format("its socket cannot be watched: {}", error.message), true);
    }
  }
  // A QEMU that made this socket and has ended.
  if (error.code != Errc::busy) {
    tell_stopped();
  }
  try_later();
}

void HeldMonitor::on_connected(Result<Connected> connected) {
  if (!connected) {
    on_refused(connected.error());
    return;
  }
  if (process_ && connected->process != process_) {
    tell_stopped();  // this is another QEMU
  }
  client_ = std::move(connected->client);
  events_ = std::move(connected->events);
  process_ = connected->process;
  before_ = std::move(connected->before);
  wait_ = {};
  connected_at_ = Loop::Clock::now();
  last_error_.clear();
  refused_ = {};
  set_ = {};
  known_ = true;
  // Sets the wish before it reads events: then it knows that a guest stands in the trap.
  if (wish_.armed) {
    place_ = Place::home;
    set_wish([weak = weak_from_this()](const Result<>& set) {
      if (const auto self = weak.lock(); self && !set) {
        self->note(fmt::format("it is not armed: {}", set.error().message), true);
      }
    });
    place_ = place_ == Place::home ? Place::nowhere : place_;
  } else {
    place_ = Place::nowhere;
  }
  come_home();
}

// The monitor's place

void HeldMonitor::run(Work work, Done done) {
  if (!connected()) {
    loop_.after({}, [done = std::move(done), name = id_.name] {
      done(fail(Errc::not_found, "{}: vmcored is not connected to its monitor", name));
    });
    return;
  }
  jobs_.push_back({std::move(work), std::move(done)});
  run_next();
}

void HeldMonitor::run_next() {
  if (place_ != Place::home || jobs_.empty()) {
    return;
  }
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  if (watched_ >= 0) {
    loop_.forget(std::exchange(watched_, -1));
  }
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

void HeldMonitor::come_home() {
  if (!connected() || place_ != Place::nowhere) {
    return;
  }
  place_ = Place::home;
  watched_ = client_->fd();
  loop_.watch(watched_, [this] { hear(); });
  hear();
  run_next();
}

void HeldMonitor::hear() {
  while (place_ == Place::home && events_) {
    const auto event = events_->next();
    if (!event) {
      return;
    }
    handle(*event);
  }
}

void HeldMonitor::forget_jobs(const std::string& why) {
  for (Job& job : std::exchange(jobs_, {})) {
    job.done(fail(Errc::not_found, "{}: {}", id_.name, why));
  }
}

void HeldMonitor::lose(const std::string& why) {
  if (watched_ >= 0) {
    loop_.forget(std::exchange(watched_, -1));
  }
  end_guardian();  // they hold the connection open as well
  drop_look_ahead();
  events_.reset();
  client_.reset();
  place_ = Place::nowhere;
  set_ = {};
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

void HeldMonitor::handle(const GuestEvent& event) {
  if (event.kind == Kind::connection_lost) {
    calls_.on_event(id_, event);
    lose(event.details);
    return;
  }
  if (event.found) {
    on_found(event);
    return;
  }
  const auto wanted = qmp::wanted_by(parse_details(event.details));
  if (event.kind == Kind::shutdown && may_trap() && wanted) {
    trap(*wanted, event);
    return;
  }
  calls_.on_event(id_, event);
}

void HeldMonitor::on_found(const GuestEvent& event) {
  id_.name = event.name.empty() ? socket_.stem().string() : event.name;
  id_.uuid = event.uuid;
  if (event.kind == Kind::shutdown && may_trap()) {
    on_found_standing(event);
    return;
  }
  if (event.kind == Kind::reset && trapped_ && !trapped_->told) {  // the connection was lost in it
    trapped_->event = event;
    carry_on("its reset had begun");
    return;
  }
  trapped_.reset();
  calls_.on_event(id_, event);
  calls_.on_listed(id_.from);
}

// In the trap, as it seems. The service hears of it when it is known how the kernel ended, for what
// a record says of its crash would not hold of a guest that runs.
void HeldMonitor::on_found_standing(const GuestEvent& event) {
  if (trapped_ && !trapped_->told) {
    trap(trapped_->wanted, event);
  } else if (trapped_) {  // only the connection was lost
    trapped_->event = event;
    tell_found(Kind::reset_trapped);
  } else if (wish_.stays && wish_.stays == process_) {
    trapped_ = {.event = event, .told = true};
    stays_ = true;
    instruct_guardian();
    tell_found(Kind::reset_trapped);
  } else {
    // Its event is not known; its memory tells more (judge()).
    trap(wanted_by_end(fail(Errc::not_found, "not looked at"), before_), event);
  }
}

void HeldMonitor::tell_found(Kind kind) {
  GuestEvent found = trapped_->event;
  found.kind = kind;
  found.name = id_.name;
  found.uuid = id_.uuid;
  calls_.on_event(id_, found);
  calls_.on_listed(id_.from);
}

void HeldMonitor::tell(GuestEvent event) {
  event.name = id_.name;
  event.uuid = id_.uuid;
  handle(event);
}

// Lending

Result<LentGuest> HeldMonitor::lend() {
  if (place_ != Place::home || !jobs_.empty()) {
    // A QEMU that is there is connected again soon.
    return fail(connected() || known_ ? Errc::busy : Errc::not_found, "{}: its monitor is {}",
                id_.name, connected() ? "in use" : "not connected");
  }
  if (Result<> settled = client_->settle(kSettle); !settled) {
    return in_context(std::move(settled).error(), id_.name);
  }
  loop_.forget(std::exchange(watched_, -1));
  place_ = Place::lent;
  LentGuest lent{
      .words = {"--qmp", socket_.string(), "--monitor-fd", std::to_string(client_->fd())},
      .fds = {client_->fd()}};
  if (guardian_) {
    lent.fds.push_back(guardian_.fd());
  }
  return lent;
}

void HeldMonitor::take_back(bool usable) {
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

// Arming, and the trap

qmp::RunActions HeldMonitor::actions_now() const {
  if (!wish_.armed) {
    return set_.trap ? before_ : qmp::RunActions{.panic = before_.panic};
  }
  // No trap without a guardian.
  return wish_.trap && guardian_ ? qmp::kTrap
                                 : qmp::RunActions{before_.reboot, before_.shutdown, "pause"};
}

void HeldMonitor::end_guardian() {
  if (guardian_) {
    loop_.forget(guardian_.fd());
    guardian_.end();
  }
}

void HeldMonitor::end_spare_guardian() {
  if (!trapped_ && !wish_.trap) {
    set_.trap = false;
    end_guardian();
    drop_look_ahead();
  }
}

// What it does with the guest if this process ends now.
void HeldMonitor::instruct_guardian() {
  guardian_.say(stays_                                   ? guardian::kLeave
                : !trapped_                              ? guardian::kNothing
                : trapped_->wanted == qmp::Wanted::reset ? guardian::kReset
                                                         : guardian::kShutdown);
}

Result<> HeldMonitor::guard() {
  if (guardian_) {
    return {};
  }
  TRY_ASSIGN(guardian_, GuardianLine::start(programs_.guardian, client_->fd(), before_));
  instruct_guardian();
  watch_guardian();
  return {};
}

void HeldMonitor::guard_later() {
  loop_.cancel(guard_);
  guard_ = loop_.after(kTryAgain, [this] {
    guard_ = 0;
    if (!wish_.trap || guardian_) {
      return;
    }
    if (connected() && guard()) {
      set_wish([](const Result<>&) {});
    } else {
      guard_later();
    }
  });
}

// Nobody but the guest's owner ends it. Another one is started; until then no reset is trapped.
void HeldMonitor::watch_guardian() {
  loop_.watch(guardian_.fd(), [this] { on_guardian_ended(); });
}

void HeldMonitor::on_guardian_ended() {
  missing_ = "its resets are not trapped: its vmcore-guardian has ended";
  note(missing_ + "; another one is started", true);
  loop_.forget(guardian_.fd());
  guardian_ = {};
  drop_look_ahead();  // it holds the other end of its line
  run([back = actions_now()](qmp::Client& monitor) { return qmp::set_actions(monitor, back); },
      [weak = weak_from_this()](const Result<>& set) {
        if (const auto self = weak.lock(); self && set) {
          self->after_events(&HeldMonitor::end_unguarded_trap);
        }
      });
  guard_later();
}

void HeldMonitor::end_unguarded_trap() {
  if (!guardian_ && !trapped_) {
    set_.trap = false;
  }
}

void HeldMonitor::after_events(void (HeldMonitor::*what)()) {
  loop_.after({}, [weak = weak_from_this(), what] {
    if (const auto self = weak.lock()) {
      (self.get()->*what)();
    }
  });
}

void HeldMonitor::set_wish(Done done) {
  const Result<> guarded = wish_.trap && connected() ? guard() : Result<>();
  const ArmWish set_now{.armed = wish_.armed, .trap = wish_.trap && guardian_};
  missing_.clear();
  if (!guarded) {
    missing_ = "its resets are not trapped: " + guarded.error().message;
    guard_later();
  }
  const auto stands = std::make_shared<bool>(false);
  run(
      [actions = actions_now(), stands](qmp::Client& monitor) -> Result<> {
        TRY(qmp::set_actions(monitor, actions));
        TRY_ASSIGN(const std::string status, qmp::status_of(monitor));
        *stands = status == qmp::kTrapped;
        return {};
      },
      [weak = weak_from_this(), set_now, stands, done = std::move(done)](Result<> set) {
        if (const auto self = weak.lock(); self && self->connected()) {
          self->on_wish_set(set_now, set, *stands);
        }
        done(std::move(set));
      });
}

// The event of a guest that stopped in the trap just before it was taken off has come with the
// answer, and is heard next. It is handled to its end, and its guardian stays until then.
void HeldMonitor::on_wish_set(ArmWish set_now, const Result<>& set, bool stands) {
  if (!set) {
    missing_ = set.error().message;
    // A QEMU that did not answer may do it later; one that refused does not.
    if (set.error().code != Errc::io && set.error().code != Errc::unsupported) {
      return;
    }
  } else {
    set_.armed = set_now.armed;
    set_.trap = set_now.trap || set_.trap;
  }
  if (set_.trap && wish_.trap) {
    look_ahead();
  }
  if (stands && !trapped_) {  // since before, unless its event comes now
    stays_ = true;
    instruct_guardian();
  }
  after_events(&HeldMonitor::end_spare_guardian);
}

void HeldMonitor::want(ArmWish wish, Done done) {
  const ArmWish before = std::exchange(wish_, wish);
  set_wish([weak = weak_from_this(), before, done = std::move(done)](Result<> set) {
    if (const auto self = weak.lock(); self && !set) {
      self->wish_ = before;
      self->missing_.clear();
      if (self->connected() && set.error().code == Errc::busy) {
        self->set_wish([](const Result<>&) {});
      }
    }
    done(std::move(set));
  });
}

void HeldMonitor::arm(bool with_trap, Done done) {
  want({.armed = true, .trap = with_trap}, std::move(done));
}

void HeldMonitor::disarm(Done done) {
  if (!connected() && !known_) {  // its QEMU has ended
    wish_ = {};
    done({});
    return;
  }
  want({}, std::move(done));
}

void HeldMonitor::leave() {
  stays_ = true;
  instruct_guardian();
}

void HeldMonitor::leave_trap(bool stays) {
  trapped_.reset();
  stays_ = stays;
  instruct_guardian();
  if (wish_.trap) {
    set_.trap = static_cast<bool>(guardian_);
    look_ahead();
  } else {
    end_spare_guardian();
  }
}

qmp::Course HeldMonitor::course() const {
  return trapped_ ? qmp::course_of(trapped_->wanted, before_) : qmp::Course::stay;
}

void HeldMonitor::trap(qmp::Wanted wanted, const GuestEvent& event) {
  trapped_ = {wanted, event, Loop::Clock::now(), trapped_ ? trapped_->looks : 0};
  stays_ = false;
  instruct_guardian();
  const bool by_host = !qmp::bool_member(parse_details(event.details), "guest").value_or(true);
  if (by_host) {
    carry_on("a reset by the host");
    return;
  }
  const auto runs = std::make_shared<std::optional<bool>>();
  run(
      [runs](qmp::Client& monitor) {
        *runs = kernel_runs(monitor);
        return Result<>();
      },
      [weak = weak_from_this(), runs](const Result<>&) {
        const auto self = weak.lock();
        if (!self || !self->trapped_) {
          return;
        }
        // Firmware resets once more after a reset (SeaBIOS does).
        if (runs->value_or(true)) {
          self->after_events(&HeldMonitor::look);
        } else {
          self->carry_on("its firmware");
        }
      });
}

void HeldMonitor::look() {
  constexpr unsigned kMostLooks = 2;
  if (!trapped_ || trapped_->told || !connected()) {
    return;
  }
  if (trapped_->looks == kMostLooks) {
    carry_on("nobody could look at it");
    return;
  }
  const Result<> started = look_waits() ? go_on_looking() : start_look(false);
  if (started) {
    return;
  }
  if (started.error().code == Errc::busy) {
    constexpr milliseconds kSoon{5};
    loop_.after(kSoon, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->look();
      }
    });
    return;
  }
  note(fmt::format("its kernel cannot be looked at: {}", started.error().message), true);
  carry_on("nobody could look at it");
}

// The monitor is back with the job's last line: its end is not waited for.
Result<> HeldMonitor::start_look(bool ahead) {
  if (look_) {
    return fail(Errc::busy, "{}: the look before has not ended", id_.name);
  }
  TRY_ASSIGN(LentGuest lent, lend());
  looked_ = std::make_shared<TrapLook>();
  auto started =
      JobProcess::start(loop_, programs_.vmcorectl, look_command(std::move(lent), ahead),
                        {.on_text = [this](std::string_view line) { on_look_line(line); },
                         .on_end = [this](const JobExit&) { on_look_ended(); }});
  if (!started) {
    take_back(true);
    return tl::unexpected(std::move(started).error());
  }
  look_ = *std::move(started);
  look_->set_limit(kLookLimit);
  return {};
}

Result<> HeldMonitor::go_on_looking() {
  TRY(lend());  // the job has its descriptors
  looked_->waits = looked_->monitor_usable = false;
  look_->set_limit(kLookLimit);
  look_->go();
  return {};
}

void HeldMonitor::on_look_line(std::string_view line) {
  if (looked_->over) {
    return;
  }
  const bool waited = looked_->waits;
  take_look_line(line, *looked_);
  if (looked_->over) {
    on_look();
  } else if (looked_->waits && !waited) {
    on_look_ready();
  }
}

void HeldMonitor::on_look_ended() {
  const auto process = std::move(look_);  // ends with this call
  if (!looked_->over && !looked_->waits) {
    on_look();
  }
}

void HeldMonitor::on_look_ready() {
  look_->no_limit();
  take_back(looked_->monitor_usable);
  for (const GuestEvent& event : std::exchange(looked_->events, {})) {
    tell(event);
  }
}

void HeldMonitor::on_look() {
  const auto looked = looked_;
  const bool was_trapped = trapped_.has_value();
  if (was_trapped && !looked->monitor_usable) {
    ++trapped_->looks;
  }
  take_back(looked->monitor_usable);
  for (const GuestEvent& event : looked->events) {
    tell(event);
  }
  if (was_trapped && trapped_ && connected()) {
    judge(*looked);
  }
}

void HeldMonitor::judge(const TrapLook& look) {
  if (!look.ending && look.prepared) {  // its memory may have grown, for one
    this->look();
    return;
  }
  if (trapped_->event.found) {
    trapped_->wanted = wanted_by_end(look.ending, before_);
  }
  if (!look.ending) {
    if (look.ending.error().code != Errc::not_found) {
      note(fmt::format("its kernel cannot be looked at: {}", look.ending.error().message), true);
    }
    carry_on("no kernel is known in it");
  } else if (look.ending->end == job::KernelEnd::orderly) {
    carry_on("orderly");
  } else {
    tell_crash(fmt::format("{}{}{}", job::end_name(look.ending->end),
                           look.ending->line.empty() ? "" : ": ", look.ending->line));
  }
}

// The look that counts need not start processes and search memory. Each boot has another kernel.
void HeldMonitor::look_ahead() {
  drop_look_ahead();
  ahead_ = loop_.after(programs_.boot_time, [this] {
    ahead_ = 0;
    if (!set_.trap || trapped_ || !connected()) {
      return;
    }
    if (const Result<> started = start_look(true); !started && started.error().code == Errc::busy) {
      look_ahead();
    }
  });
}

void HeldMonitor::drop_look_ahead() {
  loop_.cancel(std::exchange(ahead_, 0));
  if (look_waits()) {
    looked_->over = true;
    look_->end();
  }
}

void HeldMonitor::tell_crash(const std::string& how) {
  trapped_->told = true;
  stays_ = course() == qmp::Course::stay;
  instruct_guardian();
  note(fmt::format("it was stopped before it {}: {}",
                   trapped_->wanted == qmp::Wanted::reset ? "reset" : "powered off", how));
  if (trapped_->event.found) {
    tell_found(Kind::reset_trapped);
    return;
  }
  GuestEvent crash = trapped_->event;
  crash.kind = Kind::reset_trapped;
  crash.name = id_.name;
  crash.uuid = id_.uuid;
  calls_.on_event(id_, crash);
}

// Tried until it is done: nobody else carries the guest on while this process lives.
void HeldMonitor::carry_on(const char* why) {
  if (!trapped_) {
    return;
  }
  run(
      [course = course(), then = actions_now()](qmp::Client& monitor) -> Result<> {
        TRY_ASSIGN(const std::string status, qmp::status_of(monitor));
        // Else somebody has carried it on.
        return status == qmp::kTrapped || status == qmp::kWasReset
                   ? qmp::follow(monitor, course, then)
                   : qmp::set_actions(monitor, then);
      },
      [weak = weak_from_this(), why](const Result<>& followed) {
        const auto self = weak.lock();
        if (!self || !self->trapped_) {
          return;
        }
        if (followed) {
          self->on_carried_on(why);
          return;
        }
        self->note(fmt::format("it stands still: {}", followed.error().message), true);
        self->loop_.after(kTryAgain, [weak, why] {
          if (const auto again = weak.lock(); again && again->connected()) {
            again->carry_on(why);
          }
        });
      });
}

void HeldMonitor::on_carried_on(const char* why) {
  note(fmt::format("{} was carried out after {:.1f} ms ({})",
                   trapped_->wanted == qmp::Wanted::reset ? "its reset" : "its power-off",
                   milliseconds_since(trapped_->since), why));
  const bool stays = course() == qmp::Course::stay;
  const GuestEvent event = trapped_->event;
  if (event.found) {
    tell_found(stays ? Kind::shutdown : Kind::started);
  } else if (stays) {
    calls_.on_event(id_, event);
  }
  leave_trap(stays);
}

// Policy

config::AfterCrash HeldMonitor::wanted() const {
  return trapped_ ? after_trap(course()) : after_panic(before_);
}

namespace {

Result<> restart(qmp::Client& monitor, const qmp::RunActions& then) {
  Result<> done = qmp::reset_guest(monitor, then);
  if (done || done.error().code != Errc::unsupported) {
    return done;
  }
  // Before QEMU 6.0: -no-reboot is for good.
  TRY(monitor.execute("system_reset"));
  TRY(monitor.execute("cont"));
  return {};
}

Result<> check_stopped(qmp::Client& monitor) {
  TRY_ASSIGN(const std::string status, qmp::status_of(monitor));
  return status == "running" ? fail(Errc::guest_state, "the guest runs: somebody has carried it on")
                             : Result<>();
}

// QEMU carries out a command that it has received, however late: whoever gave up on it would give
// the command again.
class Patience {
 public:
  explicit Patience(qmp::Client& monitor) : monitor_(monitor) {
    monitor_.set_patience(std::chrono::hours(24 * 365));
  }
  ~Patience() { monitor_.set_patience(qmp::kCommandTimeout); }
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

 private:
  qmp::Client& monitor_;
};

Result<> simple(qmp::Client& monitor, const char* command) {
  TRY(monitor.execute(command));
  return {};
}

}  // namespace

void HeldMonitor::act(GuestDeed deed, bool only_if_stopped, Done done) {
  // A guest in the trap cannot just run on.
  const bool follows = trapped_ && deed == GuestDeed::resume;
  const bool stays = follows && course() == qmp::Course::stay;
  const auto work = [deed, only_if_stopped, follows, course = course(),
                     then = actions_now()](qmp::Client& monitor) -> Result<> {
    const Patience patience(monitor);
    if (only_if_stopped) {
      TRY(check_stopped(monitor));
    }
    if (follows) {
      return qmp::follow(monitor, course, then);
    }
    switch (deed) {
      case GuestDeed::restart:
        return restart(monitor, then);
      case GuestDeed::destroy:
        return qmp::quit(monitor);
      case GuestDeed::resume:
        return qmp::resume(monitor);
      case GuestDeed::nmi:
        return simple(monitor, "inject-nmi");
    }
    return {};
  };
  run(work, [weak = weak_from_this(), stays, done = std::move(done)](Result<> acted) {
    if (const auto self = weak.lock(); self && acted) {
      self->leave_trap(stays);
    }
    done(std::move(acted));
  });
}

}  // namespace vmcore::daemon
