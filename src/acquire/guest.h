// SPDX-License-Identifier: GPL-2.0-or-later
// Guest: a guest of this host as one method reaches it: how it stands, how its memory is had, what
// is done with it afterwards.
//
// The pause is a lease that QEMU holds, never a command of ours that would have to be taken back:
// a dump of QEMU's own runs into a pipe, the guest stands still while it runs, and it ends when the
// pipe's reader is gone, whatever became of us.
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
#include "src/sandbox/messages.h"

namespace vmcore::acquire {

// How a guest stands, in the words of what runs it: "running", "guest-panicked", "paused (user)".
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
  // Waits for the end of the dump, which comes when it is through or its reader has closed the
  // pipe, and for the guest to run again if it did before. Returns for how long it stood still.
  // Where the dump did not reach its end: why. The guest runs again all the same, else it is
  // Errc::guest_state. Call once, when the reader is done or gone.
  virtual Result<Microseconds> end() = 0;
  // Whether end() would return at once. A snapshot's input is complete then, and not before.
  virtual Result<bool> over() { return true; }
};

// What acquire() waits for no longer than.
struct Patience {
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> until = {};  // by when a running guest has to run again
  int cancel = -1;                              // readable when the dump is given up
  // Called before a pause begins that nobody can end early; may be empty.
  std::function<void()> has_no_end = {};
  // What is left until then, and no more than `most`.
  std::chrono::milliseconds left(std::chrono::milliseconds most) const {
    using std::chrono::milliseconds;
    return until ? std::clamp(std::chrono::ceil<milliseconds>(*until - Clock::now()),
                              milliseconds(0), most)
                 : most;
  }
};

// How the memory of a guest comes.
struct Acquired {
  sandbox::Input input;
  Fd source;                     // the input's "source", or the pipe of a process
  std::unique_ptr<Lease> lease;  // null where nothing is held
  Fd header = {};                // of a snapshot
};

class GuestProcess;

class Guest {
 public:
  virtual ~Guest() = default;

  // As its owner named it: any text.
  virtual const std::string& name() const = 0;
  // What commands take for no other guest (acquire/commands.h).
  virtual std::string handle() const { return name(); }
  // The guest's identity for the note of a dump, without the host, which the caller fills in.
  // Fields that cannot be determined are empty; a dump does not fail for them.
  virtual GuestIdentity identity() { return {}; }
  // By what it is known on this host (crash/guest_keys.h).
  virtual std::vector<std::string> keys() const = 0;
  // What opening it did that its owner has to know.
  virtual std::vector<Remark> remarks() const { return {}; }
  // The bytes of its RAM.
  virtual Result<std::uint64_t> memory_size() = 0;
  virtual Result<GuestState> state() = 0;
  // The bytes of the host's memory that its process takes; nothing where that cannot be seen.
  virtual std::optional<std::uint64_t> host_memory() = 0;
  // The process that runs it, where memory is read in it; else null.
  virtual const GuestProcess* process() const { return nullptr; }
  // Errc::unsupported, with the reason, where no host can read its memory: it is encrypted.
  // Errc::guest_state where no method can do with it, as far as that is known without a pause: it
  // is of another architecture, or runs a 32-bit kernel.
  virtual Result<> check_readable() = 0;
  // Errc::busy, naming it, where a dump, a migration or another job is going on.
  virtual Result<> check_idle() = 0;
  // Undoes what a dump of ours that was killed left set in QEMU; what was done. Call where it is
  // idle.
  virtual Result<std::vector<Remark>> mend() { return std::vector<Remark>{}; }

  // Whether the last state() told that it runs after a crash: in its panic, or booted since. Its
  // memory tells which.
  virtual bool runs_after_crash() const { return false; }
  // Whether acquire() needs room for all of RAM: it brings a stream, not memory that is fetched.
  virtual bool needs_spool(const GuestState& state) const = 0;
  // Whether memory is read where it lies: acquire() then brings a ProcessInput, and locate()
  // and look() can be asked.
  virtual bool in_place() const = 0;
  // By how many bytes the guest's memory on the host may grow for it.
  virtual Result<std::uint64_t> growth() { return 0; }
  // Begins. A running guest stands still from here on until the lease ends. Where the dump does not
  // begin in time, or is given up, it is an Error, and the guest runs again all the same.
  virtual Result<Acquired> acquire(const GuestState& state, const Patience& patience) = 0;
  // For a FetchedInput: a dump file of that range. Errc::guest_state if the guest has run since
  // acquire().
  virtual Result<Fd> fetch(PhysRange range) = 0;
  // For a ProcessInput: the places of these blocks of RAM in the process. Each block is a PT_LOAD
  // of the dump that acquire() began.
  virtual Result<ImageSource> locate(std::span<const PhysRange> blocks) = 0;

  // Where its RAM lies, without touching it: for looking, not for dumps. The memory of devices is
  // missing. With registers, where these cost nothing. Errc::unsupported where that cannot be told.
  virtual Result<ImageSource> look() = 0;
  // The registers of its vCPUs while it runs on, each of its own moment. Errc::unsupported where
  // that cannot be had without a pause. A libvirt domain is tainted by it, where that is allowed.
  virtual Result<std::vector<CpuState>> registers() {
    return fail(Errc::unsupported, "the registers of the guest cannot be read while it runs");
  }

  // Returns when it is done.
  virtual Result<> act(Then then) = 0;
};

}  // namespace vmcore::acquire
