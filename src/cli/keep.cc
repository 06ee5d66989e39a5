// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/keep.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <utility>
#include <vector>

#include "src/base/fd.h"
#include "src/base/printable.h"
#include "src/base/units.h"
#include "src/base/wall_clock.h"
#include "src/base/whole_file.h"
#include "src/cli/audit_trail.h"
#include "src/cli/dump_options.h"
#include "src/cli/size_option.h"
#include "src/cli/store.h"
#include "src/job/describe_crash.h"
#include "src/job/guest_report.h"
#include "src/report/crash_event.h"
#include "src/show/triage_text.h"

namespace vmcore::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostOfAnEvent = 256U << 10;

void note(const Common& common, const std::string& text) {
  if (!common.quiet) {
    print_remarks({{Errc::limit, text, Severity::fact}});
  }
}

std::uint64_t now_in_microseconds() {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, wall_clock().count()));
}

// Where `limits` says less of that guest.
vault::Budget with_limits(vault::Budget budget, const vault::GuestLimits& limits,
                          const std::string& guest) {
  if (limits.bytes || limits.count) {
    budget.of_guest = [of = budget, limits, guest](const std::string& name,
                                                   const std::string& uuid) {
      vault::GuestLimits most = of.limits_of(name, uuid);
      if (name == guest) {
        most.bytes = limits.bytes ? limits.bytes : most.bytes;
        most.count = limits.count ? limits.count : most.count;
      }
      return most;
    };
  }
  return budget;
}

bool has_log(const std::string& folder) {
  std::error_code ignored;
  return fs::exists(folder + "/" + job::kReceivedLogName, ignored);
}

Result<> remove_for(const vault::Vault& vault, const vault::Budget& budget,
                    const std::optional<vault::Wanted>& wanted, const Common& common) {
  TRY_ASSIGN(const vault::Pruned pruned, vault.prune(budget, wanted, now_in_seconds(), false));
  for (const report::ListedCrash& crash : pruned.removed) {
    audit_stored(audit::Deed::remove, crash, {}, "room");
    note(common, fmt::format("{} was removed to make room", crash.id));
  }
  if (wanted && !pruned.exceeded.empty()) {
    return fail(
        Errc::no_space,
        "{} has no room for a dump of about {} ({}), and no other crash may be removed: see "
        "vmcorectl list, rm and hold, or write the dump elsewhere with -o",
        vault.path(), human_size(wanted->bytes), pruned.exceeded);
  }
  return {};
}

report::Manifest begun(const vault::GuestKey& guest,
                       const std::optional<report::CrashEvent>& event) {
  report::Manifest manifest{.time = now_in_seconds(),
                            .capture = {.guest = {.name = guest.name, .host = job::node_name()}},
                            .from = guest.from,
                            .tool = std::string("vmcorectl ") + VMCORECTL_VERSION};
  if (event) {
    manifest.reason = report::reason_of(*event);
    manifest.witness = "event";
    GuestIdentity& identity = manifest.capture.guest;
    identity.name = event->guest.empty() ? guest.name : event->guest;
    identity.uuid = event->uuid;
  }
  return manifest;
}

// Nothing where no file is named.
Result<std::optional<report::CrashEvent>> read_event(const std::string& file) {
  if (file.empty()) {
    return std::nullopt;
  }
  const Fd open(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!open) {
    return fail_errno(errno, file);
  }
  TRY_ASSIGN(const std::string text, read_all(open.get(), file, kMostOfAnEvent));
  auto event = report::event_from_json(text);
  if (!event) {
    return in_context(std::move(event).error(), file);
  }
  return *std::move(event);
}

}  // namespace

void add_keep_options(CLI::App& command, KeepChoice& choice,
                      std::initializer_list<const char*> others) {
  CLI::Option* const keep =
      command.add_flag("--keep", choice.keep,
                       "Keep the dump in the store, with its manifest, kernel log and report");
  add_store_option(command, choice.store);
  takes_size(command.add_option_function<std::uint64_t>(
      "--guest-size", [&choice](std::uint64_t size) { choice.guest.bytes = size; },
      "The most that the crashes of this guest take in the store (2G)"));
  command.add_option("--guest-count", choice.guest.count,
                     "The most crashes of this guest in the store");
  for (const char* const one : {"--store", "--config", "--guest-size", "--guest-count"}) {
    command.get_option(one)->needs(keep);
  }
  command
      .add_option("--event", choice.event,
                  "For services: the file of the event that tells of the crash")
      ->needs(keep);
  for (const char* const other : others) {
    keep->excludes(command.get_option(other));
  }
}

void add_flash_options(CLI::App& command, KeepChoice& choice,
                       std::initializer_list<const char*> others) {
  CLI::Option* const flash = command.add_flag(
      "--flash", choice.flash,
      "Keep a report of the crash first, at once; a crash that repeats one of which the memory is "
      "kept gets nothing else");
  flash->needs(command.get_option("--keep"));
  command.get_option("--event")->needs(flash);
  command
      .add_option("--go-fd", choice.go_fd,
                  "For services: the descriptor from which a byte is read before memory is dumped")
      ->needs(flash)
      ->check(CLI::Range(3, 1 << 20));
  for (const char* const other : others) {
    flash->excludes(command.get_option(other));
  }
}

Result<> await_go(int go, int cancel) {
  pollfd waits[] = {{go, POLLIN, 0}, {cancel, POLLIN, 0}};
  while (::poll(waits, 2, -1) < 0) {
    if (errno != EINTR) {
      return fail_errno(errno, "poll");
    }
  }
  char byte = 0;
  if (waits[1].revents != 0) {
    return fail(Errc::cancelled, "interrupted before memory was dumped");
  }
  return ::read(go, &byte, 1) == 1
             ? Result<>()
             : fail(Errc::cancelled,
                    "--go-fd: it was closed before it said that memory is to be "
                    "dumped");
}

Result<Keeping> Keeping::begin(const KeepChoice& choice, const vault::GuestKey& guest,
                               const Common& common) {
  TRY_ASSIGN(const std::optional<report::CrashEvent> event, read_event(choice.event));
  auto config = config_of(choice.store);
  TRY_ASSIGN(const std::string folder, folder_of(choice.store, config));
  TRY_ASSIGN(vault::Vault opened, vault::Vault::open_to_write(folder));
  auto vault = std::make_unique<vault::Vault>(std::move(opened));
  TRY_ASSIGN(vault::Draft draft, vault->begin(0));
  Keeping keeping(choice, common, std::move(vault), std::move(draft), begun(guest, event));
  TRY(keeping.configure(std::move(config)));
  keeping.crashed_us_ = event && !event->found ? event->time_us : now_in_microseconds();
  // Before any file: a draft with files is completed, and must say of which guest it is.
  TRY(keeping.draft_.note(keeping.manifest_));
  keeping.event_ = event;
  keeping.guest_stops_ = event && report::stops_guest(*event);
  if (event && choice.flash) {
    TRY(keeping.keep_event());
    keeping.has_flash_ = true;
  }
  return keeping;
}

// With an event, a configuration that cannot be read is a remark: the crash is kept all the same.
Result<> Keeping::configure(Result<config::Config> read) {
  if (!read && choice_.event.empty()) {
    return tl::unexpected(std::move(read).error());
  }
  if (!read) {
    manifest_.remarks.push_back(
        {read.error().code, "the usual limits hold: " + read.error().message});
    return {};
  }
  const config::Config config = config_for(choice_.store, *std::move(read));
  const GuestIdentity& guest = manifest_.capture.guest;
  budget_ = with_limits(config.budget, choice_.guest, guest.name);
  memory_ = config.policy_of(guest.name, guest.uuid).memory;
  return {};
}

Result<> Keeping::make_room() {
  TRY_ASSIGN(const vault::Recovered recovered, vault_->recover(job::describe_crash));
  for (const vault::KeptCrash& crash : recovered.completed) {
    note(common_, fmt::format("{} was left by a program that ended; it is complete now", crash.id));
  }
  const vault::GuestKey guest = vault::guest_of(manifest_);
  TRY_ASSIGN(const std::uint64_t estimate, vault_->estimate_for(guest));
  TRY(remove_for(*vault_, budget_, vault::Wanted{estimate, guest}, common_));
  return draft_.expect(estimate);
}

std::uint64_t Keeping::since_crash_us() const {
  const std::uint64_t now = now_in_microseconds();
  return now - std::min(now, crashed_us_);
}

bool Keeping::add(const char* name, const std::string& text, std::string& why) {
  if (text.empty()) {
    return false;
  }
  const Result<> written = draft_.write(name, text);
  if (!written) {
    manifest_.remarks.push_back({written.error().code, written.error().message});
    why = why.empty() ? written.error().message : why;
  }
  return written.has_value();
}

void Keeping::take_identity(const job::FlashReading& reading) {
  GuestIdentity& guest = manifest_.capture.guest;
  const GuestIdentity& said = reading.identity;
  guest.name = said.name.empty() ? guest.name : said.name;
  guest.uuid = said.uuid.empty() ? guest.uuid : said.uuid;
  guest.qemu = said.qemu;
  manifest_.capture.consistency = reading.consistency;
}

// The most valuable file comes first, because the disk may be full.
report::JobFlash Keeping::keep_flash(const job::FlashReading& reading) {
  take_identity(reading);
  std::ranges::copy(reading.remarks, std::back_inserter(manifest_.remarks));
  const auto warning = std::ranges::find(reading.remarks, Severity::warning, &Remark::severity);
  std::string why = warning != reading.remarks.end() ? warning->text : "";
  bool kept = false;
  if (const auto& report = reading.report) {
    report::describe(manifest_, *report);
    const std::string screen = show::triage_screen(*report, manifest_.capture.guest.name);
    kept |= add(job::kReportTextName, screen, why);
  }
  kept |= add(job::kLogName, reading.log, why);
  kept |= add(job::kConsoleName, printable_lines(reading.console), why);
  kept |= add(job::kRegistersName, reading.registers, why);
  if (reading.report) {
    kept |= add(job::kReportName, report::to_json(*reading.report), why);
  }
  return finish_flash(kept, std::move(why));
}

report::JobFlash Keeping::keep_log_report() {
  const Fd log(::open((draft_path_ + "/" + job::kReceivedLogName).c_str(),
                      O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const auto report = log ? job::report_of_log(log.get(), -1) : fail_errno(errno, "the log");
  std::string why = report ? "" : report.error().message;
  if (report) {
    report::describe(manifest_, *report);
    add(job::kReportTextName, show::triage_screen(*report, manifest_.capture.guest.name), why);
    add(job::kReportName, report::to_json(*report), why);
  }
  return finish_flash(true, std::move(why));
}

report::JobFlash Keeping::finish_flash(bool kept, std::string why) {
  has_flash_ = has_flash_ || kept;
  manifest_.to_flash_us = kept ? std::optional(since_crash_us()) : std::nullopt;
  if (const Result<> synced = draft_.checkpoint(manifest_); !synced) {
    kept = false;
    why = synced.error().message;
  }
  return {
      .kept = kept, .why = std::move(why), .draft = draft_path_, .signature = manifest_.signature};
}

Result<bool> Keeping::wants_memory() {
  TRY_ASSIGN(const std::vector<report::ListedCrash> crashes, vault_->list());
  std::vector<vault::Stored> stored;
  std::ranges::transform(crashes, std::back_inserter(stored), vault::stored_of);
  const vault::MemoryVerdict verdict =
      vault::should_keep_memory(stored, vault::strong_signature(manifest_.signature),
                                vault::guest_of(manifest_), now_in_seconds(), memory_);
  manifest_.memory_left_out = verdict.why;
  manifest_.complete = !verdict.keep;
  return verdict.keep;
}

void Keeping::note_memory_read() {
  manifest_.memory_read = true;
  static_cast<void>(draft_.note(manifest_));  // it survives this program, which is enough
}

Result<> Keeping::keep_event() {
  const auto event = std::exchange(event_, std::nullopt);
  return event ? draft_.write(job::kEventName, report::to_json(*event)) : Result<>();
}

Result<> Keeping::commit(const std::string& witness) {
  if (!kept_) {
    if (manifest_.witness.empty()) {
      manifest_.witness = witness;
    }
    manifest_.to_dump_us = since_crash_us();
    if (const Result<> event = keep_event(); !event) {
      manifest_.remarks.push_back({event.error().code, event.error().message});
    }
    kept_ = draft_.commit(manifest_, job::describe_crash);
  }
  if (!*kept_) {
    return tl::unexpected(kept_->error());
  }
  const report::Manifest& manifest = (*kept_)->manifest;
  if (manifest.dump || !manifest.memory_left_out.empty() || manifest.remarks.empty()) {
    return {};
  }
  return fail(manifest.remarks.back().code, "{}: {}", (*kept_)->id, manifest.remarks.back().text);
}

void Keeping::finish(Result<job::DumpResult>& dump, const std::string& witness) {
  if (!dump && has_flash_) {
    manifest_.remarks.push_back({dump.error().code, "no dump was kept: " + dump.error().message});
  }
  if (!dump && (has_flash_ || has_log(draft_path_))) {
    static_cast<void>(commit(witness));
    return;
  }
  if (!dump) {
    return;
  }
  if (Result<> committed = commit(witness); !committed) {
    dump = tl::unexpected(std::move(committed).error());
    return;
  }
  dump->path = final_path(dump->path);
  if (const auto& doubt = (*kept_)->doubt) {
    dump->name_may_go = true;
    dump->summary.remarks.push_back(*doubt);
  }
}

Result<> Keeping::finish_without_memory() {
  TRY(commit());
  static_cast<void>(remove_for(*vault_, budget_, {}, common_));  // it is kept all the same
  return {};
}

fs::path Keeping::final_path(const fs::path& path) const {
  if (!kept_ || !*kept_ || path.empty()) {
    return path;
  }
  const fs::path name =
      path.filename() == job::kReceivedLogName ? fs::path(job::kLogName) : path.filename();
  return fs::path((*kept_)->path) / name;
}

std::string Keeping::told() const {
  return id().empty() ? "" : fmt::format("kept as       {}\n", printable(id()));
}

void Keeping::record(const report::SelfCheck& check) const {
  if (kept_ && *kept_) {
    static_cast<void>(vault_->set_self_check((*kept_)->id, check));
  }
}

void Keeping::record(const std::string& action, bool done, const std::string& error) const {
  if (kept_ && *kept_) {
    static_cast<void>(
        vault_->set_policy((*kept_)->id, {.action = action, .done = done, .error = error}));
  }
}

}  // namespace vmcore::cli
