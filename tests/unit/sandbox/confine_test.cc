#include "src/sandbox/confine.h"
#include "src/sandbox/messages.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>

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

// In a process of its own: it is for good.
TEST(Confine, GivesUpPrivilegesCoreFilesAndDescriptors) {
  EXPECT_EXIT(::_exit(confined()), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace vmcore::sandbox
