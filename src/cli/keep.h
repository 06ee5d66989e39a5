// SPDX-License-Identifier: GPL-2.0-or-later
// `dump --keep` and `receive --keep`: the dump goes into the store, with its manifest, log and
// report; before it, with `--flash`, its flash report.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/job/convert_job.h"
#include "src/job/flash.h"
#include "src/report/crash_event.h"
#include "src/report/job_event.h"
#include "src/vault/vault.h"

namespace vmcore::cli {

struct KeepChoice {
  bool keep = false;
  StoreChoice store;
  // The most that the crashes of the guest take, if a service knows smaller limits than the
  // configuration.
  vault::GuestLimits guest;
  std::string event;  // the file that tells of the crash; empty: none
  // Of `dump`:
  bool flash = false;
  int go_fd = -1;
};

// Adds --keep, and with it --store, --config, --guest-size, --guest-count and --event. The options
// that `others` names say where else the dump goes.
void add_keep_options(CLI::App& command, KeepChoice& choice,
                      std::initializer_list<const char*> others);
// Behind it: --flash and --go-fd; --event needs --flash then. None can be given with the options in
// `others`.
void add_flash_options(CLI::App& command, KeepChoice& choice,
                       std::initializer_list<const char*> others);

// Waits for a byte. Errc::cancelled if the descriptor ends without one, or `cancel` is readable.
Result<> await_go(int go, int cancel);

class Keeping {
 public:
  // Makes the draft. It says who crashed, when and, if there is an event, who says so.
  // Errc::malformed if the event's file has none.
  static Result<Keeping> begin(const KeepChoice& choice, const vault::GuestKey& guest,
                               const Common& common);

  // Completes the drafts that others left in the store, and makes room for a dump of the guest.
  // Tells on standard error what it removes. Errc::no_space if there is no room.
  Result<> make_room();
  // Writes the flash report into the draft. From then on there is a crash to be committed,
  // whatever becomes of its dump.
  report::JobFlash keep_flash(const job::FlashReading& reading);
  // The same of the kernel log that the guest itself has sent into the draft.
  report::JobFlash keep_log_report();
  // Notes in the draft that memory is read. Call it before anybody may carry the guest on.
  void note_memory_read();
  // Decides whether memory is dumped: not that of a repeat. The manifest says why not.
  Result<bool> wants_memory();

  // The event says that its guest stands still, or is about to.
  bool guest_stops() const { return guest_stops_; }
  // Where the job writes the dump.
  std::filesystem::path output() const { return draft_.path() + "/vmcore"; }

  // Commits what is in the folder, once; further calls say what came of the first. `witness`, where
  // it is known: who says that the guest crashed.
  Result<> commit(const std::string& witness = {});
  // After the job: commits a dump that was kept, or what came without one, and gives `dump` the
  // path that it has now.
  void finish(Result<job::DumpResult>& dump, const std::string& witness = {});

  // Commits a crash of which no memory is dumped, and lets the limits of the store hold.
  Result<> finish_without_memory();

  // The path of a file in the draft, as it is after the commit.
  std::filesystem::path final_path(const std::filesystem::path& path) const;
  // The ID of the crash; empty where nothing was kept.
  std::string id() const { return kept_ && *kept_ ? (*kept_)->id : ""; }
  // Why memory was left out on purpose; empty: it was dumped, or the dump failed.
  const std::string& memory_left_out() const { return manifest_.memory_left_out; }
  // "kept as ID", for people; empty where nothing was kept.
  std::string told() const;
  // What was done with the guest then goes into the crash's state.
  void record(const report::SelfCheck& check) const;
  void record(const std::string& action, bool done, const std::string& error) const;

 private:
  Keeping(const KeepChoice& choice, const Common& common, std::unique_ptr<vault::Vault> vault,
          vault::Draft draft, report::Manifest manifest)
      : choice_(choice),
        common_(common),
        vault_(std::move(vault)),
        draft_(std::move(draft)),
        manifest_(std::move(manifest)) {}

  // Takes the limits from the configuration of the store.
  Result<> configure(Result<config::Config> config);
  // Since the event, or since this was begun.
  std::uint64_t since_crash_us() const;
  // Writes a file of the flash report, unless the text is empty. A failure goes to the manifest and
  // to `why`. Returns whether the file is there.
  bool add(const char* name, const std::string& text, std::string& why);
  void take_identity(const job::FlashReading& reading);
  // A draft that has it is a crash. One of a guest that is still to send its dump is none yet: a
  // guest that sends nothing is dumped next.
  Result<> keep_event();
  report::JobFlash finish_flash(bool kept, std::string why);

  const KeepChoice& choice_;
  const Common& common_;
  vault::Budget budget_ = vault::kUsualBudget;
  vault::MemoryPolicy memory_ = {};
  std::unique_ptr<vault::Vault> vault_;  // the draft borrows its descriptor
  vault::Draft draft_;
  report::Manifest manifest_;
  std::string draft_path_ = draft_.path();
  std::uint64_t crashed_us_ = 0;  // since the epoch
  bool has_flash_ = false;
  bool guest_stops_ = false;
  std::optional<report::CrashEvent> event_;  // that is not in the draft yet
  std::optional<Result<vault::KeptCrash>> kept_;
};

}  // namespace vmcore::cli
