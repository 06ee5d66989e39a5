// A guest that is crashed on purpose: its own panic kernel sends the dump; where that stays silent,
// or breaks off, the guest is dumped from outside, as the kernel that crashed.
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
  // Its `wait` is how long the panic kernel may stay silent; without a `from` the guest has no
  // channel: then it is how long the crash may take to be seen.
  ReceiveOptions receive;
  GuestDumpOptions outside;  // the same guest; the same output
  // Also where no panic kernel is seen to be loaded, but for a domain that libvirt would end then;
  // and where the guest has no channel to send its dump through.
  bool unarmed_too = false;
  // Asked with the guest's name before anything happens to it; false: nothing does.
  std::function<bool(const std::string& guest)> confirm;
};

struct CrashResult {
  // What the guest's own kernel sent: an error of its own where that is none, or incomplete.
  ReceiveResult received;
  // From outside, where that had to be. Its file, not the one received, has the name then.
  std::optional<GuestDumpResult> outside = {};
  // That dump shows no crash: the guest did not crash, or has booted again since.
  bool shows_no_crash = false;
};

// An Error where the guest was not touched: it is not there, does not run, has crashed already, is
// not armed, another process has it or its channel (Errc::busy, naming that), or `confirm` said no
// (Errc::cancelled). Else it was told to crash.
Result<CrashResult> crash_and_receive(const CrashOptions& options, Interrupt& interrupt,
                                      const OnReport& on_report, const OnProgress& on_progress);

}  // namespace vmcore::job
