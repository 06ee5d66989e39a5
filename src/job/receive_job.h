// SPDX-License-Identifier: GPL-2.0-or-later
// One dump that a guest's own capture kernel sends, from the host's view: wait, room, worker,
// staging, commit. The guest is neither asked nor touched.
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
  std::filesystem::path output;              // as of GuestDumpOptions
  std::filesystem::path spool;               // empty: the output's folder
  std::chrono::seconds wait{0};              // for the stream to begin; zero: for ever
  std::chrono::seconds idle{60};             // of silence in it
  std::chrono::seconds deadline{3600};       // from its begin to its end
  std::optional<std::uint64_t> memory = {};  // bytes that the guest has at most
  std::optional<std::uint64_t> most = {};    // bytes of its memory that are taken
  std::filesystem::path key;                 // the file of the key that it is sealed to, or empty
  // Crashes the guest: called when the line is open, before anything is waited for; an Error ends
  // the job.
  std::function<Result<>()> crash = {};
};

// What arrived, whatever became of the dump.
struct ReceiveReport {
  std::string name;
  std::string waits_for = {};  // whom, and by which line, once that is open; empty: nobody
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

// The kernel log is saved beside the dump as OUTPUT.dmesg as soon as it is complete, before any
// page arrives; nothing undoes that. `on_report` is called when the report has something new. Many
// clients are read at once, and the first that begins a stream is used; a client that begins none
// delays nobody else. A stream over TCP must be sealed. This process holds the line while it waits
// (Errc::busy if another process holds it), and the guest as soon as its stream begins
// (guest_lock.h). A stream that breaks is kept as an incomplete dump. An interruption ends the
// line, and what has arrived is kept; if not one page has arrived, or on a second interruption, the
// job ends with Errc::cancelled.
ReceiveResult receive(const ReceiveOptions& options, Interrupt& interrupt,
                      const OnReport& on_report, const OnProgress& on_progress);

}  // namespace vmcore::job
