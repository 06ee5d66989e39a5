// SPDX-License-Identifier: GPL-2.0-or-later
// Keeper: all guests of the service, each with its GuestMachine: tells the machines what is heard
// of their guests, and does what they say: runs jobs, carries out policies, writes records.
//
// Belongs to the loop's thread, and blocks nowhere.
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/config/config.h"
#include "src/daemon/dump_queue.h"
#include "src/daemon/guest_machine.h"
#include "src/daemon/guest_record.h"
#include "src/daemon/guest_source.h"
#include "src/daemon/job_process.h"
#include "src/daemon/job_words.h"
#include "src/daemon/loop.h"
#include "src/daemon/record_writer.h"
#include "src/daemon/store_work.h"

namespace vmcore::daemon {

class Keeper {
 public:
  struct Calls {
    // A crash, when nothing more is to be done of it.
    std::function<void(const GuestId&, const CrashOutcome&)> on_settled;
    // More than kMostGone armed guests have no QEMU, and this one has had none for the longest
    // time: it is to be disarmed.
    std::function<void(const GuestId&)> on_surplus = [](const GuestId&) {};
  };
  static constexpr std::size_t kMostGone = 1000;

  // The vmcorectl of the jobs, and the file of the configuration that it reads; empty: the usual.
  struct Programs {
    std::filesystem::path vmcorectl = {};
    std::filesystem::path config = {};
  };
  // What the records say of guests that are not found stays, until a source says that they are
  // gone.
  Keeper(Loop& loop, config::Config config, GuestRecords records, Programs programs, Calls calls);
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  // What sources call.
  SourceEvents events();
  void add(std::unique_ptr<GuestSource> source) { sources_.push_back(std::move(source)); }
  // What holds for the guest: what is configured, and what its definition may ask for.
  config::GuestPolicy policy_of(const GuestId& guest) const { return asked_of(guest).policy; }
  bool has_sources() const { return !sources_.empty(); }
  const config::Config& config() const { return config_; }
  // For crashes to come, and for those whose policy is still due.
  void configure(config::Config config);

  // Completes what is left in the store, in a process; then `done`, if there is one.
  void recover(std::function<void()> done);
  // Begins nothing new. Jobs end, those that make a flash report some seconds later; the next start
  // goes on with their crashes. Those that have read their guest's memory, which may be gone now,
  // get the time to write it. Then calls `done`. Jobs whose guests were carried on outlive this.
  void stop(std::function<void()> done);

  // Of guests whose sockets were in that folder, those are gone whose sockets are not there.
  void look_for_sockets(const std::filesystem::path& folder);

  // All guests that run, or have a record. A guest is forgotten when its QEMU has ended and there
  // is nothing to remember of it.
  std::vector<GuestId> guests() const;
  // The word of its state, phase_name().
  std::string state_of(const GuestId& guest) const;
  // Whether it would stand still after a panic, until its memory is read: it is armed, or its owner
  // wants that.
  bool stands_after_panic(const GuestId& guest);
  // The record of a guest. It stays where it is.
  GuestRecord& record_of(const GuestId& guest) { return guest_of(guest).record; }
  void save(const GuestRecord& record, RecordWriter::Done done);

 private:
  struct Guest {
    GuestId id;
    GuestRecord record;
    GuestMachine machine;
    std::unique_ptr<JobProcess> job = nullptr;
    std::optional<StartJob> begun = {};  // the job that runs or waits
    std::optional<StartJob> next = {};   // begins when the process of the one before has ended
    bool flashing = false;               // its flash report is being made
    bool read = false;                   // its memory is read or sent, and is written
    bool ended = false;                  // it has told its end
    bool lent = false;                   // to the job
    Loop::Timer timer = 0;
    std::deque<Action> actions = {};  // to be done, in their order
    bool performing = false;          // the first of them is being done
    bool saving = false;              // the others wait until the record is on disk
    unsigned open = 0;                // calls that will come back: deeds, refusals, recoveries
    bool heard_of = false;            // by a source
    std::uint64_t gone_since = 0;     // rises with each guest that ends; 0: it is there
    std::vector<std::string> not_granted = {};  // of what its definition asks for
  };

  void on_event(const GuestId& id, const acquire::GuestEvent& event);
  Guest& guest_of(const GuestId& id);
  config::Asked asked_of(const GuestId& id) const;
  void learn_policy(Guest& guest);
  GuestSource* source_of(const GuestId& id) const;
  GuestFacts facts_of(const Guest& guest) const;
  // Does all of it, in order, and gives turns. What follows Remember waits until the record is on
  // disk: nothing is done with a guest that a vmcored after this one could not know of.
  void perform(Guest& guest, Actions actions);
  void go_on(Guest& guest);
  // The guests that belong to a source and were not heard of since the start: their QEMUs are gone.
  void end_missing(const std::function<bool(const GuestId&)>& belongs);
  void on_gone(Guest& guest);
  static bool can_be_forgotten(const Guest& guest);
  void forget_if_done(const Guest& guest);

  void do_one(Guest& guest, const StartJob& job);
  void do_one(Guest& guest, const EndJob& end);
  void do_one(Guest& guest, const FinishJob& finish);
  void do_one(Guest& guest, const Leave& leave);
  void do_one(Guest& guest, const DoDeed& deed);
  void do_one(Guest& guest, const Remember& remember);
  void do_one(Guest& guest, const NotePolicy& note);
  void do_one(Guest& guest, const Recover& recover);
  void do_one(Guest& guest, const RemoveParts& remove);
  void do_one(Guest& guest, const Adopt& adopt);
  void do_one(Guest& guest, const Wait& wait);
  void do_one(Guest& guest, const Settle& settle);
  void do_one(Guest& guest, const Say& said);

  // Looks for it after that time, and again after twice that.
  void adopt(const GuestId& guest, std::uint64_t event_us, std::chrono::seconds wait);
  void on_adopted(const GuestId& guest, std::uint64_t event_us,
                  const std::optional<FoundCrash>& crash);
  Result<> run_job(Guest& guest);
  JobPlaces places() const { return {config_.store, programs_.config}; }
  // The part of the host that a job may take.
  job::Budget share() const;
  // The job ends with the error, and never began.
  void refuse(const std::string& key, Error error);
  void on_text(const std::string& key, std::string_view text);
  void on_job_ended(const std::string& key, const JobExit& exit);
  void tell(Guest& guest, const JobNews& news);
  void give_back(Guest& guest, bool usable);
  void give_turns();
  // Those that make a flash report as well.
  void end_jobs(bool flashing);
  bool is_idle() const;
  void look_whether_idle();

  Loop& loop_;
  config::Config config_;
  RecordWriter records_;
  Programs programs_;
  Calls calls_;
  std::vector<std::unique_ptr<GuestSource>> sources_ = {};
  std::map<std::string, Guest> guests_ = {};  // by GuestId::key()
  std::uint64_t last_gone_ = 0;
  DumpQueue queue_;
  std::map<std::uint64_t, std::unique_ptr<JobProcess>> recoveries_ = {};
  std::uint64_t last_recovery_ = 0;
  unsigned deeds_ = 0;  // that are being done
  unsigned notes_ = 0;  // that are being written to the store
  bool stopping_ = false;
  std::function<void()> stopped_ = {};
};

}  // namespace vmcore::daemon
