// SPDX-License-Identifier: GPL-2.0-or-later
// Locks of a store: one file for the store, which whoever names or removes a crash holds, and one
// in the folder of each crash, which its writer holds alone and its readers share. flock(2): the
// kernel gives them back when a program ends, however it ends.
#pragma once

#include <cstdint>
#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::vault {

inline constexpr const char* kLockName = "lock";

enum class Hold : std::uint8_t {
  alone,      // waits for all others
  alone_now,  // Errc::busy where somebody has it
  shared,     // waits for whoever has it alone
};

// Locks the folder's file `lock`, mode 0600, which is made where `create` says so. The lock lasts
// as long as the descriptor.
Result<Fd> lock_folder(int folder, Hold hold, bool create);

// Whether another program has the file open (fcntl(2), F_SETLEASE); false where that cannot be
// told: it needs the file's owner, and a file system that has leases.
bool is_open_elsewhere(int folder, const std::string& name);

}  // namespace vmcore::vault
