// One dump of a guest from the host's view: pause, worker, staging, commit; and how the guest
// fared.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/method.h"
#include "src/base/result.h"
#include "src/job/convert_job.h"
#include "src/job/interrupt.h"

namespace vmcore::job {

struct GuestDumpOptions {
  acquire::Selection guest;
  DumpOptions dump;
  std::filesystem::path output;  // empty: named after the guest, in the current folder; "-": stdout
  std::filesystem::path spool;   // empty: the output's folder
  acquire::Then then = acquire::Then::nothing;
  bool torn = false;  // a running guest runs on while its memory is read (method direct)
  // A running guest that would probably stand still for longer is not touched (Errc::limit). Zero:
  // there is no limit.
  std::chrono::milliseconds pause_limit{2000};
};

// How the guest fared.
struct GuestReport {
  std::string name;
  std::string method;             // that was taken
  std::vector<Remark> remarks;    // why no better one
  std::uint64_t memory_size = 0;  // bytes of RAM
  acquire::GuestState before;
  std::optional<acquire::GuestState> after;    // the dump, before `then`; empty: not to be seen
  std::string consistency;                     // "stopped" (it did not run), "pause" or "torn"
  std::optional<acquire::Microseconds> pause;  // zero where it stood still already
  std::optional<std::int64_t> host_memory;     // bytes by which its process grew meanwhile
  std::optional<Error> then_error;
  bool then_done = false;

  // It is in the state it was found in, or was brought into the one that was asked for.
  bool as_expected() const { return after == before && !then_error; }
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
