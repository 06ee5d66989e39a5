// GuestProcess: the process that runs a guest, and the guest's RAM in it.
//
// Held by a pidfd, so that a process that got the same number later is never read. Every address
// is bounded by the mappings that can be RAM: a QEMU that its guest has taken over can at most make
// us read its own memory. Whose process may be read at all is judged by who opens it
// (identity.h).
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/acquire/guest.h"
#include "src/acquire/process/maps.h"
#include "src/base/address.h"
#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/image/source.h"

namespace vmcore::acquire {

// A block of RAM that lies in one piece in the process.
struct RamBlock {
  PhysRange range;
  std::uint64_t address = 0;  // of its first byte, in the process
};

// Whether the process has a thread of that number, as it knows it itself (it may live in a
// container).
bool has_thread(pid_t pid, std::uint64_t thread);

class GuestProcess {
 public:
  // Opens the process. Errc::denied, with what it takes, where this user may not read its memory;
  // Errc::not_found where it is gone. `pidfd` is of the process, where somebody has one already.
  static Result<GuestProcess> open(pid_t pid, std::optional<Fd> pidfd = {});

  pid_t pid() const { return pid_; }
  std::optional<ProcessKey> key() const;
  bool has_thread(std::uint64_t thread) const { return acquire::has_thread(pid_, thread); }

  Result<std::vector<Mapping>> mappings() const;
  // Where the blocks lie now. Errc::malformed where one is no memory that can be RAM, Errc::denied
  // where a file that holds one cannot be had.
  Result<ImageSource> locate(std::span<const RamBlock> blocks) const;

  // Errc::not_found where the process has ended, or runs another program by now.
  Result<> check_same() const;
  // Copies by process_vm_readv(2); returns the bytes that come before the first that cannot be had.
  // What was copied is the guest's where check_same() holds before and afterwards.
  std::uint64_t copy(std::span<const iovec> from, std::span<const iovec> to) const;

 private:
  GuestProcess(pid_t pid, Fd pidfd, Fd memory, Fd pagemap)
      : pid_(pid),
        pidfd_(std::move(pidfd)),
        memory_(std::move(memory)),
        pagemap_(std::move(pagemap)) {}

  Result<> check_alive() const;
  Result<Fd> open_file(const Mapping& mapping) const;

  pid_t pid_;
  Fd pidfd_;
  Fd memory_;
  Fd pagemap_;
};

// The bytes of memory that the process has mapped and that are there, files included: proc(5),
// statm. Nothing where that cannot be seen.
std::optional<std::uint64_t> resident_bytes(pid_t pid);

// When the process of that number began; nothing where there is none.
std::optional<std::uint64_t> start_time(pid_t pid);

// The pieces of the blocks by the mappings alone: `file` is then the index of the mapping. A block
// that lies in several mappings is cut. Errc::malformed as above.
Result<std::vector<Piece>> pieces_of(std::span<const RamBlock> blocks,
                                     std::span<const Mapping> mappings);

}  // namespace vmcore::acquire
