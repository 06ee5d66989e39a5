// SPDX-License-Identifier: GPL-2.0-or-later
// GuestProcess: the process that runs a guest, and the guest's RAM in it.
//
// It is held by a pidfd, so that a later process with the same number is never read. Every address
// is bounded by the mappings that can be RAM: a QEMU that its guest has taken over can at most make
// us read QEMU's own memory. The caller decides whose process may be read at all (identity.h).
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

// Whether the process has a thread of that number, in the numbering of its own PID namespace.
bool has_thread(pid_t pid, std::uint64_t thread);

class GuestProcess {
 public:
  // Opens the process. Errc::denied, with the requirements, if this user may not read its memory;
  // Errc::not_found if it has ended. `pidfd`, if any, is of the process.
  static Result<GuestProcess> open(pid_t pid, std::optional<Fd> pidfd = {});

  pid_t pid() const { return pid_; }
  std::optional<ProcessKey> key() const;
  bool has_thread(std::uint64_t thread) const { return acquire::has_thread(pid_, thread); }

  Result<std::vector<Mapping>> mappings() const;
  // The current places of the blocks. Errc::malformed if a block lies in a mapping that cannot be
  // RAM, Errc::denied if the file of a block cannot be opened.
  Result<ImageSource> locate(std::span<const RamBlock> blocks) const;

  // Errc::not_found if the process has ended, or runs another program now.
  Result<> check_same() const;
  // Copies with process_vm_readv(2); returns the number of bytes before the first unreadable one.
  // The copy is the guest's if check_same() holds before and afterwards.
  std::uint64_t copy(std::span<const iovec> from, std::span<const iovec> to) const;
  // The same by the descriptor of its memory, which takes twice as long, reads also what is mapped
  // without access, and never reads another process.
  std::uint64_t read(std::uint64_t address, std::span<std::byte> out) const;

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

// The resident bytes of the process, files included: proc(5), statm. Nothing if that is not
// visible.
std::optional<std::uint64_t> resident_bytes(pid_t pid);

// The start time of the process with that number; nothing if there is none.
std::optional<std::uint64_t> start_time(pid_t pid);

// The pieces of the blocks by the mappings alone: `file` is then the index of the mapping. A block
// that lies in several mappings is cut. Errc::malformed as above.
Result<std::vector<Piece>> pieces_of(std::span<const RamBlock> blocks,
                                     std::span<const Mapping> mappings);

}  // namespace vmcore::acquire
