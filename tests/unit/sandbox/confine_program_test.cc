// SPDX-License-Identifier: GPL-2.0-or-later
// Each attempt is made by a process that was really confined.
#include "src/sandbox/confine_program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "src/base/process.h"
#include "src/sandbox/confine.h"

namespace vmcore::sandbox {
namespace {

namespace fs = std::filesystem;

// A dump and a secret of this user, in a folder that nobody else may enter.
class ConfinedProgram : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::string name = std::string(GetParam()) + "/vmcorectl-confined-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    for (const char* const file : {"dump", "secret"}) {
      std::ofstream(folder_ / file) << "text";
      ASSERT_EQ(::chmod((folder_ / file).c_str(), 0600), 0);
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  // What a confined process ends with that does this.
  int run(const std::function<int()>& attempt) const {
    auto process = Process::start([&] {
      const Result<> confined = confine_program({(folder_ / "dump").string()});
      if (!confined) {
        std::fprintf(stderr, "%s\n", confined.error().message.c_str());
        return 100;
      }
      return attempt();
    });
    return process ? process->wait().value_or(-1) : -1;
  }
  int exit_of(const std::function<int()>& attempt) const {
    const int status = run(attempt);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // 0: it cannot be opened.
  int opens(const fs::path& path, int flags) const {
    return exit_of([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0600) >= 0 ? 1 : 0; });
  }

  fs::path folder_;
};

TEST_P(ConfinedProgram, ReadsWhatItWasGivenAndNothingElse) {
  EXPECT_EQ(opens(folder_ / "dump", O_RDONLY), 1);
  EXPECT_EQ(opens(folder_ / "dump", O_RDWR), 0);
  EXPECT_EQ(opens(folder_ / "secret", O_RDONLY), 0);
  EXPECT_EQ(opens(folder_ / "new", O_WRONLY | O_CREAT), 0);
  EXPECT_EQ(opens("/etc/passwd", O_RDONLY), 0);
  EXPECT_EQ(opens("/usr/bin/env", O_RDONLY), 1);
  EXPECT_EQ(opens("/usr/vmcorectl-new", O_WRONLY | O_CREAT), 0);
}

TEST_P(ConfinedProgram, HasATemporaryFolderOfItsOwn) {
  EXPECT_EQ(exit_of([] { return std::tmpfile() != nullptr ? 1 : 0; }), 1);
  EXPECT_EQ(opens("/tmp/vmcorectl-own", O_WRONLY | O_CREAT), 1);
  EXPECT_FALSE(fs::exists("/tmp/vmcorectl-own"));
}

TEST_P(ConfinedProgram, SeesItsOwnProcessesAlone) {
  ASSERT_EQ(opens("/proc/1/stat", O_RDONLY), 1) << "is /proc seen in full here?";
  const auto lists_own_alone = [] {
    const Result<Process> child = Process::start([] { return ::pause(); });
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      names.insert(entry.path().filename());
    }
    return child && names == std::set<std::string>{"1", "2", "self", "thread-self"} ? 1 : 0;
  };
  EXPECT_EQ(exit_of(lists_own_alone), 1);
}

TEST_P(ConfinedProgram, GetsNowhereByProc) {
  const fs::path host = fmt::format("/proc/{}", ::getpid());
  for (const fs::path& path :
       {host / "environ", host / "stat", host / "root/etc/passwd", fs::path("/proc/1/root"),
        fs::path("/proc/1/root/etc/passwd"),
        fs::path("/proc/1/root" + (folder_ / "secret").string()), fs::path("/proc/self/cwd"),
        fs::path("/proc/thread-self/root/proc/sys"), fs::path("/proc/sys/kernel/hostname"),
        fs::path("/proc/kcore"), fs::path("/proc/kallsyms"), fs::path("/proc/kmsg"),
        fs::path("/proc/self/../meminfo")}) {
    EXPECT_EQ(opens(path, O_RDONLY), 0) << path;
  }
  for (const char* const path :
       {"/proc/self/mem", "/proc/self/uid_map", "/proc/self/oom_score_adj", "/proc/self/comm",
        "/proc/self/attr/current", "/proc/sysrq-trigger"}) {
    EXPECT_EQ(opens(path, O_WRONLY), 0) << path;
  }
}

TEST_P(ConfinedProgram, IsNobodyAndMakesNoConnection) {
  EXPECT_EQ(exit_of([] { return ::getpid() == 1 && ::geteuid() != 0 ? 1 : 0; }), 1);
  for (const int family : {AF_UNIX, AF_INET, AF_NETLINK}) {
    EXPECT_EQ(exit_of([&] { return ::socket(family, SOCK_DGRAM, 0) >= 0 ? 1 : 0; }), 0) << family;
  }
  EXPECT_EQ(exit_of([] { return ::unshare(CLONE_NEWUSER) == 0 ? 1 : 0; }), 0);
  EXPECT_EQ(exit_of([] { return ::setuid(0) == 0 ? 1 : 0; }), 0);
  const pid_t parent = ::getpid();
  EXPECT_EQ(exit_of([&] { return ::kill(parent, 0) == 0 ? 1 : 0; }), 0);
}

TEST_P(ConfinedProgram, EndsAsItsProgramDoes) {
  EXPECT_EQ(exit_of([] { return 42; }), 42);
  const int status = run([] { return ::execl("/bin/sh", "sh", "-c", "kill -SEGV $$", nullptr); });
  // A first process of a namespace gets no signal that it does not handle.
  EXPECT_TRUE(WIFEXITED(status) || WTERMSIG(status) == SIGSEGV) << status;
}

INSTANTIATE_TEST_SUITE_P(Folders, ConfinedProgram, ::testing::Values("/tmp", "/var/tmp"));

// As in most containers.
TEST(ConfinedProgramOfAContainer, SeesNoProcWhereTheHostsIsNotSeenInFull) {
  auto process = Process::start([] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", "/proc/sys", "tmpfs", 0, nullptr) != 0) {
      return 99;
    }
    const Result<> confined = confine_program({"/usr/bin/env"});
    return !confined ? 101 : ::open("/proc/1/stat", O_RDONLY | O_CLOEXEC) >= 0 ? 102 : 0;
  });
  ASSERT_TRUE(process);
  const int status = WEXITSTATUS(process->wait().value_or(-1));
  if (status == 99) {
    GTEST_SKIP() << "no mounts here";
  }
  EXPECT_EQ(status, 0);
}

TEST(ConfinedUser, OtherUsersAreConfinedAsWell) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "it is one";
  }
  auto process = Process::start([] {
    // As the process of a user is who logged in: its /proc files are its own.
    if (!become_user(own_user()) || ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) {
      return 100;
    }
    const Result<> confined = confine_program({"/usr/bin/env"});
    return !confined ? 101 : ::open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 ? 102 : 0;
  });
  ASSERT_TRUE(process);
  EXPECT_EQ(WEXITSTATUS(process->wait().value_or(-1)), 0);
}

}  // namespace
}  // namespace vmcore::sandbox
