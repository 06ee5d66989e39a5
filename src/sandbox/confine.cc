#include "src/sandbox/confine.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>

#include "src/sandbox/messages.h"

namespace vmcore::sandbox {
namespace {

Result<> limit(__rlimit_resource resource, rlim_t most, const char* what) {
  const rlimit value{most, most};
  if (::setrlimit(resource, &value) != 0) {
    return fail_errno(errno, what);
  }
  return {};
}

}  // namespace

Result<> confine() {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return fail_errno(errno, "no_new_privs");
  }
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return fail_errno(errno, "dumpable");
  }
  TRY(limit(RLIMIT_CORE, 0, "core limit"));
  TRY(limit(RLIMIT_NOFILE, 2 * kMaxFds, "descriptor limit"));
  return {};
}

}  // namespace vmcore::sandbox
