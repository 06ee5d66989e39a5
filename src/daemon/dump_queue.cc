// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/dump_queue.h"

#include <algorithm>
#include <utility>

namespace vmcore::daemon {

void DumpQueue::add(const std::string& guest) { waits_.try_emplace(guest, ++count_); }

void DumpQueue::remove(const std::string& guest) {
  waits_.erase(guest);
  busy_.erase(guest);
}

std::optional<std::string> DumpQueue::next() {
  if (waits_.empty() || busy_.size() >= most_) {
    return std::nullopt;
  }
  const auto rank = [this](const auto& waiting) {
    const auto turn = turns_.find(waiting.first);
    return std::pair(turn == turns_.end() ? 0 : turn->second, waiting.second);
  };
  const std::string guest = std::ranges::min_element(waits_, {}, rank)->first;
  waits_.erase(guest);
  turns_[guest] = ++count_;
  if (turns_.size() > kMostTurns) {
    turns_.erase(
        std::ranges::min_element(turns_, {}, [](const auto& turn) { return turn.second; }));
  }
  busy_.insert(guest);
  return guest;
}

}  // namespace vmcore::daemon
