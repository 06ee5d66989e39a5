// SPDX-License-Identifier: GPL-2.0-or-later
// Target raw: what it may write over.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "guest/save/stored_stream.h"
#include "src/base/sys.h"
#include "src/formats/guest_stream/protocol.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest::save {
namespace {

class TargetRaw : public ::testing::Test {
 protected:
  TargetRaw() { EXPECT_TRUE(sys::truncate(device_.get(), 4 << 20)); }

  void write(std::size_t at, std::string_view text) const {
    EXPECT_TRUE(sys::pwrite_full(device_.get(), std::as_bytes(std::span(text)), at));
  }
  std::string said() const {
    const auto may = check_is_free(device_.get());
    return may ? "" : may.error().message;
  }

  Fd device_ = *make_memory_file("device");
};

TEST_F(TargetRaw, NothingAndAnEarlierCrashMayGo) {
  EXPECT_EQ(said(), "");
  write(2 << 20, "what an earlier crash left");
  EXPECT_EQ(said(), "");
  write(0, {reinterpret_cast<const char*>(formats::kFrameMagic.data()), 8});
  write(48, "hello");
  EXPECT_EQ(said(), "");
  EXPECT_TRUE(sys::truncate(device_.get(), 0));
  EXPECT_EQ(said(), "");
}

TEST_F(TargetRaw, AFileSystemStaysWhereverItBegins) {
  write(0x10040, "_BHRfS_M");
  EXPECT_EQ(said(), "it holds a file system (btrfs): to use it for dumps, clear its first MiB");
}

TEST_F(TargetRaw, WhatIsNotKnownStays) {
  for (const std::size_t at : {0U, 510U, 0x10000U, 0x10034U, 0xfffffU}) {
    write(at, "x");
    EXPECT_EQ(said(), "it holds other data: to use it for dumps, clear its first MiB");
    write(at, std::string_view("", 1));
  }
  EXPECT_EQ(said(), "");
}

TEST_F(TargetRaw, TheDiskOfAHostThatMustNotSeeItGetsNothing) {
  SavedGuest guest;
  guest.encryption = "TDX";
  EXPECT_EQ(save_to_device("/dev/null", guest.crash()).error().code, Errc::denied);
}

// A file in memory, which stands for a disk: its name begins with /dev/.
class SmallDisk : public ::testing::Test {
 protected:
  explicit SmallDisk(std::uint64_t size = 1 << 20) {
    device_ = Fd(::mkstemp(path_.data()));
    EXPECT_TRUE(sys::truncate(device_.get(), size));
  }
  ~SmallDisk() override { ::unlink(path_.c_str()); }

  std::string text() const {
    std::string bytes(*sys::file_size(device_.get()), '\0');
    EXPECT_TRUE(sys::pread_full(device_.get(), std::as_writable_bytes(std::span(bytes)), 0));
    return bytes;
  }

  std::string path_ = "/dev/shm/vmcore-raw-XXXXXX";
  Fd device_;
  SavedGuest guest_;
};

TEST_F(SmallDisk, GetsTheLogAndWhyThereIsNoMore) {
  const auto saved = save_to_device(path_, guest_.crash());
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().message, path_ + ": it has 0 MiB free, and a dump may need 2 MiB");
  EXPECT_NE(text().find("] Kernel panic - not syncing: test\n"), std::string::npos);
  EXPECT_NE(text().find("\nREASON=it has 0 MiB free, and a dump may need 2 MiB\n"),
            std::string::npos);
  const auto stored = look_at_stream(device_.get());
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->crash_time, 1763751093U);
  EXPECT_FALSE(stored->complete);
}

TEST_F(SmallDisk, GetsTheNewestOfALogThatIsLargerThanItself) {
  guest_.report.dmesg = "[    0.000000] the oldest\n" + std::string(5 << 20, 'x') +
                        "\n[    9.000000] Kernel panic - not syncing: the newest\n";
  EXPECT_EQ(save_to_device(path_, guest_.crash()).error().code, Errc::no_space);
  EXPECT_EQ(text().find("the oldest"), std::string::npos);
  EXPECT_NE(text().find("the newest"), std::string::npos);
  EXPECT_NE(text().find("\nREASON="), std::string::npos);
}

}  // namespace
}  // namespace vmcore::guest::save