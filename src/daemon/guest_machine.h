// SPDX-License-Identifier: GPL-2.0-or-later
// GuestMachine: the state machine of one guest, which docs/vmcored.md draws. Pure: events go in,
// and actions come out as data.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/acquire/crash/panic_events.h"
#include "src/base/result.h"
#include "src/config/config.h"
#include "src/daemon/guest_record.h"
#include "src/daemon/guest_source.h"
#include "src/daemon/store_work.h"
#include "src/report/manifest.h"

namespace vmcore::daemon {

enum class GuestPhase : std::uint8_t {
  gone,           // its QEMU has ended, or is not known
  watched,        // it runs, as far as is known
  looked_at,      // libvirt says that it runs after a crash: its memory is asked
  panicked,       // and stands still
  panicked_runs,  // and QEMU lets it run on
  crash_loaded,   // its own capture kernel runs
  reset_trapped,  // it panicked, and was stopped when it wanted to reset
  hung,           // its watchdog expired
  kept,           // the crash is in the store
  lost,           // nothing of the crash is
};
// "crash-loaded": a stable word.
std::string_view phase_name(GuestPhase phase);

// What the service sees of a guest at the moment of an input.
struct GuestFacts {
  std::optional<acquire::ProcessKey> process = {};     // its QEMU
  std::optional<config::AfterCrash> owner_wants = {};  // GuestSource::wanted_after_crash()
  bool armed = false;
  std::uint64_t now_us = 0;  // of the host's clock, since the epoch
};

enum class JobKind : std::uint8_t {
  look,     // whether it is in its panic
  flash,    // a flash report, and no dump
  dump,     // a flash report, then a dump
  receive,  // what its own capture kernel sends
};

// What the process of a job says.
struct JobFlash {
  bool kept = false;
  std::string why = {};  // not, or why it says less than it could
  report::CrashSignature signature = {};
};
struct JobMemoryRead {};
// Its own capture kernel has begun to send.
struct JobStreams {};
struct JobLooked {
  Result<bool> panicked;
};
struct JobEnded {
  std::string id = {};        // what was kept; empty: nothing
  bool whole = false;         // all that was wanted
  std::string left_out = {};  // why memory was not dumped, on purpose
  std::optional<Error> error = {};
};
// The job ended without a report.
struct JobDied {
  std::string how = {};  // "killed by signal 9 (Killed)"
  bool overdue = false;  // because its limit was over
};
using JobNews = std::variant<JobFlash, JobMemoryRead, JobStreams, JobLooked, JobEnded, JobDied>;

// The outcome of a crash, for hooks, metrics and the audit.
struct CrashOutcome {
  acquire::GuestEvent event = {};
  GuestPhase phase = GuestPhase::panicked;  // that the event led to
  std::string id = {};                      // in the store; empty: it is lost
  std::string why = {};                     // lost, or not whole
  bool whole = false;
  std::string left_out = {};  // why its memory was not dumped, on purpose
  report::CrashSignature signature = {};
  std::optional<std::uint64_t> to_flash_us = {};  // from the event
  std::optional<std::uint64_t> to_kept_us = {};
  report::PolicyOutcome policy = {};  // no action: none was due
};

// The actions.
struct StartJob {
  JobKind kind = JobKind::dump;
  acquire::GuestEvent event = {};
  std::chrono::seconds limit{};
  bool operator==(const StartJob&) const = default;
};
struct EndJob {};
// Nobody can read again what the job has read, or what is sent to it: it goes on even if this
// service ends.
struct FinishJob {};
// The guest stands still, and is to stand still as long as nobody does anything to it: also when
// this service has ended.
struct Leave {};
struct DoDeed {
  GuestDeed deed = GuestDeed::restart;
  bool only_if_stopped = false;
};
// The record's crash is that from now on.
struct Remember {
  std::optional<RecordedCrash> crash = {};
};
// Notes the outcome of the policy in the stored crash.
struct NotePolicy {
  std::string id = {};
  report::PolicyOutcome outcome = {};
};
// The store is asked to complete what a job has left; then on_recovered().
struct Recover {};
// The crash is kept as a whole. The parts of it that earlier jobs kept are removed.
struct RemoveParts {
  PartsOf parts = {};
};
// A vmcored that ran before heard of a crash at that time, and did not tell how it ended. The job
// of that crash may go on alone. The crash is told when it is in the store.
struct Adopt {
  std::uint64_t event_us = 0;
};
// on_timer() then, unless another Wait comes first.
struct Wait {
  std::chrono::seconds time{};
};
struct Settle {
  CrashOutcome outcome = {};
};
// For the service's log.
struct Say {
  bool bad = false;
  std::string text = {};
};
using Action = std::variant<StartJob, EndJob, FinishJob, Leave, DoDeed, Remember, NotePolicy,
                            Recover, RemoveParts, Adopt, Wait, Settle, Say>;
using Actions = std::vector<Action>;

class GuestMachine {
 public:
  // `recorded`: by a vmcored that ran before.
  GuestMachine(config::GuestPolicy policy, std::optional<RecordedCrash> recorded)
      : policy_(policy),
        recorded_(std::move(recorded)),
        is_orphan_(recorded_ && !(recorded_->settled && recorded_->policy_due.empty())) {}

  void configure(const config::GuestPolicy& policy) { policy_ = policy; }
  GuestPhase phase() const { return phase_; }
  // Whether something of a crash is still to be done.
  bool busy() const { return crash_ && !crash_->told; }

  Actions on_event(const acquire::GuestEvent& event, const GuestFacts& facts);
  Actions on_job(const JobNews& news, const GuestFacts& facts);
  // What the deed came to. A deed is under way until then, however long that takes.
  Actions on_deed(GuestDeed deed, const Result<>& done, const GuestFacts& facts);
  // The crash that was completed; empty: none.
  Actions on_recovered(const std::string& id, const GuestFacts& facts);
  Actions on_timer(const GuestFacts& facts);

 private:
  struct Crash {
    acquire::GuestEvent event = {};
    GuestPhase phase = GuestPhase::panicked;
    bool stopped = false;  // the guest stands still in it
    bool has_policy = true;
    bool taken_up = false;  // it was handled by a vmcored that ran before
    bool in_parts = false;  // a job before this one may have kept a part of it
    std::string part = {};  // that one in the store; empty: not known
    JobKind job = JobKind::dump;
    bool job_runs = false;
    unsigned tries = 0;       // of the job
    bool flash_told = false;  // kept or not, the job has come that far
    bool read = false;        // its memory
    bool finishes = false;    // the job, even if this service ends
    bool over = false;        // nothing more is kept of it
    bool told = false;
    bool acting = false;
    GuestDeed deed = GuestDeed::restart;  // that was begun last
    unsigned deeds = 0;
    unsigned asked = 0;    // what its owner wants, and nobody knew
    std::string why = {};  // of its policy: CrashOutcome::policy
    // Why the guest does not stand in this crash any more; empty: it does.
    std::string left = {};
    bool by_on_crash = false;       // `left` is the end of its QEMU by its on_crash
    std::string left_in_deed = {};  // the same, as long as it may be what was done to it
    JobDied died = {};
    CrashOutcome outcome = {};
  };
  enum class Waiting : std::uint8_t { nothing, job, deed, reboot };

  Actions take() { return std::exchange(actions_, {}); }
  template <class One>
  void add(One action) {
    actions_.emplace_back(std::move(action));
  }

  void on_panic(const acquire::GuestEvent& event, const GuestFacts& facts);
  void on_crash_loaded(const acquire::GuestEvent& event, const GuestFacts& facts);
  void on_after_crash(const acquire::GuestEvent& event, const GuestFacts& facts);
  void on_watchdog(const acquire::GuestEvent& event, const GuestFacts& facts);
  void on_started(const acquire::GuestEvent& event, const GuestFacts& facts);
  void on_stopped(const acquire::GuestEvent& event, const GuestFacts& facts);
  // libvirt ended a guest that panicked, and said so only then.
  void on_ended_by_crash(const acquire::GuestEvent& event, const GuestFacts& facts);
  // The guest crashed while its memory was asked whether it did.
  void on_crash_in_look(const acquire::GuestEvent& event, const GuestFacts& facts);
  // The guest does not stand in its crash any more; it is in that phase.
  void leave(const std::string& why, GuestPhase then, const GuestFacts& facts);
  // No dump is made of a guest that does not stand in its crash any more.
  void leave_memory();

  void begin(const acquire::GuestEvent& event, GuestPhase phase, JobKind job,
             const GuestFacts& facts);
  void begin_as_told(const acquire::GuestEvent& event, const GuestFacts& facts);
  // Whether the crash that was found was handled before.
  bool was_handled(const GuestFacts& facts) const;
  // Whether it is the recorded one, which no vmcored has settled, or carried on, as far as is
  // known.
  bool is_open(const GuestFacts& facts) const;
  bool is_amid_restart(const GuestFacts& facts) const;
  void take_up(const acquire::GuestEvent& event, const GuestFacts& facts);
  void start_job(JobKind kind);
  void let_job_finish();
  void wait(std::chrono::seconds time, Waiting what);
  void news(const JobFlash& flash, const GuestFacts& facts);
  void news(const JobMemoryRead& read, const GuestFacts& facts);
  void news(const JobStreams& streams, const GuestFacts& facts);
  void news(const JobLooked& looked, const GuestFacts& facts);
  void news(const JobEnded& ended, const GuestFacts& facts);
  void news(const JobDied& died, const GuestFacts& facts);
  void settle(const GuestFacts& facts);
  // From the crash, where its time is known.
  std::optional<std::uint64_t> since(const GuestFacts& facts) const;
  void carry_out_policy(const GuestFacts& facts);
  // Nothing: nobody knows yet what its owner wants, and it is asked again.
  std::optional<config::AfterCrash> wanted(const GuestFacts& facts);
  void end_policy(report::PolicyOutcome outcome, const GuestFacts& facts);
  void tell_if_done(const GuestFacts& facts);
  // Where the crash that is recorded is not kept by this service.
  void adopt();
  void remember(const GuestFacts& facts);
  void forget();

  config::GuestPolicy policy_;
  std::optional<RecordedCrash> recorded_;
  bool is_orphan_;  // what is recorded was not told, and this service does not keep it
  GuestPhase phase_ = GuestPhase::gone;
  GuestPhase after_ = GuestPhase::watched;  // the phase when the crash that it left is told
  std::optional<Crash> crash_ = {};
  std::optional<acquire::GuestEvent> again_ = {};  // a crash that came while this one is kept
  Waiting waiting_ = Waiting::nothing;
  std::optional<std::uint64_t> last_hang_us_ = {};
  bool nmi_ = false;  // is being sent
  Actions actions_ = {};
};

}  // namespace vmcore::daemon
