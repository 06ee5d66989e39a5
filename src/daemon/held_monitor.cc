// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/held_monitor.h"

#include <algorithm>
#include <utility>

#include "src/acquire/qmp/registers.h"
#include "src/daemon/after_crash.h"
#include "src/daemon/guest_machine.h"
#include "src/guardian/line.h"

namespace vmcore::daemon {
namespace {

using acquire::GuestEvent;
using Kind = GuestEvent::Kind;
using std::chrono::milliseconds;

// What QEMU did not do, or a guardian that has ended.
constexpr std::chrono::seconds kTryAgain{5};

double milliseconds_since(Loop::Clock::time_point since) {
  return std::chrono::duration<double, std::milli>(Loop::Clock::now() - since).count();
}

qmp::Json parse_details(const std::string& details) {
  return qmp::parse_object(details).value_or(qmp::Json::object());
}

}  // namespace

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
    : loop_(loop),
      socket_(std::move(socket)),
      programs_(programs),
      calls_(calls),
      line_(std::make_shared<MonitorLine>(loop, socket_, id_.name)) {
  id_.from = socket_.string();
  id_.name = socket_.stem().string();
}

HeldMonitor::~HeldMonitor() {
  line_->close();
  loop_.cancel(ahead_);
  loop_.cancel(guard_);
  if (guardian_) {
    loop_.forget(guardian_.fd());
  }
}

void HeldMonitor::note(const std::string& text, bool bad) const {
  calls_.on_note(fmt::format("{}: {}", id_.name, text), bad);
}

// The line

void HeldMonitor::begin() { line_->begin(weak_from_this()); }

void HeldMonitor::on_unusable(const Error& error) {
  calls_.on_note(fmt::format("its socket cannot be watched: {}", error.message), true);
}

void HeldMonitor::on_ended() {
  trapped_.reset();
  stays_ = false;
  calls_.on_event(id_, {.kind = Kind::stopped, .name = id_.name, .uuid = id_.uuid});
}

void HeldMonitor::on_connected(qmp::RunActions before) {
  before_ = std::move(before);
  set_ = {};
  // Sets the wish before it hears events: then it knows that a guest stands in the trap.
  if (wish_.armed) {
    set_wish([weak = weak_from_this()](const Result<>& set) {
      if (const auto self = weak.lock(); self && !set) {
        self->note(fmt::format("it is not armed: {}", set.error().message), true);
      }
    });
  }
}

void HeldMonitor::on_lost() {
  end_guardian();  // they hold the connection open as well
  drop_look_ahead();
  set_ = {};
}

void HeldMonitor::on_event(const GuestEvent& event) {
  if (event.kind == Kind::connection_lost) {
    calls_.on_event(id_, event);
    line_->lose(event.details);
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
  } else if (wish_.stays && wish_.stays == line_->process()) {
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
  on_event(event);
}

Result<LentGuest> HeldMonitor::lend() {
  TRY_ASSIGN(const int monitor, line_->lend());
  LentGuest lent{.words = {"--qmp", socket_.string(), "--monitor-fd", std::to_string(monitor)},
                 .fds = {monitor}};
  if (guardian_) {
    lent.fds.push_back(guardian_.fd());
    lent.words.insert(lent.words.end(), {"--hold-fd", std::to_string(guardian_.fd())});
  }
  return lent;
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
  TRY_ASSIGN(guardian_, GuardianLine::start(programs_.guardian, line_->fd(), before_));
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
  line_->run(
      [back = actions_now()](qmp::Client& monitor) { return qmp::set_actions(monitor, back); },
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
  line_->run(
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
  if (!line_->has_guest()) {  // its QEMU has ended
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
  line_->run(
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
    line_->take_back(true);
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
  line_->take_back(looked_->monitor_usable);
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
  line_->take_back(looked->monitor_usable);
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
  line_->run(
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
  line_->run(work, [weak = weak_from_this(), stays, done = std::move(done)](Result<> acted) {
    if (const auto self = weak.lock(); self && acted) {
      self->leave_trap(stays);
    }
    done(std::move(acted));
  });
}

}  // namespace vmcore::daemon
