// SPDX-License-Identifier: GPL-2.0-or-later
// Crashes a guest on purpose: its own capture kernel sends the dump. If that stays silent or breaks
// off, the guest is dumped from outside, as the kernel that crashed.
#pragma once

#include <functional>
#include <optional>

#include "src/acquire/crash/trigger.h"
#include "src/base/result.h"
#include "src/job/dump_job.h"
#include "src/job/receive_job.h"

namespace vmcore::job {

struct CrashOptions {
  acquire::CrashBy by = acquire::CrashBy::nmi;
  // Its `wait` is how long the capture kernel may be silent. Without a `from` the guest has no
  // channel: then `wait` is how long the crash may take to become visible.
  ReceiveOptions receive;
  GuestDumpOptions outside;  // the same guest; the same output
  // Crash the guest even if no capture kernel is known to be loaded (except a domain that libvirt
  // would end), or if it has no channel for its dump.
  bool unarmed_too = false;
  // Called with the guest's name before anything happens to it; if it returns false, nothing does.
  std::function<bool(const std::string& guest)> confirm;
};

struct CrashResult {
  // What the guest's own kernel sent; an error of its own if that is nothing, or incomplete.
  ReceiveResult received;
  // The dump from outside, if there had to be one. Then its file, not the received one, has the
  // name.
  std::optional<GuestDumpResult> outside = {};
  // That dump shows no crash: the guest did not crash, or has booted again since.
  bool shows_no_crash = false;
};

// An Error if the guest was not touched: it does not exist, does not run, has crashed already, has
// no capture kernel, another process holds it or its channel (Errc::busy, with its name), or
// `confirm` returned false (Errc::cancelled). Otherwise the guest was told to crash.
Result<CrashResult> crash_and_receive(const CrashOptions& options, Interrupt& interrupt,
                                      const OnReport& on_report, const OnProgress& on_progress);

}  // namespace vmcore::job
