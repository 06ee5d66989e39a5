// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/confine.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "src/base/fd.h"
#include "src/sandbox/messages.h"

namespace vmcore::sandbox {
namespace {

// The user that owns nothing ("nobody"; Linux Documentation/admin-guide/sysctl/fs.rst,
// overflowuid).
constexpr unsigned kNobody = 65534;

Result<> limit(__rlimit_resource resource, rlim_t most, const char* what) {
  const rlimit value{most, most};
  if (::setrlimit(resource, &value) != 0) {
    return fail_errno(errno, what);
  }
  return {};
}

// Where a container has no such user, root without capabilities is what is left of root.
Result<> stop_being_root() {
  if (::geteuid() != 0) {
    return {};
  }
  const bool done = ::setgroups(0, nullptr) == 0 && ::setresgid(kNobody, kNobody, kNobody) == 0 &&
                    ::setresuid(kNobody, kNobody, kNobody) == 0;
  return done || errno == EINVAL || errno == EPERM ? Result<>() : fail_errno(errno, "user");
}

// no_new_privs keeps them from coming back.
Result<> drop_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (::syscall(SYS_capset, &header, none.data()) != 0) {
    return fail_errno(errno, "capabilities");
  }
  return {};
}

// Landlock (Linux 5.13): no path can be opened, made or removed, whoever may. Where the kernel has
// none, what the user nobody may is the limit.
Result<> forbid_paths() {
  // What its first version knows, which includes all ways to open a file.
  constexpr std::uint64_t kAll = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
  const landlock_ruleset_attr attributes{.handled_access_fs = kAll};
  const Fd rules(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!rules) {
    return errno == ENOSYS || errno == EOPNOTSUPP ? Result<>() : fail_errno(errno, "Landlock");
  }
  if (::syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) {
    return fail_errno(errno, "Landlock");
  }
  return {};
}

}  // namespace

Result<> confine() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno(errno, "no_new_privs");
  }
  TRY(stop_being_root());
  TRY(drop_capabilities());
  TRY(forbid_paths());
  // A change of user sets it to what the system has for programs that change theirs.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return fail_errno(errno, "dumpable");
  }
  TRY(limit(RLIMIT_CORE, 0, "core limit"));
  TRY(limit(RLIMIT_NOFILE, 2 * kMaxFds, "descriptor limit"));
  return {};
}

}  // namespace vmcore::sandbox
