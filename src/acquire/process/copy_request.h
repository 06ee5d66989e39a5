// SPDX-License-Identifier: GPL-2.0-or-later
// The worker's requests to copy memory out of the process that runs a guest.
//
// A worker reads guest bytes, so it may not trace processes, and gets no descriptor of their
// memory: the program that has the right reads for it. process_vm_readv(2) takes the kernel half as
// long as a descriptor of /proc/PID/mem.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/acquire/process/guest_process.h"
#include "src/base/result.h"
#include "src/image/source.h"
#include "src/sandbox/copy_room.h"

namespace vmcore::acquire {

// The entries as they were at one moment. Errc::malformed if there are too many, if one is not
// within one of `pieces` in the process and within the `room` bytes of pages, or if they exceed
// these together.
Result<std::vector<sandbox::CopyEntry>> checked_entries(std::span<const sandbox::CopyEntry> table,
                                                        std::uint64_t count,
                                                        std::span<const Piece> pieces,
                                                        std::uint64_t room);

// Copies the first `count` entries of the room's table, and writes into each entry how many bytes
// were read. `pieces` are the pieces that the worker was told. Errc::malformed as above; then
// nothing is copied. Errc::not_found if the process has ended.
Result<> copy_for_worker(const GuestProcess& process, std::span<const Piece> pieces,
                         const sandbox::CopyRoom& room, std::uint64_t count);

// Reads one entry, which came by a line (sandbox/read_line.h), and returns how many of its bytes
// were read. Errc::malformed and Errc::not_found as above.
Result<std::uint64_t> read_for_worker(const GuestProcess& process, std::span<const Piece> pieces,
                                      const sandbox::CopyRoom& windows,
                                      const sandbox::CopyEntry& asked);

}  // namespace vmcore::acquire
