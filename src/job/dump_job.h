// One dump of a guest from the host's view: pause, worker, staging, commit; and how the guest
// fared.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
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
  DumpOptions dump;
  std::filesystem::path output;  // empty: named after the guest, in the current folder; "-": stdout
  std::filesystem::path spool;   // empty: the output's folder
  acquire::Then then = acquire::Then::nothing;
  // A running guest that would probably stand still for longer is not touched (Errc::limit). Zero:
  // there is no limit.
  std::chrono::milliseconds pause_limit{2000};
  Consistency consistency = Consistency::pause;
};

struct GuestDumpResult {
  Result<DumpResult> dump;
  // Empty where nothing was begun: no such guest, or it is held by somebody else.
  std::optional<GuestReport> guest;
};

// The guest runs again, if it did, as soon as its memory is read; filtering and compression follow.
// `then` is carried out whether or not the dump succeeded, but not after an interruption, and not
// where nothing was begun.
GuestDumpResult dump_guest(const GuestDumpOptions& options, Interrupt& interrupt,
                           const OnProgress& on_progress);

// The domains whose guest panicked.
Result<std::vector<acquire::Selection>> crashed_guests(const std::string& libvirt_uri);

}  // namespace vmcore::job
