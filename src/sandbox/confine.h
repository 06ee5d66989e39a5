// SPDX-License-Identifier: GPL-2.0-or-later
// The rights that a worker gives up before it reads its first byte of a guest's. docs/SECURITY.md
// says why each.
#pragma once

#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/sandbox/messages.h"

namespace vmcore::sandbox {

// The worker's argument that allows it to be confined weakly.
inline constexpr std::string_view kAllowUnconfined = "--allow-unconfined";

// The number of a user that nobody else has while this process lives.
unsigned own_user();
// Becomes that user and group for good, without other groups.
Result<> become_user(unsigned user);

// Some parts must be had: system calls (seccomp), capabilities, not being the host's root, gaining
// no privileges. Where one cannot, the job is refused (Errc::denied). The others are had as far as
// the kernel goes; what is missing is a Remark.
class Confinement {
 public:
  // `allow_weak`: a part that must be had is a Remark as well (--allow-unconfined).
  explicit Confinement(bool allow_weak) : allow_weak_(allow_weak) {}

  // Gives up for good: root (for a user of its own, or else a user namespace of its own), every
  // capability, gaining privileges, every path (Landlock), core files, being traced by other
  // processes of the user, and living on when the thread that started it has ended. Call it first
  // in main, before there are threads.
  Result<> begin();
  // Limits it to what the job needs: memory, files, time, descriptors, and system calls. `source`:
  // bounds.h. Call it when the job is known, before a byte of a guest's is read.
  Result<> narrow(const Request& request, std::uint64_t source);

  const std::vector<Remark>& remarks() const { return remarks_; }

 private:
  Result<> must(Result<> done, std::string_view what);
  void should(const Result<>& done, std::string_view what);
  Result<> stop_being_root();

  bool allow_weak_;
  std::vector<Remark> remarks_;
};

}  // namespace vmcore::sandbox
