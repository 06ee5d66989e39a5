// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/guest_lock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "src/base/fd.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;
using Keys = std::vector<std::string>;

class GuestLockTest : public ::testing::Test {
 protected:
  ~GuestLockTest() override { fs::remove_all(parent_); }

  static fs::path make_folder() {
    char name[] = "/tmp/locks.XXXXXX";
    return ::mkdtemp(name);
  }
  Result<GuestLock> take(const Keys& keys, std::string_view doing = "dumps the guest") const {
    return GuestLock::take(folder_, keys, doing);
  }
  // Another process that does this, says so, and then waits to be killed.
  class Other {
   public:
    explicit Other(const std::function<bool()>& does) {
      std::array<int, 2> ends{};
      EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
      const Fd out(ends[0]);
      const Fd in(ends[1]);
      pid_ = ::fork();
      if (pid_ == 0) {
        const char byte = does() ? 'y' : 'n';
        if (::write(in.get(), &byte, 1) == 1) {
          ::pause();
        }
        ::_exit(0);
      }
      EXPECT_EQ(::read(out.get(), &did_, 1), 1);
    }
    ~Other() { end(); }
    Other(const Other&) = delete;
    Other& operator=(const Other&) = delete;
    void end() {
      if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
      }
    }
    pid_t pid() const { return pid_; }
    bool did() const { return did_ == 'y'; }

   private:
    pid_t pid_ = 0;
    char did_ = 0;
  };

  const fs::path parent_ = make_folder();
  const fs::path folder_ = parent_ / "locks";
};

TEST_F(GuestLockTest, WhoHoldsItIsNamed) {
  const Keys keys{"domain-1", "process-7-8"};
  std::optional<GuestLock> kept;
  const Other other([&] {
    auto lock = take(keys, "receives what the guest sends");
    if (lock) {
      kept = *std::move(lock);
    }
    return kept.has_value();
  });
  ASSERT_TRUE(other.did());
  for (const std::string& key : keys) {
    const auto lock = take({"another", key});
    ASSERT_FALSE(lock);
    EXPECT_EQ(lock.error().code, Errc::busy);
    EXPECT_EQ(lock.error().message,
              fmt::format("another vmcorectl (pid {}) receives what the guest sends: wait until it "
                          "ends, or end that process",
                          other.pid()));
  }
  EXPECT_TRUE(take({"another"})) << "what was not to be had is not held";
}

TEST_F(GuestLockTest, AlsoInOneProcess) {
  auto first = take({"domain-1"});
  ASSERT_TRUE(first);
  EXPECT_FALSE(take({"domain-1"}));
  EXPECT_TRUE(take({"domain-2"}));
  const GuestLock moved = *std::move(first);
  EXPECT_FALSE(take({"domain-1"})) << "moved, it is still held";
}

TEST_F(GuestLockTest, ItEndsWithItsProcess) {
  std::optional<GuestLock> kept;
  Other other([&] {
    auto lock = take({"domain-1"});
    kept = lock ? std::optional(*std::move(lock)) : std::nullopt;
    return kept.has_value();
  });
  ASSERT_TRUE(other.did());
  EXPECT_FALSE(take({"domain-1"}));
  other.end();
  EXPECT_TRUE(take({"domain-1"}));
}

TEST_F(GuestLockTest, ItLeavesNothing) {
  {
    const auto lock = take({"domain-1", "domain-2", "domain-1"});
    ASSERT_TRUE(lock);
    EXPECT_TRUE(fs::exists(folder_ / "domain-2"));
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(GuestLockTest, WhatTheDeadLeaveIsRemoved) {
  std::optional<GuestLock> kept;
  const auto takes = [&](const char* key) {
    return [&, key] {
      auto lock = take({key});
      kept = lock ? std::optional(*std::move(lock)) : std::nullopt;
      return kept.has_value();
    };
  };
  Other dead(takes("process-1-1"));
  const Other alive(takes("process-2-2"));
  ASSERT_TRUE(dead.did() && alive.did());
  dead.end();
  ASSERT_TRUE(fs::exists(folder_ / "process-1-1"));
  const auto lock = take({"domain-1"});
  EXPECT_TRUE(lock);
  EXPECT_FALSE(fs::exists(folder_ / "process-1-1"));
  EXPECT_TRUE(fs::exists(folder_ / "process-2-2"));
  EXPECT_FALSE(take({"process-2-2"})) << "whoever lives keeps it";
}

TEST_F(GuestLockTest, NobodyElseCanHoldOrReadIt) {
  const auto lock = take({"domain-1"});
  ASSERT_TRUE(lock);
  struct stat status {};
  ASSERT_EQ(::stat(folder_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
  ASSERT_EQ(::stat((folder_ / "domain-1").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_F(GuestLockTest, AFolderThatOthersMayUseIsNotUsed) {
  fs::create_directory(folder_);
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  const auto lock = take({"domain-1"});
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().code, Errc::denied);
}

TEST_F(GuestLockTest, NorIsALink) {
  fs::create_directory(parent_ / "elsewhere");
  ASSERT_EQ(::chmod((parent_ / "elsewhere").c_str(), 0700), 0);
  fs::create_symlink("elsewhere", folder_);
  EXPECT_FALSE(take({"domain-1"}));
}

TEST_F(GuestLockTest, AWorkerDoesNotInheritIt) {
  const auto lock = take({"domain-1"});
  ASSERT_TRUE(lock);
  int inherited = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    if (fs::read_symlink(entry.path(), error) == folder_ / "domain-1") {
      const int fd = std::stoi(entry.path().filename().string());
      inherited += (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0 ? 1 : 0;
    }
  }
  EXPECT_EQ(inherited, 0);
}

// What is written there is of a process that died: its number may be another's by now.
TEST_F(GuestLockTest, TheDeadAreNotNamed) {
  ASSERT_TRUE(take({"domain-1"}));
  std::ofstream(folder_ / "domain-1") << ::getpid() << " 1 dumps the guest\n";
  const Fd holder(::open((folder_ / "domain-1").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(holder.get(), LOCK_EX | LOCK_NB), 0);
  const auto lock = take({"domain-1"});
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().message.find("pid"), std::string::npos) << lock.error().message;
}

// Many at once, over and over: at any moment one has it.
TEST_F(GuestLockTest, OneAtATime) {
  const fs::path inside = parent_ / "inside";
  std::vector<pid_t> children;
  for (int child = 0; child < 4; ++child) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      for (int i = 0; i < 200; ++i) {
        const auto lock = take({"domain-1", "domain-2"});
        if (lock && ::mkdir(inside.c_str(), 0700) != 0) {
          ::_exit(1);  // somebody else is there
        }
        if (lock) {
          ::rmdir(inside.c_str());
        }
      }
      ::_exit(0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
}

TEST_F(GuestLockTest, WithoutKeysNothingIsHeld) {
  EXPECT_TRUE(take({}));
  EXPECT_FALSE(fs::exists(folder_));
}

}  // namespace
}  // namespace vmcore::job
