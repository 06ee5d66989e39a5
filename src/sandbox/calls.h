// SPDX-License-Identifier: GPL-2.0-or-later
// The system calls that a worker may make, by its job. docs/SECURITY.md has the same table.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "src/base/result.h"
#include "src/sandbox/messages.h"

namespace vmcore::sandbox {

// What a job does, as far as it decides about calls. A job is several of them, as bits.
enum Use : std::uint8_t {
  kAll = 1,     // every job
  kMemory = 2,  // reads memory: all but the text of a log
  kGuest = 4,   // reads it in the process of a guest
  kSpool = 8,   // spools what comes
  kDump = 16,   // writes a dump
};
unsigned uses_of(const Request& request);

// One row: the call, the jobs that make it, and what for.
struct Call {
  std::string_view name;
  int number;
  unsigned uses;
  std::string_view why;
};
std::span<const Call> calls();

// From here on, every other call kills this process (SIGSYS), and there is no way back. Call it
// while there is one thread. Two calls are answered, because the C library tries them and goes on
// without: clone3 is not there, and openat may not. Errc::denied where the kernel refuses it. Does
// nothing in a build with sanitizers, which make calls of their own.
Result<> permit_calls(unsigned uses);

}  // namespace vmcore::sandbox
