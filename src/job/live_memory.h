// SPDX-License-Identifier: GPL-2.0-or-later
// LiveMemory: reads the memory of a guest that is not paused, for another program. That program
// asks for each piece. It gets answers, and no descriptor of the guest's process or files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/acquire/method.h"
#include "src/acquire/process/guest_process.h"
#include "src/base/address.h"
#include "src/base/result.h"
#include "src/image/source.h"

namespace vmcore::job {

// What is sent on a line, a SOCK_SEQPACKET socket. The answer is a zero byte, and the bytes before
// the first one that cannot be read.
struct LiveRequest {
  std::uint64_t address = 0;  // guest-physical
  std::uint64_t size = 0;     // at most kMostLive
};
inline constexpr std::size_t kMostLive = 64 << 10;

class LiveMemory {
 public:
  // Finds the guest's RAM as for a dump by method direct. No monitor or connection stays open, for
  // others need it: a QMP socket serves one client.
  static Result<LiveMemory> open(acquire::Selection guest);

  std::vector<PhysRange> ram() const;
  // Returns how many bytes could be read. Errc::not_found if the guest's process has ended.
  Result<std::size_t> read(PhysAddr address, std::span<std::byte> out) const;
  // Receives a request and answers it. Errc::io where the other end is closed; Errc::malformed for
  // another message.
  Result<> answer(int line) const;

 private:
  LiveMemory(acquire::GuestProcess process, ImageSource source)
      : process_(std::move(process)), source_(std::move(source)) {}

  acquire::GuestProcess process_;
  ImageSource source_;
};

}  // namespace vmcore::job
