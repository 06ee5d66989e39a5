// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "src/base/fd.h"

namespace vmcore::sandbox {
namespace {

// Linux include/uapi/linux/landlock.h, v6.12: the headers of Debian 12 have the first member only.
struct LandlockRules {
  std::uint64_t files = 0;
  std::uint64_t net = 0;     // ABI 4 (Linux 6.7)
  std::uint64_t scoped = 0;  // ABI 6 (Linux 6.12)
};
constexpr unsigned kLandlockVersion = 1;  // LANDLOCK_CREATE_RULESET_VERSION
constexpr std::uint64_t kReads =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
// What there is to do with something that is no folder: read, write, run; TRUNCATE (ABI 3) and
// IOCTL_DEV (ABI 5).
constexpr std::uint64_t kOfFiles = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                   LANDLOCK_ACCESS_FS_READ_FILE | 1ULL << 14 | 1ULL << 15;

constexpr std::uint64_t first_bits(unsigned count) { return (1ULL << count) - 1; }

// All that a kernel of that ABI knows: files (15: and ioctl on devices, ABI 5), TCP, and from ABI 6
// on abstract UNIX sockets and signals.
LandlockRules landlock_rules(long abi) {
  constexpr std::array<unsigned, 5> kFileRights{13, 14, 15, 15, 16};
  const auto at = std::min<std::size_t>(static_cast<std::size_t>(abi), kFileRights.size()) - 1;
  return {.files = first_bits(kFileRights[at]),
          .net = abi >= 4 ? first_bits(2) : 0,
          .scoped = abi >= 6 ? first_bits(2) : 0};
}

Result<> permit(const Fd& ruleset, const std::vector<std::string>& paths, std::uint64_t rights) {
  for (const std::string& path : paths) {
    const Fd at(::open(path.c_str(), O_PATH | O_CLOEXEC));
    struct stat status {};
    if (!at || ::fstat(at.get(), &status) != 0) {
      continue;
    }
    const landlock_path_beneath_attr rule{
        .allowed_access = S_ISDIR(status.st_mode) ? rights : rights & kOfFiles,
        .parent_fd = at.get()};
    if (::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) !=
        0) {
      return fail_errno(errno, path);
    }
  }
  return {};
}

}  // namespace

Result<> restrict_paths(const PathRights& rights) {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kLandlockVersion);
  if (abi < 1) {
    return fail_errno(errno, "landlock_create_ruleset");
  }
  const LandlockRules rules = landlock_rules(abi);
  // A kernel refuses members that it does not know unless they are 0.
  const Fd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0)));
  if (!ruleset) {
    return fail_errno(errno, "Landlock");
  }
  TRY(permit(ruleset, rights.reads, kReads));
  TRY(permit(ruleset, rights.writes, rules.files));
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return fail_errno(errno, "Landlock");
  }
  return {};
}

}  // namespace vmcore::sandbox
