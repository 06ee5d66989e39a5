// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/confine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>

#include "src/sandbox/bounds.h"
#include "src/sandbox/calls.h"
#include "src/sandbox/landlock.h"

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

}  // namespace

unsigned own_user() { return kFirstOwn + static_cast<unsigned>(::getpid()); }

Result<> become_user(unsigned user) {
  const bool done = ::setgroups(0, nullptr) == 0 && ::setresgid(user, user, user) == 0 &&
                    ::setresuid(user, user, user) == 0;
  return done ? Result<>() : fail_errno(errno, "setresuid");
}

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
  const Result<> own = become_user(own_user());
  should(own, "a user of its own");
  const Result<> other = own ? own : become_user(kNobody);
  return !other && is_root_of_host() ? must(other, "it stays root") : Result<>();
}

Result<> Confinement::begin() {
  TRY(must(set_process(PR_SET_NO_NEW_PRIVS, 1, "no_new_privs"), "it may gain privileges"));
  TRY(stop_being_root());
  TRY(must(drop_capabilities(), "it keeps capabilities"));
  should(restrict_paths({}), "Landlock");
  // A change of user sets both to what the system has for programs that change theirs.
  TRY(set_process(PR_SET_DUMPABLE, 0, "dumpable"));
  TRY(set_process(PR_SET_PDEATHSIG, SIGKILL, "parent death signal"));
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
