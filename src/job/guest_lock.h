// GuestLock: a guest, or the line that it sends its dump through, that no other vmcorectl of this
// user has meanwhile.
//
// A file for each key (acquire/crash/guest_keys.h), in a folder that only the user may look into:
// so nobody else can hold it, and an unprivileged user cannot keep root from a guest. The lock is
// flock(2)'s, so that it ends with the process that holds it, of whatever that dies; workers do not
// inherit it. Other users are kept out by libvirt's and QEMU's own locks alone.
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
  // Takes all of the keys, or none; does not wait. `doing` tells others what the guest is held for:
  // "dumps the guest". Errc::busy, naming who holds it and what for; any other Error: nobody can
  // hold anything in that folder. The last part of the path is made where it is missing.
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

// In the folder of this user. Where nobody can hold anything there, a remark says so, and nothing
// is held: a dump matters more. Errc::busy as above.
Result<GuestLock> lock_guest(std::span<const std::string> keys, std::string_view doing,
                             std::vector<Remark>& remarks);

}  // namespace vmcore::job
