// Threads for work that can be shared out.
#pragma once

#include <system_error>
#include <thread>
#include <vector>

namespace vmcore {

// Calls work(0) on this thread and work(1) to work(threads - 1) on others, and returns when all are
// through. Where the system has no more threads to give, fewer do the work: calls must share it out
// among themselves, not count on each other.
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
