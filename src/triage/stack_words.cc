// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/stack_words.h"

#include <span>

namespace vmcore::triage {

std::vector<VirtAddr> mentions_of(const Knowledge& knowledge, const kernel::Task& task) {
  constexpr std::uint64_t kStackBytes = 16 << 10;  // that are looked at
  constexpr std::uint64_t kWord = 8;
  std::vector<VirtAddr> places;
  if (task.thread_sp < task.stack || task.thread_sp - task.stack >= kStackBytes) {
    return places;
  }
  std::vector<std::uint64_t> words((kStackBytes - (task.thread_sp - task.stack)) / kWord);
  const auto read = knowledge.kernel.read(task.thread_sp, std::as_writable_bytes(std::span(words)));
  const std::size_t good = read ? read->good / kWord : 0;
  for (std::size_t i = 0; i < good; ++i) {
    if (words[i] == task.address.value) {
      places.push_back(task.thread_sp + i * kWord);
    }
  }
  return places;
}

}  // namespace vmcore::triage
