// SPDX-License-Identifier: GPL-2.0-or-later
// Stories: what is heard of a guest on the left, and what the service does then on the right.
#include "src/daemon/guest_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "src/daemon/after_crash.h"

namespace vmcore::daemon {
namespace {

using acquire::GuestEvent;
using config::AfterCrash;
using config::OnHang;
using Kind = GuestEvent::Kind;

constexpr acquire::ProcessKey kQemu{.pid = 100, .start_time = 5};
constexpr acquire::ProcessKey kOtherQemu{.pid = 200, .start_time = 9};

std::string text_of(const report::PolicyOutcome& policy) {
  return policy.action + (policy.why.empty() ? "" : " by default") +
         (policy.done ? " done" : " not done: " + policy.error);
}

// Without lines for the log, and without what lets_finish() tells.
struct Teller {
  std::string operator()(const StartJob& job) const {
    return job.kind == JobKind::dump    ? "dump"
           : job.kind == JobKind::flash ? "flash"
           : job.kind == JobKind::look  ? "look"
                                        : "receive";
  }
  std::string operator()(const EndJob&) const { return "end job"; }
  std::string operator()(const FinishJob&) const { return ""; }
  std::string operator()(const Leave&) const { return "leave"; }
  std::string operator()(const DoDeed& deed) const {
    return std::string(deed_name(deed.deed)) + (deed.only_if_stopped ? " if stopped" : "");
  }
  std::string operator()(const Remember& remember) const {
    if (!remember.crash) {
      return "forget";
    }
    const RecordedCrash& crash = *remember.crash;
    return std::string("remember ") + (crash.settled ? "" : "open ") +
           (crash.id.empty() ? "nothing" : crash.id) + (crash.policy_due.empty() ? "" : " due");
  }
  std::string operator()(const NotePolicy& note) const {
    return "note " + note.id + ": " + text_of(note.outcome);
  }
  std::string operator()(const Recover&) const { return "recover"; }
  std::string operator()(const RemoveParts& remove) const {
    const PartsOf& of = remove.parts;
    return fmt::format("remove the parts of {} at {}{}", of.whole_id, of.event_us / 1'000'000,
                       of.known_id.empty() ? "" : ", and " + of.known_id);
  }
  std::string operator()(const Adopt& adopt) const {
    return "adopt " + std::to_string(adopt.event_us);
  }
  std::string operator()(const Wait& wait) const {
    return "wait " + std::to_string(wait.time.count());
  }
  std::string operator()(const Settle& settle) const {
    const CrashOutcome& outcome = settle.outcome;
    return "settled: " + (outcome.id.empty() ? "lost: " + outcome.why
                                             : outcome.id + (outcome.whole ? "" : " in part"));
  }
  std::string operator()(const Say&) const { return ""; }
};

std::string told(const Actions& actions) {
  std::string all;
  for (const Action& action : actions) {
    const std::string one = std::visit(Teller(), action);
    all += one.empty() ? "" : (all.empty() ? "" : "; ") + one;
  }
  return all;
}

const std::map<std::string, Kind> kKinds{{"panicked", Kind::panicked},
                                         {"panicked-runs", Kind::panicked_runs},
                                         {"reset-trapped", Kind::reset_trapped},
                                         {"crash-loaded", Kind::crash_loaded},
                                         {"after-crash", Kind::after_crash},
                                         {"reset", Kind::reset},
                                         {"shutdown", Kind::shutdown},
                                         {"watchdog", Kind::watchdog},
                                         {"started", Kind::started},
                                         {"stopped", Kind::stopped},
                                         {"connection-lost", Kind::connection_lost}};

class GuestMachineTest : public testing::Test {
 protected:
  struct Step {
    std::string heard;
    std::string done;
  };

  void with(AfterCrash after) { policy_.after_crash = after; }
  void recorded(RecordedCrash crash) {
    crash.process = kQemu;
    recorded_ = std::move(crash);
  }

  std::string hear(const std::string& heard) { return told(react(heard)); }
  bool lets_finish(const std::string& heard) {
    const Actions actions = react(heard);
    return std::ranges::any_of(
        actions, [](const Action& one) { return std::holds_alternative<FinishJob>(one); });
  }

  // "found panicked", "stopped crashed": an event; else news of the job, a deed, the store, a
  // timer.
  Actions react(const std::string& heard) {
    const bool found = heard.starts_with("found ");
    const std::string words = found ? heard.substr(6) : heard;
    const std::string first = words.substr(0, words.find(' '));
    const std::string rest = first.size() < words.size() ? words.substr(first.size() + 1) : "";
    if (const auto kind = kKinds.find(first); kind != kKinds.end()) {
      return machine().on_event({.kind = kind->second,
                                 .name = "vm1",
                                 .time = std::chrono::microseconds(facts_.now_us),
                                 .found = found,
                                 .details = rest},
                                facts_);
    }
    return hear_of_work(first, rest);
  }

  Actions hear_of_work(const std::string& first, const std::string& rest) {
    if (first == "flash") {
      return machine().on_job(JobFlash{.kept = true}, facts_);
    }
    if (first == "memory-read") {
      return machine().on_job(JobMemoryRead{}, facts_);
    }
    if (first == "streams") {
      return machine().on_job(JobStreams{}, facts_);
    }
    if (first == "looked") {
      return machine().on_job(JobLooked{rest == "unknown" ? Result<bool>(fail(Errc::denied, "no"))
                                                          : rest == "panicked"},
                              facts_);
    }
    if (first == "kept") {
      return machine().on_job(JobEnded{.id = rest, .whole = true}, facts_);
    }
    if (first == "kept-in-part") {
      return machine().on_job(JobEnded{.id = rest, .error = Error{Errc::no_space, "full"}}, facts_);
    }
    if (first == "failed" || first == "busy") {
      const Errc code = first == "busy" ? Errc::busy : Errc::io;
      return machine().on_job(JobEnded{.error = Error{code, rest}}, facts_);
    }
    if (first == "died" || first == "overdue") {
      return machine().on_job(JobDied{"killed", first == "overdue"}, facts_);
    }
    if (first == "recovered") {
      return machine().on_recovered(rest, facts_);
    }
    if (first == "done") {
      return machine().on_deed(rest == "nmi" ? GuestDeed::nmi : GuestDeed::restart, {}, facts_);
    }
    if (first == "refused" || first == "others") {
      const Errc code = first == "others" ? Errc::guest_state : Errc::io;
      return machine().on_deed(GuestDeed::restart, fail(code, "{}", rest), facts_);
    }
    EXPECT_EQ(first, "timer");
    return machine().on_timer(facts_);
  }

  void story(const std::vector<Step>& steps, GuestPhase then) {
    int number = 0;
    for (const Step& step : steps) {
      EXPECT_EQ(hear(step.heard), step.done) << "step " << ++number << ": " << step.heard;
      facts_.now_us += 1'000'000;
    }
    EXPECT_EQ(phase_name(machine().phase()), phase_name(then));
  }

  GuestMachine& machine() {
    if (!machine_) {
      machine_.emplace(policy_, recorded_);
    }
    return *machine_;
  }

  config::GuestPolicy policy_{.after_crash = AfterCrash::restart};
  std::optional<RecordedCrash> recorded_;
  std::optional<GuestMachine> machine_;
  GuestFacts facts_{.process = kQemu,
                    .owner_wants = AfterCrash::restart,
                    .armed = true,
                    .now_us = 1'000'000'000'000};
};

TEST_F(GuestMachineTest, APanicIsKeptAndTheGuestIsRestartedWhenItsMemoryIsRead) {
  story({{"found started", ""},
         {"panicked", "dump; remember open nothing due"},
         {"flash", ""},
         {"memory-read", "restart if stopped"},
         {"reset", ""},
         {"done", "remember open nothing"},
         {"kept C1", "forget; note C1: restart done; settled: C1"},
         {"panicked", "dump; remember open nothing due"}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, AJobFinishesAloneBeforeItsGuestIsCarriedOn) {
  EXPECT_FALSE(lets_finish("panicked"));
  EXPECT_FALSE(lets_finish("flash"));
  const Actions actions = react("memory-read");
  ASSERT_EQ(actions.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<FinishJob>(actions.front()));
  EXPECT_TRUE(std::holds_alternative<DoDeed>(actions.back()));
  EXPECT_FALSE(lets_finish("refused not now"));
  EXPECT_FALSE(lets_finish("timer"));
}

// As long as the guest stands in its crash, the next vmcored can read its memory.
TEST_F(GuestMachineTest, AJobFinishesAloneIfSomebodyElseCarriesItsGuestOn) {
  with(AfterCrash::preserve);
  EXPECT_FALSE(lets_finish("panicked"));
  EXPECT_FALSE(lets_finish("memory-read"));
  EXPECT_TRUE(lets_finish("reset"));
}

TEST_F(GuestMachineTest, AJobThatHasReadNothingDoesNotFinishAlone) {
  EXPECT_FALSE(lets_finish("panicked"));
  EXPECT_FALSE(lets_finish("reset"));
}

TEST_F(GuestMachineTest, WhatACaptureKernelSendsIsReceivedToItsEnd) {
  EXPECT_FALSE(lets_finish("crash-loaded"));
  EXPECT_TRUE(lets_finish("streams"));
  EXPECT_FALSE(lets_finish("streams"));
}

TEST_F(GuestMachineTest, TheRestartMayEndAfterTheDump) {
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"kept C1", "remember C1 due"},
         {"done", "forget; note C1: restart done; settled: C1"},
         {"reset", ""}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, TheTimesCountFromTheEvent) {
  CrashOutcome outcome;
  for (const char* heard : {"panicked", "flash", "memory-read", "done"}) {
    hear(heard);
    facts_.now_us += 1'000'000;
  }
  for (const Action& action : machine().on_job(JobEnded{.id = "C1", .whole = true}, facts_)) {
    if (const auto* settled = std::get_if<Settle>(&action)) {
      outcome = settled->outcome;
    }
  }
  EXPECT_EQ(outcome.to_flash_us, 1'000'000U);
  EXPECT_EQ(outcome.policy.to_running_us, 3'000'000U);
  EXPECT_EQ(outcome.to_kept_us, 4'000'000U);
}

TEST_F(GuestMachineTest, TheSameEventTwiceIsOneCrash) {
  story({{"panicked", "dump; remember open nothing due"},
         {"panicked", ""},
         {"found panicked", ""},
         {"memory-read", "restart if stopped"},
         {"panicked", ""},
         {"done", "remember open nothing"},
         {"kept C1", "forget; note C1: restart done; settled: C1"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, DestroyWaitsUntilTheCrashIsKept) {
  with(AfterCrash::destroy);
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", ""},
         {"kept C1", "remember C1 due; destroy if stopped"},
         {"stopped destroyed", ""},
         {"done", "forget; note C1: destroy done; settled: C1"}},
        GuestPhase::gone);
}

TEST_F(GuestMachineTest, DestroyAlsoComesWhereTheDumpFailed) {
  with(AfterCrash::destroy);
  story({{"panicked", "dump; remember open nothing due"},
         {"failed no way", "remember nothing due; destroy if stopped"},
         {"done", "forget; settled: lost: no way"}},
        GuestPhase::gone);
}

TEST_F(GuestMachineTest, PreserveLeavesTheGuestUntilSomebodyElseCarriesItOn) {
  with(AfterCrash::preserve);
  story({{"panicked", "leave; dump; remember open nothing due"},
         {"memory-read", "leave; remember open nothing"},
         {"kept C1", "remember C1; note C1: preserve done; settled: C1"},
         {"panicked", ""},
         {"connection-lost", ""},
         {"found panicked", ""},
         {"reset", "forget"},
         {"panicked", "leave; dump; remember open nothing due"}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, AsDomainIsWhatItsOwnerWants) {
  with(AfterCrash::as_domain);
  facts_.owner_wants = AfterCrash::preserve;
  story({{"panicked", "leave; dump; remember open nothing due"},
         {"memory-read", "leave; remember open nothing"},
         {"kept C1", "remember C1; note C1: preserve done; settled: C1"}},
        GuestPhase::kept);
}

TEST_F(GuestMachineTest, AsDomainWaitsUntilThatIsKnown) {
  with(AfterCrash::as_domain);
  facts_.owner_wants.reset();
  story({{"panicked", "dump; remember open nothing due"}, {"memory-read", "wait 1"}},
        GuestPhase::panicked);
  facts_.owner_wants = AfterCrash::restart;
  story({{"timer", "restart if stopped"}}, GuestPhase::panicked);
}

// Nobody can tell what its on_crash is, or it is a word that vmcored does not know.
TEST_F(GuestMachineTest, AnUnknownWishIsTheConfiguredDefault) {
  with(AfterCrash::as_domain);
  policy_.after_crash_default = AfterCrash::resume;
  facts_.owner_wants.reset();
  story({{"panicked", "dump; remember open nothing due"}, {"memory-read", "wait 1"}},
        GuestPhase::panicked);
  for (int i = 0; i < 8; ++i) {
    story({{"timer", "wait 1"}}, GuestPhase::panicked);
  }
  story({{"timer", "resume if stopped"},
         {"refused libvirt is away", "wait 2"},
         {"timer", "resume if stopped"},
         {"done", "remember open nothing"},
         {"kept C1", "forget; note C1: resume by default done; settled: C1"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, AWishThatIsKnownLateCountsMoreThanTheDefault) {
  with(AfterCrash::as_domain);
  facts_.owner_wants.reset();
  story({{"panicked", "dump; remember open nothing due"}, {"memory-read", "wait 1"}},
        GuestPhase::panicked);
  for (int i = 0; i < 8; ++i) {
    story({{"timer", "wait 1"}}, GuestPhase::panicked);
  }
  story({{"timer", "restart if stopped"}, {"refused libvirt is away", "wait 2"}},
        GuestPhase::panicked);
  facts_.owner_wants = AfterCrash::preserve;
  story({{"timer", "leave; remember open nothing"},
         {"kept C1", "remember C1; note C1: preserve done; settled: C1"}},
        GuestPhase::kept);
}

// libvirt, or QEMU's monitor, may take an hour.
TEST_F(GuestMachineTest, ADeedThatIsUnderWayIsNotBegunAgain) {
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"kept C1", "remember C1 due"},
         {"timer", ""},
         {"found panicked", ""},
         {"connection-lost", ""},
         {"found panicked", ""},
         {"done", "forget; note C1: restart done; settled: C1"}},
        GuestPhase::watched);
}

// Its on_crash may have been changed since vmcored has read it.
TEST_F(GuestMachineTest, ADestroyedDomainIsLostAndTheHintSaysWhatHelps) {
  with(AfterCrash::as_domain);
  facts_.owner_wants = AfterCrash::preserve;
  facts_.armed = false;
  story({{"panicked", "leave; dump; remember open nothing due"},
         {"stopped crashed", ""},
         {"failed no such domain",
          "remember nothing due; forget; settled: lost: its QEMU has ended (crashed) before its "
          "memory was read; vmcorectl arm keeps its memory until it is read"}},
        GuestPhase::gone);
}

TEST_F(GuestMachineTest, AnEndByACrashWithoutItsEventIsLost) {
  facts_.owner_wants = AfterCrash::destroy;
  facts_.armed = false;
  story({{"found started", ""},
         {"stopped crashed",
          "settled: lost: its QEMU was ended at once before its memory was read; vmcorectl arm "
          "keeps its memory until it is read"}},
        GuestPhase::gone);
}

TEST_F(GuestMachineTest, AnOrderlyEndIsNoCrash) {
  story({{"found started", ""}, {"shutdown", ""}, {"stopped shutdown", ""}, {"started", ""}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, AResetDuringTheDumpTakesThePolicyAway) {
  story({{"panicked", "dump; remember open nothing due"},
         {"flash", ""},
         {"reset", "end job"},
         {"failed torn",
          "remember nothing due; forget; settled: lost: the guest was reset before its memory was "
          "read"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, AFlashReportThatWasKeptIsNotLostByAReset) {
  story({{"panicked", "dump; remember open nothing due"},
         {"flash", ""},
         {"reset", "end job"},
         {"kept-in-part C1",
          "remember C1 due; forget; note C1: restart not done: not carried out: the guest was "
          "reset; settled: C1 in part"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, AResetBeforeTheFlashReportLeavesThatAndNoDump) {
  story({{"panicked", "dump; remember open nothing due"},
         {"reset", ""},
         {"flash", "end job"},
         {"kept-in-part C1",
          "remember C1 due; forget; note C1: restart not done: not carried out: the guest was "
          "reset; settled: C1 in part"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, ASecondPanicDuringADumpIsKeptNext) {
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"reset", ""},
         {"done", "remember open nothing"},
         {"panicked", ""},
         {"kept C1", "forget; note C1: restart done; settled: C1; dump; remember open nothing due"},
         {"memory-read", "restart if stopped"}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, APanicBehindOurResetIsAnotherCrash) {
  story(
      {{"panicked", "dump; remember open nothing due"},
       {"memory-read", "restart if stopped"},
       {"reset", ""},
       {"panicked", ""},
       {"done", "remember open nothing"},
       {"kept C1", "forget; note C1: restart done; settled: C1; dump; remember open nothing due"}},
      GuestPhase::panicked);
}

TEST_F(GuestMachineTest, AJobThatDiesIsTriedOnceMore) {
  story({{"panicked", "dump; remember open nothing due"},
         {"died", "recover"},
         {"recovered C1", "dump"},
         {"died", "recover"},
         {"recovered ", "remember C1 due; restart if stopped"},
         {"done", "forget; note C1: restart done; settled: C1 in part"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, AJobThatTakesTooLongIsNotTriedAgain) {
  story({{"panicked", "dump; remember open nothing due"},
         {"overdue", "recover"},
         {"recovered ", "remember nothing due; restart if stopped"},
         {"done", "forget; settled: lost: its job ended without a report: killed"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, AJobThatDiesBehindTheReadingIsNotTriedAgain) {
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"done", "remember open nothing"},
         {"died", "recover"},
         {"recovered C1", "forget; note C1: restart done; settled: C1 in part"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, WhatAJobKeptThatDiedGoesWhenTheCrashIsWhole) {
  story({{"panicked", "dump; remember open nothing due"},
         {"died", "recover"},
         {"recovered C1", "dump"},
         {"memory-read", "restart if stopped"},
         {"done", "remember open C1"},
         {"kept C2",
          "remove the parts of C2 at 1000000, and C1; forget; note C2: restart done; settled: C2"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, WhatAJobKeptThatDiedStaysWhereTheNextOneIsNotWhole) {
  story({{"panicked", "dump; remember open nothing due"},
         {"died", "recover"},
         {"recovered C1", "dump"},
         {"kept-in-part C2", "remember C2 due; restart if stopped"}},
        GuestPhase::kept);
}

// Its memory was read, and is still there.
TEST_F(GuestMachineTest, AGuestThatStillStandsIsDumpedAgain) {
  with(AfterCrash::preserve);
  story({{"panicked", "leave; dump; remember open nothing due"},
         {"memory-read", "leave; remember open nothing"},
         {"died", "recover"},
         {"recovered C1", "dump"},
         {"memory-read", ""},
         {"kept C2",
          "remove the parts of C2 at 1000000, and C1; remember C2; note C2: preserve done; "
          "settled: C2"}},
        GuestPhase::kept);
}

TEST_F(GuestMachineTest, ADestructionWaitsForTheSecondDump) {
  with(AfterCrash::destroy);
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", ""},
         {"died", "recover"},
         {"recovered C1", "dump"},
         {"memory-read", ""},
         {"kept C2",
          "remove the parts of C2 at 1000000, and C1; remember C2 due; destroy if stopped"}},
        GuestPhase::kept);
}

// A restart that libvirt refused is tried again when memory was read again.
TEST_F(GuestMachineTest, ARestartThatIsTriedAgainWaitsForTheSecondDump) {
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"refused not now", "wait 2"},
         {"died", "recover"},
         {"recovered C1", "dump"},
         {"timer", ""},
         {"memory-read", "restart if stopped"}},
        GuestPhase::panicked);
}

// It may be another boot's memory when the second job comes to it.
TEST_F(GuestMachineTest, AGuestThatIsBeingRestartedIsNotDumpedAgain) {
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"died", "recover"},
         {"recovered C1", "remember C1 due"}},
        GuestPhase::kept);
}

TEST_F(GuestMachineTest, AGuestThatAnotherHoldsIsWaitedFor) {
  story({{"panicked", "dump; remember open nothing due"},
         {"busy held", "wait 2"},
         {"timer", "dump"},
         {"busy held", "wait 2"},
         {"reset",
          "remember nothing due; forget; settled: lost: the guest was reset before its memory was "
          "read"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, APolicyThatFailsIsTriedAgain) {
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"kept C1", "remember C1 due"},
         {"refused no answer", "wait 2"},
         {"timer", "restart if stopped"},
         {"refused no answer", "wait 4"},
         {"timer", "restart if stopped"},
         {"done", "forget; note C1: restart done; settled: C1"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, AGuestThatSomebodyElseResumedIsLeftAlone) {
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"others it runs", "remember open nothing"},
         {"kept C1", "forget; note C1: restart not done: it runs; settled: C1"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, APolicyIsGivenUpInTheEnd) {
  hear("panicked");
  hear("memory-read");
  hear("kept C1");
  std::string last;
  for (int i = 0; i < 20 && !last.starts_with("remember"); ++i) {
    last = hear("refused no answer");
    hear("timer");
  }
  EXPECT_EQ(last, "remember C1; note C1: restart not done: no answer; settled: C1");
  EXPECT_EQ(machine().phase(), GuestPhase::kept);
}

TEST_F(GuestMachineTest, AGuestInItsPanicThatRunsIsNotWaitedFor) {
  with(AfterCrash::resume);
  story({{"panicked-runs", "dump; remember open nothing due"},
         {"memory-read", "remember open nothing"},
         {"kept C1", "remember C1; note C1: resume done; settled: C1"},
         {"reset", "forget"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, AGuestInItsPanicThatRunsIsRestarted) {
  story({{"panicked-runs", "dump; remember open nothing due"}, {"memory-read", "restart"}},
        GuestPhase::panicked_runs);
}

TEST_F(GuestMachineTest, ACaptureKernelSendsItsDumpAndReboots) {
  story({{"crash-loaded", "receive; remember open nothing due"},
         {"kept C1", "remember C1 due; wait 599"},
         {"reset",
          "forget; note C1: restart not done: not carried out: the guest was reset; settled: C1"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, ACaptureKernelThatSendsNothingIsDumpedFromOutside) {
  story({{"crash-loaded", "receive; remember open nothing due"},
         {"failed silence", "dump"},
         {"memory-read", ""},
         {"kept C1", "remember C1 due; wait 597"},
         {"timer", "restart"},
         {"done", "forget; note C1: restart done; settled: C1"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, ACaptureKernelThatSendsAPartIsDumpedFromOutsideToo) {
  story({{"crash-loaded", "receive; remember open nothing due"},
         {"kept-in-part C1", "dump"},
         {"failed no", "remember C1 due; wait 598"}},
        GuestPhase::kept);
}

TEST_F(GuestMachineTest, ACaptureKernelThatPanicsIsDumpedAtOnce) {
  story({{"crash-loaded", "receive; remember open nothing due"},
         {"panicked", "end job"},
         {"failed interrupted", "dump"},
         {"memory-read", "restart if stopped"}},
        GuestPhase::crash_loaded);
}

TEST_F(GuestMachineTest, AWatchdogGivesAReportAndNoPolicy) {
  story({{"watchdog", "flash"},
         {"kept C1", "settled: C1"},
         {"watchdog", ""},
         {"panicked", "dump; remember open nothing due"}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, AWatchdogGivesAnNmiAndThePanicFollows) {
  policy_.on_hang = OnHang::nmi;
  story({{"watchdog", "nmi"}, {"done nmi", ""}, {"panicked", "dump; remember open nothing due"}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, AnNmiThatIsUnderWayIsNoOtherDeed) {
  policy_.on_hang = OnHang::nmi;
  story({{"watchdog", "nmi"}}, GuestPhase::hung);
  facts_.now_us += 3'600'000'000;
  story({{"watchdog", ""},
         {"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"done nmi", ""},
         {"done", "remember open nothing"}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, APanicWhileAHangIsReportedComesNext) {
  policy_.on_hang = OnHang::dump;
  story({{"watchdog", "dump"},
         {"panicked", ""},
         {"kept C1", "settled: C1; dump; remember open nothing due"}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, AGuestThatWasFoundPanickedIsKept) {
  story({{"found panicked", "dump; remember open nothing due"}}, GuestPhase::panicked);
}

TEST_F(GuestMachineTest, ACrashThatWasKeptIsNotKeptAgain) {
  recorded({.settled = true, .id = "C1"});
  story({{"found panicked", "leave"}, {"reset", "forget"}}, GuestPhase::watched);
}

TEST_F(GuestMachineTest, AnotherQemuHasACrashOfItsOwn) {
  recorded({.settled = true, .id = "C1"});
  facts_.process = kOtherQemu;
  story({{"found panicked", "dump; remember open nothing due"}}, GuestPhase::panicked);
}

TEST_F(GuestMachineTest, ACrashWhoseDumpBrokeOffIsKeptAgain) {
  recorded({.settled = false, .policy_due = "restart"});
  story({{"found panicked", "dump; remember open nothing due"}}, GuestPhase::panicked);
}

// All jobs of one crash are given the time at which it was heard of first.
TEST_F(GuestMachineTest, WhatAJobKeptThatEndedWithItsServiceGoesWhenTheCrashIsWhole) {
  recorded({.time_us = 5'000'000, .settled = false, .policy_due = "restart"});
  story({{"found panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"done", "remember open nothing"},
         {"kept C2", "remove the parts of C2 at 5; forget; note C2: restart done; settled: C2"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, ACrashOfAGuestThatWasCarriedOnIsAnotherOne) {
  recorded({.time_us = 5'000'000, .settled = false});
  story({{"found panicked", "adopt 5000000; dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"done", "remember open nothing"},
         {"kept C2", "forget; note C2: restart done; settled: C2"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, APolicyThatIsDueIsCarriedOutAfterTheStart) {
  recorded({.settled = true, .id = "C1", .policy_due = "restart"});
  story({{"found panicked", "adopt 0; restart if stopped"},
         {"done", "forget; note C1: restart done"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, ARestartThatBrokeOffIsCarriedOnAfterTheStart) {
  recorded({.settled = false, .policy_due = "restart"});
  story({{"found reset", "adopt 0; restart if stopped"}, {"done", "forget"}}, GuestPhase::watched);
}

TEST_F(GuestMachineTest, ARestartThatBrokeOffWithTheMonitorIsTriedAgain) {
  story({{"panicked", "dump; remember open nothing due"},
         {"memory-read", "restart if stopped"},
         {"connection-lost", ""},
         {"refused the monitor is lost", "wait 2"},
         {"found reset", ""},
         {"timer", "restart if stopped"},
         {"done", "remember open nothing"}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, AResetBySomebodyElseIsLeftToThem) {
  story({{"found reset", ""}}, GuestPhase::watched);
  machine_.reset();
  with(AfterCrash::destroy);
  recorded({.settled = true, .id = "C1", .policy_due = "destroy"});
  story({{"found reset", "adopt 0; forget"}}, GuestPhase::watched);
}

TEST_F(GuestMachineTest, AGuestThatRunsAgainHasNoPolicyDue) {
  recorded({.settled = true, .id = "C1", .policy_due = "restart"});
  story({{"found started", "adopt 0; forget"}}, GuestPhase::watched);
}

// Its job goes on alone, or what that wrote is completed.
TEST_F(GuestMachineTest, ACrashThatWasNotToldIsToldWhenItIsKept) {
  recorded({.time_us = 5'000'000, .settled = false});
  story(
      {{"found started", "adopt 5000000; forget"}, {"panicked", "dump; remember open nothing due"}},
      GuestPhase::panicked);
}

TEST_F(GuestMachineTest, ARunAfterACrashIsDecidedByMemory) {
  story({{"found after-crash", "look"}, {"looked healthy", ""}}, GuestPhase::watched);
  story({{"found after-crash", "look"},
         {"looked panicked", "dump; remember open nothing due"},
         {"memory-read", "restart"}},
        GuestPhase::panicked_runs);
}

TEST_F(GuestMachineTest, AMemoryThatGivesNoAnswerIsAskedAgain) {
  recorded({.settled = true, .id = "C1", .policy_due = "restart"});
  story({{"found after-crash", "look"},
         {"looked unknown", "wait 60"},
         {"timer", "look"},
         {"looked unknown", "wait 60"},
         {"timer", "look"},
         {"looked unknown", ""}},  // what is recorded stays
        GuestPhase::watched);
  story({{"found after-crash", "look"}, {"looked panicked", "adopt 0; restart"}}, GuestPhase::kept);
}

TEST_F(GuestMachineTest, APanicEndsALook) {
  story({{"found after-crash", "look"},
         {"panicked", "end job"},
         {"looked unknown", "dump; remember open nothing due"}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, APanicBetweenTwoLooks) {
  story({{"found after-crash", "look"},
         {"looked unknown", "wait 60"},
         {"panicked", "dump; remember open nothing due"},
         {"timer", ""}},
        GuestPhase::panicked);
}

TEST_F(GuestMachineTest, AResetBetweenTwoLooks) {
  story(
      {{"found after-crash", "look"}, {"looked unknown", "wait 60"}, {"reset", ""}, {"timer", ""}},
      GuestPhase::watched);
}

TEST_F(GuestMachineTest, AQemuThatEndedMeanwhileHasNothingDue) {
  recorded({.settled = false, .policy_due = "restart"});
  story({{"found stopped", "adopt 0; forget"}}, GuestPhase::gone);
}

TEST_F(GuestMachineTest, ARunAfterACrashThatWasHandledIsNotLookedAt) {
  recorded({.settled = true, .id = "C1"});
  story({{"found after-crash", ""}}, GuestPhase::watched);
}

TEST_F(GuestMachineTest, APolicyThatIsDueDependsOnMemoryToo) {
  recorded({.settled = true, .id = "C1", .policy_due = "restart"});
  story({{"found after-crash", "look"}, {"looked healthy", "adopt 0; forget"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, AGuestThatIsFoundRunningAfterTheConnectionCameBackWasCarriedOn) {
  story({{"panicked", "dump; remember open nothing due"},
         {"connection-lost", ""},
         {"found started", ""},
         {"kept C1",
          "remember C1 due; forget; note C1: restart not done: not carried out: the guest runs "
          "again: somebody carried it on; settled: C1"}},
        GuestPhase::watched);
}

TEST_F(GuestMachineTest, ATrappedResetIsAPanicWithAnotherName) {
  story(
      {{"reset-trapped", "dump; remember open nothing due"}, {"memory-read", "restart if stopped"}},
      GuestPhase::reset_trapped);
}

// Its events are QEMU's words: they decide nothing.
TEST_F(GuestMachineTest, ATrappedResetIsNotToldByItsDetails) {
  story({{"panicked reset trap", "dump; remember open nothing due"}}, GuestPhase::panicked);
}

TEST_F(GuestMachineTest, APreservedGuestInTheTrapStaysForTheNextService) {
  recorded({.settled = true, .id = "C1"});
  story({{"found reset-trapped", "leave"}}, GuestPhase::kept);
}

TEST_F(GuestMachineTest, NewsOfAJobThatIsOverChangesNothing) {
  story({{"kept C0", ""}, {"memory-read", ""}, {"recovered C0", ""}, {"timer", ""}, {"done", ""}},
        GuestPhase::gone);
}

}  // namespace
}  // namespace vmcore::daemon
