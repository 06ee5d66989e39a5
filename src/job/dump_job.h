// SPDX-License-Identifier: GPL-2.0-or-later
// One dump of a guest from the host's view: pause, worker, staging, commit; and how the guest
// fared.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/method.h"
#include "src/base/result.h"
#include "src/job/convert_job.h"
#include "src/job/guest_report.h"
#include "src/job/interrupt.h"

namespace vmcore::job {

// What a dump of a running guest shows.
enum class Consistency : std::uint8_t {
  pause,     // one moment: it stands still while it is read
  torn,      // no single moment: it runs on while it is read (method direct)
  snapshot,  // one moment, after which it runs on: QEMU keeps that moment's memory
};

struct GuestDumpOptions {
  acquire::Selection guest;
  // The same guest, where it was opened a moment ago: to find its memory takes time. It is taken.
  std::shared_ptr<acquire::OpenedGuest> opened = {};
  DumpOptions dump;
  // As dump_target() gives it (output.h): empty, or a folder with a slash behind it: named after
  // the guest, in the current or that folder; "-": standard output.
  std::filesystem::path output;
  std::filesystem::path spool;  // empty: the output's folder
  acquire::Then then = acquire::Then::nothing;
  // `then` whatever became of the dump. Else only after a complete one; what holds more than was
  // asked is complete.
  bool then_always = false;
  // Asked before `then`, where somebody else keeps what went to standard output: an Error says why
  // it did not.
  std::function<Result<>()> confirm_kept = {};
  // A running guest that would probably stand still for longer is not touched, and one that does is
  // let go then (Errc::limit). Zero: there is no limit. A snapshot's pause has none, nor has that
  // of a domain that runs on in its panic, which loses nothing by it.
  std::chrono::milliseconds pause_limit{2000};
  Consistency consistency = Consistency::pause;
  bool locked = false;  // the caller has the guest's lock (guest_lock.h); else it is taken
  // How long the guest's lock is waited for while another vmcorectl has it.
  std::chrono::milliseconds lock_patience{0};
  std::uint64_t memory = 0;  // bytes: Budget::memory
  // Called when a running guest stands still for the dump, and again when it runs (its report then
  // has the pause). May be empty.
  std::function<void(const GuestReport&)> on_pause = {};
  // If it is not empty, the guest belongs to the caller again as soon as its memory is read: then
  // this is called, once, and the job neither asks nor touches the guest from then on. So `then`
  // must be nothing. The memory of a guest that does not run is copied first, too.
  std::function<void()> on_memory_read = {};
};

// Why `then` was not carried out, and how that is done by hand.
struct Withheld {
  std::string why;
  std::string by_hand;
};

struct GuestDumpResult {
  Result<DumpResult> dump;
  // Empty where nothing was begun: no such guest, or it is held by somebody else.
  std::optional<GuestReport> guest;
  std::optional<Withheld> withheld = {};
};

// The guest runs again, if it did, as soon as its memory is read; filtering and compression follow.
// `then` is carried out last; never after an interruption, nor where nothing was begun. Errc::busy
// where another vmcorectl of this user has the guest.
GuestDumpResult dump_guest(const GuestDumpOptions& options, Interrupt& interrupt,
                           const OnProgress& on_progress);

// A command line that dumps the guest as it stands then.
std::string dump_command(const acquire::Selection& guest);

// A domain whose guest panicked.
struct CrashedGuest {
  acquire::Selection guest;
  // Why it cannot be told whether it did: libvirt says so, and its memory cannot be read.
  std::optional<Error> doubt = {};
};
Result<std::vector<CrashedGuest>> crashed_guests(const std::string& libvirt_uri);

}  // namespace vmcore::job
