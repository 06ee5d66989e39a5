// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/root.h"

#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>

#include "tests/unit/guest/folder.h"

namespace vmcore::guest::root {
namespace {

// As Linux 5.5 answers.
bool deny_openat2() {
  constexpr std::uint32_t kNoSuchCall = SECCOMP_RET_ERRNO | ENOSYS;
  std::array<sock_filter, 4> code = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, kNoSuchCall),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog program{.len = code.size(), .filter = code.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

[[noreturn]] void read_without_openat2(const Root& root, const std::string& path) {
  const auto text = deny_openat2() ? root.read(path) : fail(Errc::unsupported, "no seccomp here");
  std::fputs(text ? "it was read" : text.error().message.c_str(), stderr);
  std::exit(text ? 0 : 1);
}

TEST(RootOfOldKernels, TheRunningSystemIsRead) {
  const Root root = *Root::open("/");
  EXPECT_EXIT(read_without_openat2(root, "/proc/version"), testing::ExitedWithCode(0),
              "it was read");
}

TEST(RootOfOldKernels, AnImageIsNotForLinksLeadOutOfIt) {
  const Folder folder;
  folder.write("/x", "");
  const Root root = folder.root();
  EXPECT_EXIT(read_without_openat2(root, "/x"), testing::ExitedWithCode(1),
              "--root needs openat2.2. .Linux 5.6.");
}

}  // namespace
}  // namespace vmcore::guest::root
