// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/guest_machine.h"

#include <algorithm>
#include <utility>

#include "src/daemon/after_crash.h"

namespace vmcore::daemon {
namespace {

using acquire::GuestEvent;
using config::AfterCrash;
using config::OnHang;
using std::chrono::seconds;
using Kind = GuestEvent::Kind;

constexpr seconds kFlashTime{120};
// Of a look that gave no answer, and how often.
constexpr seconds kLookAgain{60};
constexpr unsigned kMostLooks = 3;
constexpr seconds kBusyWait{2};  // another vmcorectl has the guest
constexpr unsigned kMostTries = 30;
constexpr seconds kLongestDeedWait{60};
constexpr unsigned kMostDeeds = 10;
constexpr unsigned kMostAsked = 10;  // once a second
constexpr seconds kLeastReboot{60};
// A watchdog that does nothing expires again and again.
constexpr std::chrono::microseconds kHangEvery = std::chrono::minutes(10);

// Nothing as long as the owner's wish is not known.
std::optional<AfterCrash> resolved(AfterCrash wanted, std::optional<AfterCrash> owner_wants) {
  return wanted == AfterCrash::as_domain ? owner_wants : std::optional(wanted);
}

GuestDeed deed_of(AfterCrash after) {
  return after == AfterCrash::destroy  ? GuestDeed::destroy
         : after == AfterCrash::resume ? GuestDeed::resume
                                       : GuestDeed::restart;
}

GuestPhase phase_of(const GuestEvent& event) {
  return event.kind == Kind::crash_loaded    ? GuestPhase::crash_loaded
         : event.kind == Kind::panicked_runs ? GuestPhase::panicked_runs
         : event.kind == Kind::reset_trapped ? GuestPhase::reset_trapped
                                             : GuestPhase::panicked;
}

bool stands_still(const GuestEvent& event) {
  return event.kind == Kind::panicked || event.kind == Kind::reset_trapped;
}

// libvirt's word for a domain that its on_crash ended. That action may have been changed since it
// was asked for.
constexpr std::string_view kCrashed = "crashed";

// Why memory was gone at once, and what helps.
std::string with_hint(std::string why, bool by_on_crash, const GuestFacts& facts) {
  const bool ends = by_on_crash || facts.owner_wants == AfterCrash::destroy ||
                    facts.owner_wants == AfterCrash::restart;
  return ends && !facts.armed ? why + "; vmcorectl arm keeps its memory until it is read" : why;
}

}  // namespace

std::string_view phase_name(GuestPhase phase) {
  switch (phase) {
    case GuestPhase::gone:
      return "gone";
    case GuestPhase::watched:
      return "watched";
    case GuestPhase::looked_at:
      return "looked-at";
    case GuestPhase::panicked:
      return "panicked";
    case GuestPhase::panicked_runs:
      return "panicked-runs";
    case GuestPhase::crash_loaded:
      return "crash-loaded";
    case GuestPhase::reset_trapped:
      return "reset-trapped";
    case GuestPhase::hung:
      return "hung";
    case GuestPhase::kept:
      return "kept";
    case GuestPhase::lost:
      return "lost";
  }
  return "";
}

std::string_view deed_name(GuestDeed deed) {
  switch (deed) {
    case GuestDeed::restart:
      return "restart";
    case GuestDeed::destroy:
      return "destroy";
    case GuestDeed::resume:
      return "resume";
    case GuestDeed::nmi:
      return "nmi";
  }
  return "";
}

Actions GuestMachine::on_event(const GuestEvent& event, const GuestFacts& facts) {
  switch (event.kind) {
    case Kind::panicked:
    case Kind::panicked_runs:
    case Kind::reset_trapped:
      on_panic(event, facts);
      break;
    case Kind::crash_loaded:
      on_crash_loaded(event, facts);
      break;
    case Kind::after_crash:
      on_after_crash(event, facts);
      break;
    case Kind::reset:
      if (!event.found || !is_amid_restart(facts)) {
        leave("the guest was reset", GuestPhase::watched, facts);
      } else if (!crash_) {
        take_up(event, facts);
      }
      break;
    case Kind::shutdown:
      leave("the guest was shut down", GuestPhase::gone, facts);
      break;
    case Kind::watchdog:
      on_watchdog(event, facts);
      break;
    case Kind::started:
      on_started(event, facts);
      break;
    case Kind::stopped:
      on_stopped(event, facts);
      break;
    case Kind::connection_lost:
      break;  // what is known of it stays, until it is found again
  }
  return take();
}

void GuestMachine::on_panic(const GuestEvent& event, const GuestFacts& facts) {
  if (!crash_) {
    event.found&& was_handled(facts) ? take_up(event, facts) : begin_as_told(event, facts);
    return;
  }
  if (crash_->phase == GuestPhase::looked_at) {
    on_crash_in_look(event, facts);
    return;
  }
  if (crash_->phase == GuestPhase::hung && crash_->left.empty()) {
    crash_->left = "the guest panicked after it hung";
  }
  if (!crash_->left.empty() || !crash_->left_in_deed.empty()) {
    again_ = event;
    return;
  }
  crash_->stopped = crash_->stopped || stands_still(event);
  if (crash_->phase == GuestPhase::crash_loaded && !event.found) {  // its capture kernel panicked
    if (crash_->job_runs && crash_->job == JobKind::receive) {
      add(EndJob{});
    } else if (waiting_ == Waiting::reboot) {
      waiting_ = Waiting::nothing;
      carry_out_policy(facts);
    }
  }
}

void GuestMachine::on_crash_loaded(const GuestEvent& event, const GuestFacts& facts) {
  if (!crash_) {
    begin_as_told(event, facts);
  } else if (crash_->phase == GuestPhase::looked_at) {
    on_crash_in_look(event, facts);
  } else if (!crash_->left.empty() || !crash_->left_in_deed.empty()) {
    again_ = event;
  }
}

// Nothing is to be found out any more.
void GuestMachine::on_crash_in_look(const GuestEvent& event, const GuestFacts& facts) {
  if (crash_->job_runs) {
    again_ = event;
    add(EndJob{});
  } else {
    waiting_ = Waiting::nothing;
    begin_as_told(event, facts);
  }
}

void GuestMachine::on_after_crash(const GuestEvent& event, const GuestFacts& facts) {
  if (crash_) {
    if (crash_->stopped) {
      leave("the guest runs again: somebody carried it on", GuestPhase::watched, facts);
    }
    return;
  }
  phase_ = GuestPhase::watched;
  if (!was_handled(facts) || !recorded_->policy_due.empty()) {
    crash_ = Crash{.event = event, .phase = GuestPhase::looked_at, .has_policy = false};
    phase_ = GuestPhase::looked_at;
    start_job(JobKind::look);
  }
}

void GuestMachine::on_watchdog(const GuestEvent& event, const GuestFacts& facts) {
  const auto time = static_cast<std::uint64_t>(event.time.count());
  const auto every = static_cast<std::uint64_t>(kHangEvery.count());
  const bool again = last_hang_us_ && time < *last_hang_us_ + every;
  if (crash_ || again || nmi_) {
    return;
  }
  last_hang_us_ = time;
  if (policy_.on_hang == OnHang::nmi) {
    phase_ = GuestPhase::hung;
    nmi_ = true;
    add(Say{false, "its watchdog expired: it gets an NMI"});
    add(DoDeed{GuestDeed::nmi});
    return;
  }
  begin(event, GuestPhase::hung, policy_.on_hang == OnHang::dump ? JobKind::dump : JobKind::flash,
        facts);
}

void GuestMachine::on_started(const GuestEvent& event, const GuestFacts& facts) {
  if (event.found && crash_ && !crash_->stopped) {
    return;  // that it runs says nothing
  }
  leave(event.found ? "the guest runs again: somebody carried it on"
                    : "the guest was started with another QEMU",
        GuestPhase::watched, facts);
}

void GuestMachine::on_stopped(const GuestEvent& event, const GuestFacts& facts) {
  if (!crash_ && !event.found && event.details == kCrashed) {
    on_ended_by_crash(event, facts);
    return;
  }
  if (!crash_ && event.found && recorded_ && !recorded_->settled) {
    add(Say{true,
            "its QEMU ended while vmcored did not run: of its crash, what the job had written "
            "is in the store"});
  }
  if (crash_ && crash_->left.empty()) {
    crash_->by_on_crash = event.details == kCrashed;
  }
  const std::string how = event.details.empty() ? "" : " (" + event.details + ")";
  leave("its QEMU has ended" + how, GuestPhase::gone, facts);
}

void GuestMachine::on_ended_by_crash(const GuestEvent& event, const GuestFacts& facts) {
  crash_ = Crash{.event = event,
                 .has_policy = false,
                 .left = "its QEMU was ended at once",
                 .by_on_crash = true};
  after_ = GuestPhase::gone;
  settle(facts);
}

void GuestMachine::leave(const std::string& why, GuestPhase then, const GuestFacts& facts) {
  after_ = then;
  if (std::exchange(again_, std::nullopt)) {
    add(Say{true, "its next crash is lost: " + why + " before its memory was read"});
  }
  if (!crash_ || (crash_->phase == GuestPhase::looked_at && !crash_->job_runs)) {
    crash_.reset();
    waiting_ = Waiting::nothing;
    phase_ = then;
    forget();
    return;
  }
  if (crash_->acting) {  // it may be our own deed
    crash_->left_in_deed = why;
    return;
  }
  if (crash_->left.empty()) {
    crash_->left = why;
  }
  if (crash_->read) {
    let_job_finish();
  }
  if (then == GuestPhase::watched && crash_->flash_told) {
    leave_memory();
  }
  if (crash_->told) {
    crash_.reset();
    phase_ = then;
    forget();
  } else if (waiting_ == Waiting::job) {
    waiting_ = Waiting::nothing;
    settle(facts);
  } else if (waiting_ != Waiting::nothing) {
    waiting_ = Waiting::nothing;
    carry_out_policy(facts);
  }
}

// What is in memory from now on is of the next boot.
void GuestMachine::leave_memory() {
  if (crash_->job_runs && crash_->job == JobKind::dump && !crash_->read) {
    add(EndJob{});
  }
}

bool GuestMachine::was_handled(const GuestFacts& facts) const {
  return recorded_ && recorded_->settled && recorded_->process && facts.process &&
         *recorded_->process == *facts.process;
}

bool GuestMachine::is_open(const GuestFacts& facts) const {
  return recorded_ && !recorded_->settled && !recorded_->policy_due.empty() && recorded_->process &&
         recorded_->process == facts.process;
}

// Whether a guest that stands still after a reset does so because its restart broke off: the
// monitor was lost in it, or vmcored was killed. Nobody else would carry it on.
bool GuestMachine::is_amid_restart(const GuestFacts& facts) const {
  if (crash_) {
    return crash_->deeds > 0 && crash_->left.empty() && crash_->outcome.policy.action.empty();
  }
  return recorded_ && !recorded_->policy_due.empty() && recorded_->process && facts.process &&
         *recorded_->process == *facts.process &&
         resolved(policy_.after_crash, facts.owner_wants) == AfterCrash::restart;
}

// A crash that a vmcored before this one has settled, or whose restart it had begun.
void GuestMachine::take_up(const GuestEvent& event, const GuestFacts& facts) {
  crash_ = Crash{.event = event, .phase = phase_of(event)};
  crash_->stopped = stands_still(event) || event.kind == Kind::reset;
  crash_->taken_up = crash_->over = true;
  adopt();
  crash_->outcome.id = recorded_->id;
  phase_ = recorded_->id.empty() ? GuestPhase::lost : GuestPhase::kept;
  crash_->told = recorded_->policy_due.empty();
  if (crash_->told) {
    add(Leave{});
  } else {
    add(Say{false, "its crash was handled before; its policy is still due"});
    carry_out_policy(facts);
  }
}

void GuestMachine::begin_as_told(const GuestEvent& event, const GuestFacts& facts) {
  const GuestPhase phase = phase_of(event);
  begin(event, phase, phase == GuestPhase::crash_loaded ? JobKind::receive : JobKind::dump, facts);
}

void GuestMachine::begin(const GuestEvent& event, GuestPhase phase, JobKind job,
                         const GuestFacts& facts) {
  crash_ = Crash{.event = event, .phase = phase};
  crash_->stopped = stands_still(event);
  crash_->has_policy = phase != GuestPhase::hung;
  if (event.found && is_open(facts)) {
    crash_->in_parts = true;
    crash_->event.time = std::chrono::microseconds(recorded_->time_us);
  } else {
    adopt();
  }
  phase_ = phase;
  after_ = GuestPhase::watched;
  waiting_ = Waiting::nothing;
  add(Say{false, fmt::format("{}{}{}", phase_name(phase), event.found ? ", when it was found" : "",
                             event.details.empty() ? "" : ": " + event.details)});
  if (crash_->stopped && resolved(policy_.after_crash, facts.owner_wants) == AfterCrash::preserve) {
    add(Leave{});
  }
  start_job(job);
  remember(facts);  // which syncs: a crash that is not recorded yet is begun again, as this one is
}

void GuestMachine::start_job(JobKind kind) {
  crash_->job = kind;
  crash_->job_runs = true;
  crash_->finishes = false;
  ++crash_->tries;
  const seconds limit = kind == JobKind::dump      ? policy_.dump_limit
                        : kind == JobKind::receive ? policy_.kdump_limit
                        : kind == JobKind::look    ? policy_.dump_limit
                                                   : kFlashTime;
  add(StartJob{kind, crash_->event, limit});
}

void GuestMachine::let_job_finish() {
  if (crash_->job_runs && !std::exchange(crash_->finishes, true)) {
    add(FinishJob{});
  }
}

void GuestMachine::wait(seconds time, Waiting what) {
  waiting_ = what;
  add(Wait{time});
}

Actions GuestMachine::on_job(const JobNews& told, const GuestFacts& facts) {
  if (crash_ && crash_->job_runs) {
    std::visit([&](const auto& one) { news(one, facts); }, told);
  }
  return take();
}

std::optional<std::uint64_t> GuestMachine::since(const GuestFacts& facts) const {
  const auto time = static_cast<std::uint64_t>(crash_->event.time.count());
  return crash_->event.found || crash_->taken_up || facts.now_us < time
             ? std::nullopt
             : std::optional(facts.now_us - time);
}

void GuestMachine::news(const JobFlash& flash, const GuestFacts& facts) {
  crash_->outcome.signature = flash.signature;
  if (flash.kept) {
    crash_->outcome.to_flash_us = since(facts);
    add(Say{false, "its flash report is kept: " + flash.signature.title});
  } else {
    add(Say{true, "its flash report is not kept: " + flash.why});
  }
  crash_->flash_told = true;
  if (!crash_->left.empty()) {
    leave_memory();
  }
}

void GuestMachine::news(const JobMemoryRead&, const GuestFacts& facts) {
  crash_->read = true;
  carry_out_policy(facts);
}

void GuestMachine::news(const JobStreams&, const GuestFacts&) { let_job_finish(); }

void GuestMachine::news(const JobLooked& looked, const GuestFacts& facts) {
  crash_->job_runs = false;
  if (!looked.panicked && !again_ && crash_->left.empty() && crash_->tries < kMostLooks) {
    add(Say{true, "libvirt reports a crash, and the memory of the guest gave no answer yet: " +
                      looked.panicked.error().message});
    wait(kLookAgain, Waiting::job);
    return;
  }
  const Crash crash = std::move(*crash_);
  crash_.reset();
  if (const auto again = std::exchange(again_, std::nullopt)) {  // it panicked meanwhile
    begin_as_told(*again, facts);
    return;
  }
  if (crash.left.empty() && looked.panicked && *looked.panicked) {
    was_handled(facts) ? take_up(crash.event, facts)
                       : begin(crash.event, GuestPhase::panicked_runs, JobKind::dump, facts);
    return;
  }
  phase_ = crash.left.empty() ? GuestPhase::watched : after_;
  if (crash.left.empty() && !looked.panicked) {
    // What is recorded stays: nobody knows better.
    add(Say{true,
            "whether it crashed is not known, and nothing is done: its memory gives no "
            "answer: " +
                looked.panicked.error().message});
    return;
  }
  forget();
}

void GuestMachine::news(const JobEnded& ended, const GuestFacts& facts) {
  Crash& crash = *crash_;
  crash.job_runs = false;
  if (crash.job == JobKind::look) {
    return news(JobLooked{fail(Errc::io, "the job that looks at its memory gave no answer")},
                facts);
  }
  if (!ended.id.empty()) {
    crash.outcome.id = ended.id;
    crash.outcome.whole = ended.whole;
    crash.outcome.left_out = ended.left_out;
  }
  crash.outcome.why = ended.error ? ended.error->message : "";
  const bool stands = crash.left.empty();
  const bool busy = ended.error && ended.error->code == Errc::busy;
  if (busy && ended.id.empty() && stands && crash.tries < kMostTries) {
    wait(kBusyWait, Waiting::job);
  } else if (crash.job == JobKind::receive && !ended.whole && stands) {
    add(Say{false, "its capture kernel sent no complete dump, so it is dumped from outside: " +
                       crash.outcome.why});
    crash.tries = 0;
    start_job(JobKind::dump);
  } else {
    settle(facts);
  }
}

void GuestMachine::news(const JobDied& died, const GuestFacts& facts) {
  if (crash_->job == JobKind::look) {
    return news(JobLooked{fail(Errc::io, "the job that looks at its memory: {}", died.how)}, facts);
  }
  crash_->job_runs = false;
  crash_->died = died;
  add(Say{true, "its job ended without a report: " + died.how});
  add(Recover{});
}

Actions GuestMachine::on_recovered(const std::string& id, const GuestFacts& facts) {
  if (!crash_ || crash_->over || crash_->job_runs) {
    return take();
  }
  if (!id.empty()) {
    crash_->outcome.id = id;
  }
  crash_->outcome.why = "its job ended without a report: " + crash_->died.how;
  // Its memory is still there, also if it was read.
  const bool again = crash_->left.empty() && !crash_->acting && !crash_->died.overdue;
  if (again && crash_->tries < 2) {
    crash_->read = false;
    crash_->in_parts = true;
    crash_->part = id;
    start_job(crash_->job);
  } else {
    settle(facts);
  }
  return take();
}

void GuestMachine::settle(const GuestFacts& facts) {
  Crash& crash = *crash_;
  crash.over = true;
  CrashOutcome& outcome = crash.outcome;
  outcome.event = crash.event;
  outcome.phase = crash.phase;
  if (!outcome.whole && !crash.left.empty() && !crash.read) {
    outcome.why = with_hint(crash.left + " before its memory was read", crash.by_on_crash, facts);
  }
  if (outcome.id.empty()) {
    add(Say{true, "its crash is lost: " + outcome.why});
  } else {
    outcome.to_kept_us = since(facts);
    add(Say{!outcome.whole,
            fmt::format("kept as {}{}{}", outcome.id,
                        outcome.left_out.empty() ? "" : "; memory: " + outcome.left_out,
                        outcome.why.empty() ? "" : ", not complete: " + outcome.why)});
  }
  if (crash.in_parts && outcome.whole) {
    add(RemoveParts{
        {outcome.id, static_cast<std::uint64_t>(crash.event.time.count()), crash.part}});
  }
  phase_ = outcome.id.empty() ? GuestPhase::lost : GuestPhase::kept;
  remember(facts);
  if (crash.phase == GuestPhase::crash_loaded && crash.left.empty() && !crash.stopped) {
    const seconds gone(since(facts).value_or(0) / 1'000'000);
    wait(std::max(kLeastReboot, policy_.kdump_limit - gone), Waiting::reboot);
    return;
  }
  carry_out_policy(facts);
  tell_if_done(facts);
}

void GuestMachine::carry_out_policy(const GuestFacts& facts) {
  Crash& crash = *crash_;
  if (!crash.has_policy || crash.acting || waiting_ != Waiting::nothing ||
      !crash.outcome.policy.action.empty()) {
    return;
  }
  const bool reboots = crash.phase == GuestPhase::crash_loaded && !crash.stopped;  // by itself
  if (!crash.left.empty()) {
    const auto known = resolved(policy_.after_crash, facts.owner_wants);
    end_policy(
        {.action = std::string(config::after_crash_name(known.value_or(policy_.after_crash))),
         .error = "not carried out: " + crash.left},
        facts);
    return;
  }
  const auto wanted = this->wanted(facts);
  if (!wanted) {
    wait(seconds(1), Waiting::deed);
    return;
  }
  const std::string name(config::after_crash_name(*wanted));
  if (!crash.over && (wanted == AfterCrash::destroy || !crash.read || reboots)) {
    return;
  }
  if (wanted == AfterCrash::preserve || (wanted == AfterCrash::resume && !crash.stopped)) {
    if (wanted == AfterCrash::preserve && crash.stopped) {
      add(Leave{});
    }
    end_policy({.action = name, .done = true}, facts);
  } else {
    crash.acting = true;
    ++crash.deeds;
    let_job_finish();  // the guest will not stand in this crash any more
    crash.deed = deed_of(*wanted);
    add(DoDeed{crash.deed, crash.stopped});
  }
}

// A guest must not stay dead because nobody can be asked.
std::optional<AfterCrash> GuestMachine::wanted(const GuestFacts& facts) {
  Crash& crash = *crash_;
  const auto known = resolved(policy_.after_crash, facts.owner_wants);
  if (known || ++crash.asked < kMostAsked) {
    crash.why.clear();
    return known;
  }
  if (crash.why.empty()) {
    crash.why = "after-crash-default: what its owner wants is not known";
    add(Say{true, fmt::format("what its owner wants after a crash is not known: {} "
                              "(after-crash-default)",
                              config::after_crash_name(policy_.after_crash_default))});
  }
  return policy_.after_crash_default;
}

Actions GuestMachine::on_deed(GuestDeed deed, const Result<>& done, const GuestFacts& facts) {
  if (deed == GuestDeed::nmi || !crash_ || !crash_->acting) {
    nmi_ = nmi_ && deed != GuestDeed::nmi;
    if (!done) {
      add(Say{true, fmt::format("{}: {}", deed_name(deed), done.error().message)});
    }
    return take();
  }
  Crash& crash = *crash_;
  crash.acting = false;
  report::PolicyOutcome outcome{.action = std::string(deed_name(crash.deed))};
  if (done) {
    crash.left = "its policy was carried out";
    after_ = crash.deed == GuestDeed::destroy ? GuestPhase::gone : GuestPhase::watched;
    outcome.done = true;
    outcome.to_running_us = crash.deed == GuestDeed::destroy ? std::nullopt : since(facts);
    add(Say{false, "its policy is carried out: " + outcome.action});
    end_policy(std::move(outcome), facts);
    return take();
  }
  outcome.error = done.error().message;
  if (done.error().code == Errc::guest_state) {
    crash.left_in_deed = outcome.error;
  }
  crash.left = crash.left_in_deed;
  add(Say{crash.left.empty(), fmt::format("{}: {}", outcome.action, outcome.error)});
  if (!crash.left.empty() || crash.deeds >= kMostDeeds) {
    end_policy(std::move(outcome), facts);
  } else {
    wait(std::min(kLongestDeedWait, seconds(1U << crash.deeds)), Waiting::deed);
  }
  return take();
}

void GuestMachine::end_policy(report::PolicyOutcome outcome, const GuestFacts& facts) {
  outcome.why = crash_->why;
  crash_->outcome.policy = std::move(outcome);
  remember(facts);
  tell_if_done(facts);
}

void GuestMachine::tell_if_done(const GuestFacts& facts) {
  if (!crash_) {
    return;  // its policy's end has told it
  }
  Crash& crash = *crash_;
  const bool due = crash.has_policy && crash.outcome.policy.action.empty();
  if (!crash.over || crash.told || due) {
    return;
  }
  crash.told = true;
  if (!crash.outcome.id.empty() && crash.has_policy) {
    add(NotePolicy{crash.outcome.id, crash.outcome.policy});
  }
  if (!crash.taken_up) {
    add(Settle{crash.outcome});
  }
  if (crash.left.empty() && crash.phase != GuestPhase::hung) {
    return;  // it stands as it is
  }
  crash_.reset();
  phase_ = after_;
  forget();
  if (const auto again = std::exchange(again_, std::nullopt)) {
    begin_as_told(*again, facts);
  }
}

Actions GuestMachine::on_timer(const GuestFacts& facts) {
  const Waiting what = std::exchange(waiting_, Waiting::nothing);
  if (!crash_ || what == Waiting::nothing) {
    return take();
  }
  if (what == Waiting::job) {
    start_job(crash_->job);
  } else {
    carry_out_policy(facts);
  }
  return take();
}

void GuestMachine::adopt() {
  if (std::exchange(is_orphan_, false)) {
    add(Adopt{recorded_->time_us});
  }
}

void GuestMachine::remember(const GuestFacts& facts) {
  if (!crash_->has_policy) {
    return;
  }
  is_orphan_ = false;
  const bool due = crash_->outcome.policy.action.empty();
  if (crash_->over && !due && !crash_->left.empty()) {
    forget();  // at once: a guest that is found in a panic after this has crashed again
    return;
  }
  const auto process = recorded_ && crash_->taken_up ? recorded_->process : facts.process;
  recorded_ = RecordedCrash{.process = process,
                            .time_us = static_cast<std::uint64_t>(crash_->event.time.count())};
  recorded_->settled = crash_->over;
  recorded_->id = crash_->outcome.id;
  recorded_->policy_due = due ? config::after_crash_name(policy_.after_crash) : "";
  add(Remember{recorded_});
}

void GuestMachine::forget() {
  adopt();
  if (std::exchange(recorded_, std::nullopt)) {
    add(Remember{});
  }
}

}  // namespace vmcore::daemon
