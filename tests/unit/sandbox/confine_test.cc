// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/confine.h"
#include "src/sandbox/messages.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>

#include "src/base/whole_file.h"

namespace vmcore::sandbox {
namespace {

bool limited(__rlimit_resource resource, rlim_t most) {
  rlimit value{};
  return ::getrlimit(resource, &value) == 0 && value.rlim_cur == most && value.rlim_max == most;
}

int confined() {
  if (!confine()) {
    return 1;
  }
  if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return 2;
  }
  return limited(RLIMIT_CORE, 0) && limited(RLIMIT_NOFILE, 2 * kMaxFds) ? 0 : 3;
}

bool has_landlock() {
  return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

int powerless() {
  const std::string path = "/proc/self/status";
  const Fd status(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const bool was_root = ::geteuid() == 0;
  if (!confine()) {
    return 1;
  }
  const std::string text = read_all(status.get(), path).value_or("");
  for (const char* const set : {"CapInh", "CapPrm", "CapEff", "CapAmb"}) {
    if (text.find(std::string(set) + ":\t0000000000000000\n") == std::string::npos) {
      return 2;
    }
  }
  if (::geteuid() == 0 || ::getuid() == 0 ||
      (was_root && (::getgid() == 0 || ::getgroups(0, nullptr) != 0))) {
    return 3;
  }
  return 0;
}

int opens_a_path() {
  if (!confine()) {
    return 1;
  }
  return ::open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES ? 0 : 2;
}

// In a process of its own: it is for good.
TEST(Confine, LeavesNoPower) {
  EXPECT_EXIT(::_exit(powerless()), ::testing::ExitedWithCode(0), "");
}

TEST(Confine, LeavesNoPath) {
  if (!has_landlock()) {
    GTEST_SKIP() << "this kernel has no Landlock";
  }
  EXPECT_EXIT(::_exit(opens_a_path()), ::testing::ExitedWithCode(0), "");
}

TEST(Confine, GivesUpPrivilegesCoreFilesAndDescriptors) {
  EXPECT_EXIT(::_exit(confined()), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace vmcore::sandbox
