// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/aftermath.h"

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "src/daemon/log.h"

namespace vmcore::daemon {
namespace {

Result<HookSettings> settings_of(const config::Config& config) {
  HookSettings settings{.folder = config.hooks, .limit = config.hook_limit};
  if (!config.hook_user.empty()) {
    TRY_ASSIGN(settings.user, find_hook_user(config.hook_user));
  }
  return settings;
}

DumpOutcome outcome_of(const CrashOutcome& outcome) {
  return outcome.id.empty()          ? DumpOutcome::lost
         : !outcome.left_out.empty() ? DumpOutcome::left_out
         : outcome.whole             ? DumpOutcome::kept
                                     : DumpOutcome::incomplete;
}

std::string reason_of(const CrashOutcome& outcome, const Result<SettledCrash>& crash) {
  return crash && !crash->manifest.reason.empty() ? crash->manifest.reason
         : outcome.phase == GuestPhase::hung      ? "hang"
                                                  : "panic";
}

// What an administrator would else learn from the first crash.
void tell_refused(const config::Config& config) {
  for (const HookEnd& refused : find_hooks(config.hooks).refused) {
    say(Priority::warning, refused.program, refused.how);
  }
}

}  // namespace

Result<std::unique_ptr<Aftermath>> Aftermath::start(Loop& loop, const config::Config& config,
                                                    const std::filesystem::path& marks) {
  TRY_ASSIGN(HookSettings settings, settings_of(config));
  TRY_ASSIGN(Hooks hooks, Hooks::create(std::move(settings)));
  TRY_ASSIGN(std::filesystem::path vmcorectl, vmcorectl_executable());
  std::unique_ptr<Aftermath> all(
      new Aftermath(loop, config, HookMarks(marks), std::move(hooks), std::move(vmcorectl)));
  all->dump_work_.configure(config);
  loop.watch(all->hooks_.fd(), [one = all.get()] { one->step_hooks(); });
  tell_refused(config);
  all->resume_hooks();
  return all;
}

Aftermath::~Aftermath() { loop_.forget(hooks_.fd()); }

Result<> Aftermath::configure(const config::Config& config) {
  TRY_ASSIGN(HookSettings settings, settings_of(config));
  hooks_.set(std::move(settings));
  tell_refused(config);
  store_ = config.store;
  file_ = config.metrics;
  dump_work_.configure(config);
  return {};
}

void Aftermath::add(const CrashOutcome& outcome, std::size_t armed) {
  metrics_.set_armed(armed);
  if (outcome.id.empty()) {
    count(outcome, fail(Errc::not_found, "{}", outcome.why));
    return;
  }
  work<Result<SettledCrash>>(
      [store = store_, marks = marks_, id = outcome.id]() -> Result<SettledCrash> {
        if (const Result<> marked = marks.set(id); !marked) {
          say(Priority::warning, "", marked.error().message);
        }
        return read_settled(store, id);
      },
      [this, outcome](const Result<SettledCrash>& crash) { count(outcome, crash); });
}

template <class Value>
void Aftermath::work(std::function<Value()> what, std::function<void(const Value&)> then) {
  ++open_;
  loop_.in_background<Value>(std::move(what), [this, then = std::move(then)](const Value& value) {
    then(value);
    --open_;
    end_if_finished();
  });
}

void Aftermath::finish(std::function<void()> done) {
  constexpr std::chrono::seconds kMost(5);
  finishing_ = true;
  finished_ = std::move(done);
  loop_.after(kMost, [this] {
    if (const auto end = std::exchange(finished_, nullptr)) {
      end();
    }
  });
  end_if_finished();
}

void Aftermath::end_if_finished() {
  if (finished_ && open_ == 0) {
    loop_.after(std::chrono::seconds(0), std::exchange(finished_, nullptr));
  }
}

void Aftermath::keep_writing(std::function<std::size_t()> armed) {
  constexpr std::chrono::minutes kEvery(5);
  if (!file_.empty()) {
    metrics_.set_armed(armed());
    loop_.in_background<Result<StoreUse>>([store = store_] { return use_of(store); },
                                          [this](const Result<StoreUse>& use) {
                                            if (use) {
                                              metrics_.set_store(use->bytes, use->crashes);
                                            }
                                            write();
                                          });
  }
  loop_.after(kEvery, [this, armed = std::move(armed)] { keep_writing(armed); });
}

void Aftermath::count(const CrashOutcome& outcome, const Result<SettledCrash>& crash) {
  using std::chrono::microseconds;
  const auto took = [this](Took what, std::optional<std::uint64_t> time) {
    if (time) {
      metrics_.took(what, microseconds(*time));
    }
  };
  const std::string& title = crash ? crash->manifest.signature.title : outcome.signature.title;
  metrics_.count_crash(reason_of(outcome, crash), title);
  metrics_.count_dump(outcome_of(outcome), crash ? crash->bytes : 0);
  took(Took::to_flash, outcome.to_flash_us);
  took(Took::to_dump, outcome.to_kept_us);
  took(Took::to_running, outcome.policy.to_running_us);
  if (crash) {
    metrics_.set_store(crash->store.bytes, crash->store.crashes);
  }
  if (!outcome.id.empty() && !finishing_) {
    start_hooks({outcome.id}, crash);
  }
  if (crash && crash->manifest.dump && !finishing_) {
    dump_work_.add(outcome.id);
  }
  write();
}

void Aftermath::start_hooks(HookMark mark, const Result<SettledCrash>& crash) {
  if (crash) {
    hooks_.start({.id = std::move(mark.crash),
                  .folder = crash->folder,
                  .manifest = report::to_json(crash->manifest),
                  .ended = std::move(mark.ended)});
    return;
  }
  say(Priority::warning, "",
      fmt::format("no hook runs for {}: {}", mark.crash, crash.error().message));
  unmark(mark.crash);
}

void Aftermath::resume_hooks() {
  using Left = std::vector<std::pair<HookMark, Result<SettledCrash>>>;
  loop_.in_background<Left>(
      [store = store_, marked = marks_.all()] {
        Left left;
        for (const HookMark& mark : marked) {
          left.emplace_back(mark, read_settled(store, mark.crash));
        }
        return left;
      },
      [this](const Left& left) {
        for (const auto& [mark, crash] : left) {
          say(Priority::info, "",
              fmt::format("hooks of {} had not ended when vmcored stopped: they run now",
                          mark.crash));
          start_hooks(mark, crash);
        }
      });
}

void Aftermath::unmark(const std::string& id) {
  in_background([marks = marks_, id] { return marks.remove(id); });
}

void Aftermath::in_background(std::function<Result<>()> change) {
  work<Result<>>(std::move(change), [](const Result<>& changed) {
    if (!changed) {
      say(Priority::warning, "", changed.error().message);
    }
  });
}

void Aftermath::step_hooks() {
  for (const HookEnd& end : hooks_.step()) {
    metrics_.count_hook(end.done);
    if (!end.program.empty()) {
      in_background([marks = marks_, end] { return marks.note_ended(end.crash, end.program); });
    }
    for (const std::string& line : end.output) {
      say(Priority::info, end.program, line);
    }
    if (!end.done) {
      say(Priority::warning, "", fmt::format("hook {} of {}: {}", end.program, end.crash, end.how));
    }
    write();
  }
  for (const std::string& id : hooks_.over()) {
    unmark(id);
  }
}

void Aftermath::write() {
  if (file_.empty()) {
    return;
  }
  write_again_ = writing_;
  if (std::exchange(writing_, true)) {
    return;
  }
  work<Result<>>([metrics = metrics_, file = file_] { return write_metrics(metrics, file); },
                 [this](const Result<>& written) {
                   writing_ = false;
                   if (!written) {
                     say(Priority::warning, "", written.error().message);
                   }
                   if (std::exchange(write_again_, false)) {
                     write();
                   }
                 });
}

}  // namespace vmcore::daemon
