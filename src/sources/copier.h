// SPDX-License-Identifier: GPL-2.0-or-later
// Copier: asks the program that started us to copy memory out of the guest's process into the room
// that it shares with us: it may trace that process, and we may not.
#pragma once

#include <span>

#include "src/base/result.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/copy_room.h"

namespace vmcore::sources {

class Copier {
 public:
  // `channel` and `room` are borrowed.
  Copier(const sandbox::Channel& channel, const sandbox::CopyRoom& room)
      : channel_(channel), room_(room) {}

  std::span<std::byte> room() const { return room_.pages(); }
  // Copies the entries, and leaves in each how much of it was read. Use it from one thread at a
  // time, while nothing else uses the channel.
  Result<> copy(std::span<sandbox::CopyEntry> entries) const;

 private:
  const sandbox::Channel& channel_;
  const sandbox::CopyRoom& room_;
};

}  // namespace vmcore::sources
