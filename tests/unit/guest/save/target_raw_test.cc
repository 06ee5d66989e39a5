// Target raw: what it may write over.
#include <gtest/gtest.h>

#include "src/base/sys.h"
#include "src/formats/guest_stream.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest {
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
  EXPECT_EQ(said(),
            "it holds a file system, btrfs; if it is to hold crashes, clear its first MiB once");
}

TEST_F(TargetRaw, WhatIsNotKnownStays) {
  for (const std::size_t at : {0U, 510U, 0x10000U, 0x10034U, 0xfffffU}) {
    write(at, "x");
    EXPECT_EQ(said(),
              "it holds something else; if it is to hold crashes, clear its first MiB once");
    write(at, std::string_view("", 1));
  }
  EXPECT_EQ(said(), "");
}

TEST_F(TargetRaw, TheDiskOfAHostThatMustNotSeeItGetsNothing) {
  SavedGuest guest;
  guest.encryption = "TDX";
  EXPECT_EQ(save_to_device("/dev/null", guest.crash()).error().code, Errc::denied);
}

}  // namespace
}  // namespace vmcore::guest
