// SPDX-License-Identifier: GPL-2.0-or-later
// GuestLock: locks a guest, or the line through which it sends its dump, against other vmcorectl
// processes of this user.
//
// There is a file for each key (acquire/crash/guest_keys.h), in a folder with mode 0700: so nobody
// else can take the lock, and an unprivileged user cannot keep root from a guest. It is a flock(2)
// lock: it ends with the process that holds it, whatever ends that process; workers do not inherit
// it. Other users are kept out only by libvirt's and QEMU's own locks.
//
// A file goes with its lock; that of a process that was killed, when the next lock is taken.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::job {

class GuestLock {
 public:
  // Takes all of the keys, or none; does not wait. `doing` tells others why the guest is held:
  // "dumps the guest". Errc::busy, with the holder and its reason; any other Error: nobody can hold
  // anything in that folder. The last part of the path is created if it is missing.
  static Result<GuestLock> take(const std::filesystem::path& folder,
                                std::span<const std::string> keys, std::string_view doing);

  GuestLock() = default;  // holds nothing
  GuestLock(GuestLock&&) = default;
  GuestLock& operator=(GuestLock&& other) noexcept;
  ~GuestLock() { release(); }

  void release();

 private:
  struct Held {
    Fd file;
    std::filesystem::path path;
  };
  std::vector<Held> held_;
};

// Takes the lock in the folder of this user. If that is not possible there, a remark says so, and
// nothing is held: the dump matters more. Errc::busy as above.
Result<GuestLock> lock_guest(std::span<const std::string> keys, std::string_view doing,
                             std::vector<Remark>& remarks);

}  // namespace vmcore::job
