// What a worker asks to be copied out of the process that runs a guest.
//
// A worker reads guest bytes, so it may not trace processes; reading by the descriptors that it has
// (/proc/PID/mem) takes the kernel twice as long as process_vm_readv(2), which asks for the right
// to trace each time. While a guest waits, whoever has that right reads for the worker.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/acquire/process/guest_process.h"
#include "src/base/result.h"
#include "src/image/source.h"
#include "src/sandbox/copy_room.h"

namespace vmcore::acquire {

// The entries as they were at one moment. Errc::malformed where there are too many, where one is
// not within one of `pieces`, in the process, and within the `room` bytes of pages, or where they
// are together more than these.
Result<std::vector<sandbox::CopyEntry>> checked_entries(std::span<const sandbox::CopyEntry> table,
                                                        std::uint64_t count,
                                                        std::span<const Piece> pieces,
                                                        std::uint64_t room);

// Copies what the first `count` entries of the room's table ask for, and writes into each how much
// of it could be had. `pieces` are those that the worker was told of. Errc::malformed as above, and
// nothing was copied; Errc::not_found where the process has ended.
Result<> copy_for_worker(const GuestProcess& process, std::span<const Piece> pieces,
                         const sandbox::CopyRoom& room, std::uint64_t count);

}  // namespace vmcore::acquire
