// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/confine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>

#include "src/base/fd.h"
#include "src/sandbox/bounds.h"
#include "src/sandbox/calls.h"

namespace vmcore::sandbox {
namespace {

// The user that owns nothing ("nobody"; Linux Documentation/admin-guide/sysctl/fs.rst,
// overflowuid).
constexpr unsigned kNobody = 65534;
// From here on a user for each process: numbers that nobody gives out (systemd
// docs/UIDS-GIDS.md: 1879048192 to 2147483647). PIDs are below 2^22 (Linux
// include/linux/threads.h, PID_MAX_LIMIT).
constexpr unsigned kFirstOwn = 0x7fc00000;

Result<> limit(__rlimit_resource resource, rlim_t most, const char* what) {
  rlimit now{};
  if (::getrlimit(resource, &now) == 0 && now.rlim_max < most) {
    most = now.rlim_max;
  }
  const rlimit value{most, most};
  if (::setrlimit(resource, &value) != 0) {
    return fail_errno(errno, what);
  }
  return {};
}

Result<> set_process(int option, unsigned long value, const char* what) {
  return ::prctl(option, value, 0, 0, 0) == 0 ? Result<>() : fail_errno(errno, what);
}

Result<> become(unsigned user) {
  const bool done = ::setgroups(0, nullptr) == 0 && ::setresgid(user, user, user) == 0 &&
                    ::setresuid(user, user, user) == 0;
  return done ? Result<>() : fail_errno(errno, "setresuid");
}

// Root of a user namespace has no power over the host; the host's own has all users (Linux
// kernel/user.c, init_user_ns).
bool is_root_of_host() {
  std::ifstream map("/proc/self/uid_map");
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  const bool known = static_cast<bool>(map >> inside >> outside >> count);
  constexpr std::uint64_t kAllUsers = 0xffffffff;
  return ::geteuid() == 0 && (!known || count == kAllUsers);
}

// no_new_privs keeps them from coming back.
Result<> drop_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) {
    return fail_errno(errno, "capset");
  }
  return {};
}

// Linux include/uapi/linux/landlock.h, v6.12: the headers of Debian 12 have the first member only.
struct LandlockRules {
  std::uint64_t files = 0;
  std::uint64_t net = 0;     // ABI 4 (Linux 6.7)
  std::uint64_t scoped = 0;  // ABI 6 (Linux 6.12)
};
constexpr unsigned kLandlockVersion = 1;  // LANDLOCK_CREATE_RULESET_VERSION

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

// No path can be opened, made or removed, whoever may.
Result<> forbid_paths() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kLandlockVersion);
  if (abi < 1) {
    return fail_errno(errno, "landlock_create_ruleset");
  }
  const LandlockRules rules = landlock_rules(abi);
  // A kernel refuses members that it does not know unless they are 0.
  const Fd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0)));
  if (!ruleset || ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) {
    return fail_errno(errno, "Landlock");
  }
  return {};
}

}  // namespace

Result<> Confinement::must(Result<> done, std::string_view what) {
  if (done) {
    return {};
  }
  const std::string said =
      fmt::format("vmcore-worker cannot be confined: {}: {}", what, done.error().message);
  if (!allow_weak_) {
    return fail(Errc::denied, "{} (--allow-unconfined goes on without it)", said);
  }
  remarks_.push_back({Errc::denied, said});
  return {};
}

void Confinement::should(const Result<>& done, std::string_view what) {
  if (!done) {
    remarks_.push_back(
        {Errc::denied,
         fmt::format("vmcore-worker is confined without {}: {}", what, done.error().message),
         Severity::fact});
  }
}

Result<> Confinement::stop_being_root() {
  if (::geteuid() != 0) {
    should(::unshare(CLONE_NEWUSER) == 0 ? Result<>() : fail_errno(errno, "unshare"),
           "a user namespace of its own");
    return {};
  }
  const Result<> own = become(kFirstOwn + static_cast<unsigned>(::getpid()));
  should(own, "a user of its own");
  const Result<> other = own ? own : become(kNobody);
  return !other && is_root_of_host() ? must(other, "it stays root") : Result<>();
}

Result<> Confinement::begin() {
  TRY(must(set_process(PR_SET_NO_NEW_PRIVS, 1, "no_new_privs"), "it may gain privileges"));
  TRY(stop_being_root());
  TRY(must(drop_capabilities(), "it keeps capabilities"));
  should(forbid_paths(), "Landlock");
  // A change of user sets it to what the system has for programs that change theirs.
  TRY(set_process(PR_SET_DUMPABLE, 0, "dumpable"));
  return limit(RLIMIT_CORE, 0, "core limit");
}

Result<> Confinement::narrow(const Request& request, std::uint64_t source) {
  const Bounds bounds = bounds_of(request, source);
  TRY(limit(RLIMIT_NOFILE, bounds.fds, "descriptor limit"));
#ifndef VMCORECTL_SANITIZED  // their own memory is many times as much
  TRY(limit(RLIMIT_DATA, bounds.memory, "memory limit"));
#endif
  TRY(limit(RLIMIT_FSIZE, bounds.file, "file limit"));
  TRY(limit(RLIMIT_CPU, bounds.seconds, "time limit"));
  return must(permit_calls(uses_of(request)), "it may make any system call");
}

}  // namespace vmcore::sandbox
