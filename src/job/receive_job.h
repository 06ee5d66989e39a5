// One dump that a guest's own capture kernel sends, from the host's view: wait, room, worker,
// staging, commit. Nothing is asked of the guest, and it is not touched.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "src/acquire/method.h"
#include "src/base/result.h"
#include "src/job/convert_job.h"
#include "src/job/interrupt.h"

namespace vmcore::job {

struct ReceiveOptions {
  std::string from;          // acquire/crash/guest_line.h
  acquire::Selection guest;  // how a domain is looked up; or the monitor of another guest
  DumpOptions dump;
  std::filesystem::path output;  // empty: named after the guest, in the current folder; "-": stdout
  std::filesystem::path spool;   // empty: the output's folder
  std::chrono::seconds wait{0};  // for the stream to begin; zero: for ever
  std::chrono::seconds idle{60};             // of silence in it
  std::chrono::seconds deadline{3600};       // from its begin to its end
  std::optional<std::uint64_t> memory = {};  // bytes that the guest has at most
  std::optional<std::uint64_t> most = {};    // bytes of its memory that are taken
  std::filesystem::path key;                 // the file of the key that it is sealed to, or empty
  // Crashes the guest: called when the line is open, before anything is waited for; an Error ends
  // it.
  std::function<Result<>()> crash = {};
};

// What came, whatever became of the dump.
struct ReceiveReport {
  std::string name;
  std::optional<sandbox::Hello> hello;
  bool can_send = true;            // it has a channel
  std::string crash;               // who says that it crashed: convert/provenance.h
  std::string panic;               // the line of its log that says why it panicked
  std::filesystem::path log;       // where its kernel log was kept; empty where none came
  std::optional<Error> log_error;  // why it was not, or why its name may not survive a power cut
  std::string stray;               // why one that connected and began no stream was refused
  bool interrupted = false;        // so that the line was ended
};

struct ReceiveResult {
  Result<DumpResult> dump;
  ReceiveReport report;
};

using OnReport = std::function<void(const ReceiveReport&)>;

// The kernel log is kept beside the dump as OUTPUT.dmesg as soon as it is complete, before any page
// came; nothing undoes that. `on_report` is called when there is something new in the report.
// Where guests connect, many are heard at once, and the first that begins a stream is taken; one
// that begins none costs nobody else time. A stream over TCP must be sealed.
// The line is this process's alone as long as it waits (Errc::busy where it is another's), the
// guest as soon as its stream begins (guest_lock.h). What breaks on the way is kept as an
// incomplete dump. An interruption ends the line, so that what came is kept; where that is no page,
// and on another one, it is given up with Errc::cancelled.
ReceiveResult receive(const ReceiveOptions& options, Interrupt& interrupt,
                      const OnReport& on_report, const OnProgress& on_progress);

}  // namespace vmcore::job
