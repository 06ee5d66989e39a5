// SPDX-License-Identifier: GPL-2.0-or-later
// A thread that the host may have no room for.
#pragma once

#include <system_error>
#include <utility>

#include "src/base/result.h"

namespace vmcore {

// `Thread`: std::thread, std::jthread. Errc::busy if the system starts no more threads: the
// standard library has no other way to say that than an exception.
template <class Thread, class Work>
Result<Thread> start_thread(Work work) {
  try {
    return Thread(std::move(work));
  } catch (const std::system_error& error) {
    return fail(Errc::busy, "no thread can be started: {}", error.what());
  }
}

}  // namespace vmcore
