// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/stored_stream.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>

#include "guest/save/target_stream.h"
#include "src/base/fd.h"
#include "src/base/sys.h"
#include "src/formats/crc32c.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest::save {
namespace {

constexpr std::uint64_t kCrashTime = 1'763'751'093;  // of a SavedGuest

class StoredStreamTest : public ::testing::Test {
 protected:
  StoredStreamTest() : device_(::memfd_create("device", 0)) {
    EXPECT_EQ(::ftruncate(device_.get(), 16 << 20), 0);
  }

  formats::SendFrame device() const {
    ::lseek(device_.get(), 0, SEEK_SET);
    return formats::send_to(device_.get());
  }
  void store_whole() const {
    SavedGuest guest;
    ASSERT_TRUE(send_stream(device(), guest.crash()));
  }
  // A hello and the begin of a log.
  void store_begin(std::uint64_t crash_time) const {
    formats::GuestStreamWriter writer(device(), formats::random_stream_id());
    ASSERT_TRUE(writer.hello({.crash_time = crash_time}));
    ASSERT_TRUE(writer.log("what the kernel said\n"));
  }
  void overwrite(std::uint64_t offset, std::string_view text) const {
    ASSERT_TRUE(sys::pwrite_full(device_.get(), std::as_bytes(std::span(text)), offset));
  }

  Fd device_;
};

TEST_F(StoredStreamTest, ADeviceWithoutOne) {
  EXPECT_EQ(look_at_stream(device_.get()).error().code, Errc::not_recognised);
  overwrite(0, "XFSB");
  EXPECT_EQ(look_at_stream(device_.get()).error().code, Errc::not_recognised);
}

TEST_F(StoredStreamTest, ItsEndTellsThatItIsWhole) {
  store_whole();
  ASSERT_TRUE(look_at_stream(device_.get()));
  EXPECT_EQ(look_at_stream(device_.get())->crash_time, kCrashTime);
  EXPECT_TRUE(look_at_stream(device_.get())->complete);
}

TEST_F(StoredStreamTest, OneThatWasCutShortHasNotTheEndOfTheOlderBehindIt) {
  store_whole();
  store_begin(7);
  ASSERT_TRUE(look_at_stream(device_.get()));
  EXPECT_EQ(look_at_stream(device_.get())->crash_time, 7U);
  EXPECT_FALSE(look_at_stream(device_.get())->complete);
}

// Cut short just where a frame of the older begins.
TEST_F(StoredStreamTest, FramesOfTheOlderAreNotItsOwn) {
  store_whole();
  formats::FrameHeader first;
  const auto bytes = std::as_writable_bytes(std::span(&first, 1));
  ASSERT_TRUE(sys::pread_full(device_.get(), bytes, 0));
  first.stream[0] ^= std::byte{1};
  first.header_crc = formats::crc32c(bytes.first(offsetof(formats::FrameHeader, header_crc)));
  ASSERT_TRUE(sys::pwrite_full(device_.get(), bytes, 0));
  ASSERT_TRUE(look_at_stream(device_.get()));
  EXPECT_FALSE(look_at_stream(device_.get())->complete);
}

TEST_F(StoredStreamTest, OneThatGaveUpIsNotWhole) {
  formats::GuestStreamWriter writer(device(), formats::random_stream_id());
  ASSERT_TRUE(writer.hello({}));
  ASSERT_TRUE(writer.abort("the disk is full"));
  ASSERT_TRUE(look_at_stream(device_.get()));
  EXPECT_FALSE(look_at_stream(device_.get())->complete);
}

TEST_F(StoredStreamTest, OfASealedOneOnlyWhenItWas) {
  SavedGuest guest;
  guest.config.encrypt_to = seal::SecretKey({1, 2, 3}).public_key();
  ASSERT_TRUE(send_stream(device(), guest.crash()));
  ASSERT_TRUE(look_at_stream(device_.get()));
  EXPECT_TRUE(look_at_stream(device_.get())->sealed);
  EXPECT_EQ(look_at_stream(device_.get())->crash_time, kCrashTime);
}

TEST_F(StoredStreamTest, ADamagedHeaderIsNone) {
  store_whole();
  overwrite(12, "\xff");  // its size
  EXPECT_EQ(look_at_stream(device_.get()).error().code, Errc::not_recognised);
}

}  // namespace
}  // namespace vmcore::guest::save
