// SPDX-License-Identifier: GPL-2.0-or-later
// Guest: a guest of this host as one method reaches it: its state, its memory, and what can be done
// with it afterwards.
//
// The pause is a lease that QEMU holds, never a command of ours that we would have to take back:
// QEMU runs a dump into a pipe, the guest is paused while the dump runs, and the dump ends when the
// pipe's reader is gone. That reader is a process of its own (lease/hold.h).
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/address.h"
#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/image/capture.h"
#include "src/image/image.h"
#include "src/image/source.h"
#include "src/lease/holder.h"
#include "src/sandbox/messages.h"

namespace vmcore::acquire {

// The state of a guest, in the words of QEMU or libvirt: "running", "guest-panicked", "paused
// (user)".
struct GuestState {
  std::string name;
  bool running = false;
  bool operator==(const GuestState&) const = default;
};

// A process that lives, or lived, since this host booted: no two are alike.
struct ProcessKey {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  // in the kernel's ticks since boot: proc(5), stat
  bool operator==(const ProcessKey&) const = default;
};

// What is done with the guest after its dump.
enum class Then : std::uint8_t { nothing, resume, reset, destroy };

using Microseconds = std::chrono::microseconds;

// A dump of the guest that is going on.
class Lease {
 public:
  virtual ~Lease() = default;
  // Waits until the dump has ended, because it is complete or its reader has closed the pipe, and
  // until the guest runs again if it ran before. Returns the length of the pause. An Error if the
  // dump failed; the guest runs again all the same, otherwise the Error is Errc::guest_state. Call
  // once, when the holder has dropped the pipe.
  virtual Result<Microseconds> end() = 0;
  // Whether end() would return at once. A snapshot's input is complete then, and not before.
  virtual Result<bool> over() { return true; }
};

// The limits of acquire().
struct Patience {
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> until = {};  // by then a running guest has to run again
  int cancel = -1;                              // becomes readable when the dump is cancelled
  pid_t worker = 0;  // who reads what acquire() provides; 0: this process
  // Called before a pause that nobody can end early; may be empty.
  std::function<void()> has_no_end = {};
  // The time left, at most `most`.
  std::chrono::milliseconds left(std::chrono::milliseconds most) const {
    using std::chrono::milliseconds;
    return until ? std::clamp(std::chrono::ceil<milliseconds>(*until - Clock::now()),
                              milliseconds(0), most)
                 : most;
  }
  // Of a pause of a guest that runs otherwise (`running`), for the holder of its lease.
  lease::Terms terms(bool running, bool whole) const {
    return {.worker = worker, .until = until, .guarded = running, .whole = whole};
  }
};

// A guest's memory, as acquire() provides it.
struct Acquired {
  sandbox::Input input;
  Fd source;                                 // the input's "source", or the pipe of a process
  std::unique_ptr<Lease> lease;              // null where nothing is held
  std::optional<lease::Holder> holder = {};  // of a lease that is a pipe
  Fd header = {};                            // of a snapshot
};

class GuestProcess;

class Guest {
 public:
  virtual ~Guest() = default;

  // The name that its owner gave it: any text.
  virtual const std::string& name() const = 0;
  // A word that names this guest in commands, and no other one (acquire/commands.h).
  virtual std::string handle() const { return name(); }
  // The guest's identity for the note of a dump, without the host, which the caller fills in.
  // Fields that cannot be determined are empty; a dump does not fail for them.
  virtual GuestIdentity identity() { return {}; }
  // Its keys on this host, for locks (crash/guest_keys.h).
  virtual std::vector<std::string> keys() const = 0;
  // Effects of opening it that its owner has to know.
  virtual std::vector<Remark> remarks() const { return {}; }
  // The bytes of its RAM.
  virtual Result<std::uint64_t> memory_size() = 0;
  virtual Result<GuestState> state() = 0;
  // Bytes of the host's memory that its process uses; nothing if that cannot be seen.
  virtual std::optional<std::uint64_t> host_memory() = 0;
  // The process that runs it, if memory is read there; else null.
  virtual const GuestProcess* process() const { return nullptr; }
  // Errc::unsupported, with the reason, if no host can read its memory: it is encrypted.
  // Errc::guest_state if no method supports it, as far as that is known without a pause: it has
  // another architecture, or runs a 32-bit kernel.
  virtual Result<> check_readable() = 0;
  // Errc::busy, with the name of the job, if a dump, a migration or another job is running.
  virtual Result<> check_idle() = 0;
  // Undoes what a killed dump of ours left set in QEMU, and returns what was done. Call when the
  // guest is idle.
  virtual Result<std::vector<Remark>> mend() { return std::vector<Remark>{}; }

  // Whether the guest ran after a crash at the last state(): in its panic, or booted since. Its
  // memory shows which.
  virtual bool runs_after_crash() const { return false; }
  // Whether acquire() needs room for all of RAM, because it provides a stream.
  virtual bool needs_spool(const GuestState& state) const = 0;
  // Whether memory is read in QEMU's process: then acquire() provides a ProcessInput, and locate()
  // and look() work.
  virtual bool in_place() const = 0;
  // Bytes by which a dump may make the guest's memory on the host grow.
  virtual Result<std::uint64_t> growth() { return 0; }
  // Begins the dump. A running guest is paused until the lease ends. An Error if the dump does not
  // begin in time or is cancelled; the guest then runs again.
  virtual Result<Acquired> acquire(const GuestState& state, const Patience& patience) = 0;
  // For a FetchedInput: a dump file of that range. Errc::guest_state if the guest has run since
  // acquire().
  virtual Result<Fd> fetch(PhysRange range) = 0;
  // For a ProcessInput: the places of these blocks of RAM in the process. Each block is a PT_LOAD
  // of the dump that acquire() began.
  virtual Result<ImageSource> locate(std::span<const PhysRange> blocks) = 0;

  // Where its RAM lies, without a pause: for looking, not for dumps. The memory of devices is
  // missing. With registers, if these cost nothing. Errc::unsupported if the place is not known.
  virtual Result<ImageSource> look() = 0;
  // The registers of its vCPUs while it runs, each at its own moment. Errc::unsupported if they
  // cannot be read without a pause. This taints a libvirt domain, if that is allowed.
  virtual Result<std::vector<CpuState>> registers() {
    return fail(Errc::unsupported, "the registers of the guest cannot be read while it runs");
  }

  // Returns when it is done.
  virtual Result<> act(Then then) = 0;
};

}  // namespace vmcore::acquire
