// SPDX-License-Identifier: GPL-2.0-or-later
// Threads for work that can be divided.
#pragma once

#include <system_error>
#include <thread>
#include <vector>

namespace vmcore {

// Calls work(0) on this thread and work(1) to work(threads - 1) on others, and returns when all
// have returned. If the system has no more threads, fewer calls are made: the calls must divide the
// work among themselves, and must not wait for each other.
template <class Work>
void on_threads(unsigned threads, Work work) {
  std::vector<std::jthread> helpers;
  for (unsigned i = 1; i < threads; ++i) {
    try {
      helpers.emplace_back([&work, i] { work(i); });
    } catch (const std::system_error&) {  // EAGAIN: std::thread has no other way to say it
      break;
    }
  }
  work(0);
}

}  // namespace vmcore
