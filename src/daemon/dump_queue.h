// SPDX-License-Identifier: GPL-2.0-or-later
// DumpQueue: which guest is dumped next if more guests wait than may be dumped at the same time:
// the guest whose last turn is longest ago. So a guest that crashes again and again delays no
// other guest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace vmcore::daemon {

class DumpQueue {
 public:
  explicit DumpQueue(std::size_t most) : most_(most) {}

  void set_most(std::size_t most) { most_ = most; }
  void add(const std::string& guest);
  // It does not wait any more, or its turn is over.
  void remove(const std::string& guest);
  // The guest whose turn begins now; nothing where nobody waits, or as many as may are dumped.
  std::optional<std::string> next();

 private:
  static constexpr std::size_t kMostTurns = 4096;
  std::size_t most_;
  std::uint64_t count_ = 0;                     // of what was added, and of turns
  std::map<std::string, std::uint64_t> waits_;  // since when
  std::map<std::string, std::uint64_t> turns_;  // the last of each guest: the latest kMostTurns
  std::set<std::string> busy_;
};

}  // namespace vmcore::daemon
