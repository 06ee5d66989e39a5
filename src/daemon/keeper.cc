// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/keeper.h"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include "src/audit/audit.h"
#include "src/base/wall_clock.h"
#include "src/daemon/after_crash.h"
#include "src/daemon/log.h"
#include "src/daemon/store_work.h"

namespace vmcore::daemon {
namespace {

using acquire::GuestEvent;
using std::chrono::seconds;

// Of the flash report that comes before a dump.
constexpr seconds kFlashTime{120};
constexpr seconds kRecoverTime{600};
// When the service stops.
constexpr seconds kTimeForFlash{10};
constexpr seconds kTimeToStop{40};

// Then it is said that a deed is still under way.
constexpr seconds kLongDeed{60};
// That vmcorectl accepts.
constexpr unsigned kMostThreads = 256;

GuestId id_of(const GuestRecord& record) {
  return {.from = record.from, .name = record.name, .uuid = record.uuid};
}

void audit_deed(const GuestId& guest, audit::Deed deed, std::string result,
                std::string_view detail) {
  audit::write({.deed = deed,
                .guest = guest.name,
                .uuid = guest.uuid,
                .result = std::move(result),
                .fields = {{"VMCORECTL_EVENT", std::string(detail)}}});
}

}  // namespace

Keeper::Keeper(Loop& loop, config::Config config, GuestRecords records, Programs programs,
               Calls calls)
    : loop_(loop),
      config_(std::move(config)),
      records_(loop, std::move(records)),
      programs_(std::move(programs)),
      calls_(std::move(calls)),
      queue_(config_.dumps) {
  std::vector<Error> damaged;
  for (const GuestRecord& record : records_.records().load(damaged)) {
    guest_of(id_of(record)).record = record;
    guest_of(id_of(record)).machine = GuestMachine(policy_of(id_of(record)), record.crash);
  }
  for (const Error& error : damaged) {
    say(Priority::error, "", error.message);
  }
}

SourceEvents Keeper::events() {
  return {.on_event = [this](const GuestId& id, const GuestEvent& event) { on_event(id, event); },
          .on_listed =
              [this](const std::string& from) {
                end_missing([&](const GuestId& id) { return id.from == from; });
              },
          .on_note = [](const std::string& text,
                        bool bad) { say(bad ? Priority::error : Priority::info, "", text); }};
}

void Keeper::configure(config::Config config) {
  config_ = std::move(config);
  queue_.set_most(config_.dumps);
  for (auto& [key, guest] : guests_) {
    learn_policy(guest);
  }
  give_turns();
}

Keeper::Guest& Keeper::guest_of(const GuestId& id) {
  const std::string key = id.key();
  if (const auto known = guests_.find(key); known != guests_.end()) {
    known->second.id.name = id.name;  // a domain can be renamed
    return known->second;
  }
  return guests_
      .emplace(key, Guest{.id = id,
                          .record = {.name = id.name, .uuid = id.uuid, .from = id.from},
                          .machine = GuestMachine(policy_of(id), {})})
      .first->second;
}

GuestSource* Keeper::source_of(const GuestId& id) const {
  const auto found =
      std::ranges::find_if(sources_, [&](const auto& source) { return source->has(id); });
  return found == sources_.end() ? nullptr : found->get();
}

GuestFacts Keeper::facts_of(const Guest& guest) const {
  GuestFacts facts{.armed = guest.record.armed,
                   .now_us = static_cast<std::uint64_t>(wall_clock().count())};
  GuestSource* const source = source_of(guest.id);
  if (source != nullptr) {
    facts.process = source->process_of(guest.id);
    facts.owner_wants = source->wanted_after_crash(guest.id);
  }
  // A folder knows what QEMU did before it was armed, and what a guest in the reset trap wanted.
  if (guest.record.armed && !guest.id.from.starts_with('/')) {
    facts.owner_wants = after_crash_of(guest.record.on_crash_before);
  }
  return facts;
}

config::Asked Keeper::asked_of(const GuestId& id) const {
  const config::GuestPolicy policy = config_.policy_of(id.name, id.uuid);
  GuestSource* const source = source_of(id);
  return source == nullptr ? config::Asked{policy, {}}
                           : config::as_asked(policy, source->asked_policy(id));
}

// A definition can change while its domain runs.
void Keeper::learn_policy(Guest& guest) {
  config::Asked asked = asked_of(guest.id);
  guest.machine.configure(asked.policy);
  if (asked.errors == guest.not_granted) {
    return;
  }
  for (const std::string& error : asked.errors) {
    say(Priority::warning, guest.id.name, error);
  }
  guest.not_granted = std::move(asked.errors);
}

void Keeper::on_event(const GuestId& id, const GuestEvent& event) {
  Guest& guest = guest_of(id);
  learn_policy(guest);
  guest.heard_of = true;
  const bool busy = guest.machine.busy();
  perform(guest, guest.machine.on_event(event, facts_of(guest)));
  if (!busy && guest.machine.busy()) {
    audit_deed(id, audit::Deed::crash_seen, std::string(phase_name(guest.machine.phase())),
               event.details);
  }
  if (event.kind == GuestEvent::Kind::stopped) {
    on_gone(guest);
  } else if (event.kind != GuestEvent::Kind::connection_lost) {
    guest.gone_since = 0;
  }
}

void Keeper::end_missing(const std::function<bool(const GuestId&)>& belongs) {
  std::vector<GuestId> missing;
  for (const auto& [key, guest] : guests_) {
    if (!guest.heard_of && belongs(guest.id)) {
      missing.push_back(guest.id);
    }
  }
  for (const GuestId& id : missing) {
    on_event(id,
             {.kind = GuestEvent::Kind::stopped, .name = id.name, .uuid = id.uuid, .found = true});
  }
}

void Keeper::look_for_sockets(const std::filesystem::path& folder) {
  end_missing([&](const GuestId& id) {
    std::error_code error;
    const std::filesystem::path socket(id.from);
    return socket.parent_path() == folder && !std::filesystem::exists(socket, error);
  });
}

// Records of armed guests stay, but not without end.
void Keeper::on_gone(Guest& guest) {
  guest.gone_since = ++last_gone_;
  std::size_t gone = 0;
  const Guest* longest = nullptr;
  for (const auto& [key, other] : guests_) {
    if (other.gone_since != 0 && other.record.armed) {
      ++gone;
      longest = longest == nullptr || other.gone_since < longest->gone_since ? &other : longest;
    }
  }
  if (gone > kMostGone) {
    calls_.on_surplus(GuestId(longest->id));
  }
}

bool Keeper::can_be_forgotten(const Guest& guest) {
  return guest.machine.phase() == GuestPhase::gone && !guest.machine.busy() && !guest.job &&
         !guest.next && guest.timer == 0 && guest.actions.empty() && !guest.saving &&
         guest.open == 0 && says_nothing(guest.record);
}

// Not now: somebody before this call may still use it.
void Keeper::forget_if_done(const Guest& guest) {
  if (!can_be_forgotten(guest)) {
    return;
  }
  loop_.after(seconds(0), [this, key = guest.id.key()] {
    const auto known = guests_.find(key);
    if (known != guests_.end() && can_be_forgotten(known->second)) {
      guests_.erase(known);
    }
  });
}

void Keeper::save(const GuestRecord& record, RecordWriter::Done done) {
  records_.save(record, [this, id = id_of(record), done = std::move(done)](const Result<>& saved) {
    done(saved);
    forget_if_done(guest_of(id));
    look_whether_idle();
  });
}

void Keeper::perform(Guest& guest, Actions actions) {
  std::ranges::move(actions, std::back_inserter(guest.actions));
  go_on(guest);
}

void Keeper::go_on(Guest& guest) {
  if (guest.performing) {
    return;
  }
  guest.performing = true;
  while (!guest.saving && !guest.actions.empty()) {
    const Action action = std::move(guest.actions.front());
    guest.actions.pop_front();
    std::visit([&](const auto& one) { do_one(guest, one); }, action);
  }
  guest.performing = false;
  give_turns();
  forget_if_done(guest);
  look_whether_idle();
}

void Keeper::do_one(Guest& guest, const StartJob& job) {
  if (guest.job) {  // this may be a call of it
    guest.next = job;
    return;
  }
  guest.begun = job;
  if (stopping_) {
    return;  // the next start does it
  }
  if (Result<> running = run_job(guest); !running) {
    refuse(guest.id.key(), running.error());
  } else if (job.kind == JobKind::flash) {
    guest.job->no_go();
  }
}

Result<> Keeper::run_job(Guest& guest) {
  const StartJob& job = *guest.begun;
  const std::string key = guest.id.key();
  GuestSource* const source = source_of(guest.id);
  if (source == nullptr) {
    return fail(Errc::not_found, "{} is not watched any more", guest.id.from);
  }
  TRY_ASSIGN(LentGuest lent, source->lend(guest.id));
  guest.lent = true;
  guest.ended = false;
  guest.flashing = job.kind == JobKind::dump;
  guest.read = false;
  if (job.kind == JobKind::receive && !lent.can_send) {
    give_back(guest, true);
    return fail(Errc::not_found, "it has no channel for its own dump");
  }
  auto started =
      JobProcess::start(loop_, programs_.vmcorectl,
                        job_command(job, std::move(lent), places(), policy_of(guest.id), share()),
                        {.on_text = [this, key](std::string_view text) { on_text(key, text); },
                         .on_end = [this, key](const JobExit& exit) { on_job_ended(key, exit); }});
  if (!started) {  // the host is short of descriptors or processes
    give_back(guest, true);
    return fail(Errc::busy, "its job cannot be started now: {}", started.error().message);
  }
  guest.job = *std::move(started);
  guest.job->set_limit(guest.flashing ? kFlashTime : job.limit);
  return {};
}

// How many dumps will run is not known when the first one begins.
job::Budget Keeper::share() const {
  const job::Budget whole = job::whole_budget();
  return {.memory = config_.memory.value_or(whole.memory) / config_.dumps,
          .threads = std::clamp(config_.threads.value_or(whole.threads) / config_.dumps, 1U,
                                kMostThreads)};
}

// Not now: the machine is about to hear of something else.
void Keeper::refuse(const std::string& key, Error error) {
  ++guests_.at(key).open;
  loop_.after(seconds(0), [this, key, error = std::move(error)] {
    Guest& guest = guests_.at(key);
    --guest.open;
    if (!guest.job) {
      tell(guest, guest.begun->kind == JobKind::look ? JobNews(JobLooked{tl::unexpected(error)})
                                                     : JobNews(JobEnded{.error = error}));
    }
  });
}

void Keeper::do_one(Guest& guest, const EndJob&) {
  if (guest.job) {
    guest.job->end();
  }
}

void Keeper::do_one(Guest& guest, const FinishJob&) {
  if (guest.job) {
    guest.job->let_finish();
  }
}

void Keeper::do_one(Guest& guest, const Leave&) {
  if (GuestSource* const source = source_of(guest.id)) {
    source->leave(guest.id);
  }
}

void Keeper::do_one(Guest& guest, const DoDeed& deed) {
  const std::string key = guest.id.key();
  const Loop::Timer late = loop_.after(kLongDeed, [id = guest.id, what = deed.deed] {
    say(Priority::warning, id.name,
        fmt::format("{}: not done after {} s; it is still under way, and is not begun again",
                    deed_name(what), kLongDeed.count()));
  });
  const auto done = [this, key, late, what = deed.deed](Result<> result) {
    loop_.cancel(late);
    --deeds_;
    Guest& of = guests_.at(key);
    --of.open;
    audit_deed(of.id, audit::Deed::policy, result ? "done" : result.error().message,
               deed_name(what));
    perform(of, of.machine.on_deed(what, result, facts_of(of)));
  };
  ++deeds_;
  ++guest.open;
  if (GuestSource* const source = source_of(guest.id)) {
    source->act(guest.id, deed.deed, deed.only_if_stopped, done);
  } else {
    loop_.after(seconds(0), [done] { done(fail(Errc::not_found, "it is not watched any more")); });
  }
}

void Keeper::do_one(Guest& guest, const Remember& remember) {
  guest.record.crash = remember.crash;
  guest.saving = true;
  records_.save(guest.record, [this, key = guest.id.key()](const Result<>& saved) {
    Guest& of = guests_.at(key);
    if (!saved) {
      say(Priority::error, of.id.name, saved.error().message);
    }
    of.saving = false;
    go_on(of);
  });
}

void Keeper::do_one(Guest& guest, const NotePolicy& note) {
  ++notes_;
  loop_.in_background<Result<>>(
      [store = config_.store, note] { return note_policy(store, note.id, note.outcome); },
      [this, name = guest.id.name](const Result<>& noted) {
        --notes_;
        if (!noted) {
          say(Priority::warning, name,
              "the outcome of its policy was not written to the store: " + noted.error().message);
        }
        look_whether_idle();
      });
}

void Keeper::do_one(Guest& guest, const Recover&) {
  const auto since = static_cast<std::uint64_t>(guest.begun->event.time.count());
  ++guest.open;
  recover([this, key = guest.id.key(), id = guest.id, since] {
    loop_.in_background<std::string>(
        [store = config_.store, id, since] { return newest_crash(store, id, since); },
        [this, key](const std::string& crash) {
          Guest& of = guests_.at(key);
          --of.open;
          perform(of, of.machine.on_recovered(crash, facts_of(of)));
        });
  });
}

void Keeper::do_one(Guest& guest, const RemoveParts& remove) {
  ++notes_;
  loop_.in_background<std::vector<std::string>>(
      [store = config_.store, id = guest.id, parts = remove.parts] {
        return remove_parts(store, id, parts);
      },
      [this, id = guest.id,
       whole = remove.parts.whole_id](const std::vector<std::string>& removed) {
        --notes_;
        look_whether_idle();
        for (const std::string& part : removed) {
          say(Priority::info, id.name,
              fmt::format("{} was a part of {}, which is whole, and is removed", part, whole));
          audit::write({.deed = audit::Deed::remove,
                        .guest = id.name,
                        .uuid = id.uuid,
                        .result = std::string(audit::kDone),
                        .fields = {{"VMCORECTL_CRASH", part}, {"VMCORECTL_ACTION", "part"}}});
        }
      });
}

void Keeper::do_one(Guest& guest, const Adopt& orphan) {
  adopt(guest.id, orphan.event_us, seconds(1));
}

void Keeper::adopt(const GuestId& guest, std::uint64_t event_us, seconds wait) {
  loop_.after(wait, [this, guest, event_us, wait] {
    loop_.in_background<std::optional<FoundCrash>>(
        [store = config_.store, guest, event_us] { return crash_of_event(store, guest, event_us); },
        [this, guest, event_us, wait](const std::optional<FoundCrash>& crash) {
          if (crash || wait * 2 > policy_of(guest).dump_limit) {
            on_adopted(guest, event_us, crash);
          } else {
            adopt(guest, event_us, wait * 2);
          }
        });
  });
}

void Keeper::on_adopted(const GuestId& guest, std::uint64_t event_us,
                        const std::optional<FoundCrash>& crash) {
  if (stopping_) {
    return;
  }
  CrashOutcome outcome{.event = {.kind = GuestEvent::Kind::panicked,
                                 .name = guest.name,
                                 .uuid = guest.uuid,
                                 .found = true},
                       .why = "vmcored ended before the crash was kept"};
  outcome.event.time = std::chrono::microseconds(event_us);
  if (crash) {
    outcome.id = crash->id;
    outcome.whole = crash->whole;
    say(Priority::info, guest.name,
        fmt::format("its crash, which an earlier vmcored began to keep, is {}", crash->id));
  } else {
    say(Priority::warning, guest.name, "its crash is lost: " + outcome.why);
  }
  calls_.on_settled(guest, outcome);
}

void Keeper::do_one(Guest& guest, const Wait& wait) {
  loop_.cancel(guest.timer);
  guest.timer = loop_.after(wait.time, [this, key = guest.id.key()] {
    Guest& of = guests_.at(key);
    of.timer = 0;
    perform(of, of.machine.on_timer(facts_of(of)));
  });
}

void Keeper::do_one(Guest& guest, const Settle& settle) {
  calls_.on_settled(guest.id, settle.outcome);
}

void Keeper::do_one(Guest& guest, const Say& said) {
  say(said.bad ? Priority::warning : Priority::info, guest.id.name, said.text);
}

void Keeper::give_turns() {
  while (const auto key = stopping_ ? std::nullopt : queue_.next()) {
    Guest& guest = guests_.at(*key);
    guest.job->set_limit(guest.begun->limit);
    guest.job->go();
  }
}

void Keeper::on_text(const std::string& key, std::string_view text) {
  Guest& guest = guests_.at(key);
  if (guest.ended) {
    return;
  }
  const JobKind kind = guest.begun->kind;
  if (kind == JobKind::look) {
    guest.ended = true;
    tell(guest, read_look(text));
    return;
  }
  const auto said = read_job_line(text, kind);
  if (!said) {
    say(Priority::warning, guest.id.name, said.error().message);
    if (guest.flashing) {  // it may have been that line: a job must not wait for a go in vain
      tell(guest, JobFlash{.why = said.error().message});
    }
    return;
  }
  if (said->monitor) {
    give_back(guest, *said->monitor);
  }
  if (const auto* event = std::get_if<GuestEvent>(&said->what)) {
    on_event(guest.id, *event);
  } else if (const auto* news = std::get_if<JobNews>(&said->what)) {
    tell(guest, *news);
  }
}

void Keeper::tell(Guest& guest, const JobNews& news) {
  if (std::holds_alternative<JobFlash>(news) && guest.flashing) {
    guest.flashing = false;
    guest.job->no_limit();  // it waits for its turn
    queue_.add(guest.id.key());
  }
  guest.read = guest.read || std::holds_alternative<JobMemoryRead>(news) ||
               std::holds_alternative<JobStreams>(news);
  const auto* ended = std::get_if<JobEnded>(&news);
  if (ended != nullptr) {
    guest.ended = true;
  }
  if (ended != nullptr && stopping_ && !ended->whole) {
    return;  // the next start goes on with it
  }
  perform(guest, guest.machine.on_job(news, facts_of(guest)));
}

void Keeper::give_back(Guest& guest, bool usable) {
  GuestSource* const source = source_of(guest.id);
  if (std::exchange(guest.lent, false) && source != nullptr) {
    source->take_back(guest.id, usable);
  }
}

void Keeper::on_job_ended(const std::string& key, const JobExit& exit) {
  Guest& guest = guests_.at(key);
  const auto job = std::move(guest.job);  // ends with this call
  guest.flashing = false;
  queue_.remove(key);
  give_back(guest, false);
  if (const auto next = std::exchange(guest.next, std::nullopt)) {
    do_one(guest, *next);
  } else if (!guest.ended && !stopping_) {
    perform(guest, guest.machine.on_job(JobDied{exit.how, exit.overdue}, facts_of(guest)));
  }
  give_turns();
  forget_if_done(guest);
  look_whether_idle();
}

void Keeper::recover(std::function<void()> done) {
  std::error_code error;
  if (!std::filesystem::exists(config_.store, error)) {
    loop_.after(
        seconds(0), done ? done : [] {});
    return;
  }
  const std::uint64_t number = ++last_recovery_;
  JobCommand prune{.words = places().words(), .reports = false};
  prune.words.insert(prune.words.begin(), {"prune", "--only-complete"});
  auto started = JobProcess::start(
      loop_, programs_.vmcorectl, std::move(prune),
      {.on_text =
           [](std::string_view text) {
             if (!text.empty()) {
               say(Priority::info, "", text.substr(0, text.find_last_not_of('\n') + 1));
             }
           },
       .on_end =
           [this, number, done](const JobExit&) {
             const auto process = recoveries_.extract(number);  // ends with this call
             if (done) {
               done();
             }
           }});
  if (!started) {
    say(Priority::error, "", started.error().message);
    loop_.after(
        seconds(0), done ? done : [] {});
    return;
  }
  (*started)->set_limit(kRecoverTime);
  recoveries_.emplace(number, *std::move(started));
}

void Keeper::stop(std::function<void()> done) {
  stopping_ = true;
  stopped_ = std::move(done);
  end_jobs(false);
  loop_.after(kTimeForFlash, [this] { end_jobs(true); });
  loop_.after(kTimeToStop, [this] {
    if (const auto end = std::exchange(stopped_, nullptr)) {
      end();
    }
  });
  look_whether_idle();
}

void Keeper::end_jobs(bool flashing) {
  for (auto& [key, guest] : guests_) {
    if (guest.job && !guest.read && (flashing || !guest.flashing)) {
      guest.job->end();
    }
  }
}

bool Keeper::is_idle() const {
  return deeds_ == 0 && notes_ == 0 && records_.idle() &&
         std::ranges::none_of(guests_, [](const auto& one) { return one.second.job != nullptr; });
}

void Keeper::look_whether_idle() {
  if (stopped_ && is_idle()) {
    loop_.after(seconds(0), std::exchange(stopped_, nullptr));
  }
}

std::vector<GuestId> Keeper::guests() const {
  std::vector<GuestId> all;
  for (const auto& [key, guest] : guests_) {
    all.push_back(guest.id);
  }
  return all;
}

bool Keeper::stands_after_panic(const GuestId& guest) {
  const GuestFacts facts = facts_of(guest_of(guest));
  return facts.armed || facts.owner_wants == config::AfterCrash::preserve;
}

std::string Keeper::state_of(const GuestId& guest) const {
  const auto known = guests_.find(guest.key());
  return std::string(
      phase_name(known != guests_.end() ? known->second.machine.phase() : GuestPhase::gone));
}

}  // namespace vmcore::daemon
