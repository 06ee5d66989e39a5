// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/sys.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <thread>
#include <vector>

#include "src/base/all_zero.h"
#include "src/base/fd.h"

namespace vmcore {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

TEST(Sys, WhatIsWrittenIsRead) {
  const Fd file(::memfd_create("test", 0));
  ASSERT_TRUE(sys::pwrite_full(file.get(), bytes_of("hello"), 10));
  EXPECT_EQ(*sys::file_size(file.get()), 15U);
  std::array<std::byte, 20> out;
  EXPECT_EQ(*sys::pread_full(file.get(), out, 10), 5U);
  EXPECT_TRUE(std::ranges::equal(std::span(out).first(5), bytes_of("hello")));
  ASSERT_TRUE(sys::truncate(file.get(), 3));
  EXPECT_EQ(*sys::pread_full(file.get(), out, 0), 3U);
}

TEST(Sys, ReadsAPipeInPieces) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd reader(ends[0]);
  std::thread writer([end = ends[1]] {
    const Fd owned(end);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(sys::write_full(end, bytes_of("abc")));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  std::array<std::byte, 20> out;
  EXPECT_EQ(*sys::read_full(reader.get(), out), 9U);
  writer.join();
}

TEST(Sys, ErrorsHaveCodes) {
  const Fd full(::open("/dev/full", O_WRONLY));
  EXPECT_EQ(sys::write_full(full.get(), bytes_of("x")).error().code, Errc::no_space);
  const Fd null(::open("/dev/null", O_RDONLY));
  EXPECT_EQ(sys::file_size(null.get()).error().code, Errc::invalid);
  std::array<std::byte, 1> out;
  EXPECT_EQ(sys::pread_full(-1, out, 0).error().code, Errc::io);
}

TEST(Fd, OwnsItsDescriptor) {
  Fd first(::memfd_create("test", 0));
  const int number = first.get();
  Fd second = std::move(first);
  EXPECT_FALSE(first);
  EXPECT_EQ(second.get(), number);
  second.reset();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
  Fd third(::memfd_create("test", 0));
  const Fd given(third.release());
  EXPECT_FALSE(third);
  EXPECT_TRUE(given);
}

TEST(AllZero, FindsASingleByteAnywhere) {
  for (const std::size_t size : {0U, 1U, 255U, 256U, 257U, 4096U}) {
    std::vector<std::byte> bytes(size);
    EXPECT_TRUE(all_zero(bytes));
    for (std::size_t at = 0; at < size; ++at) {
      bytes[at] = std::byte{1};
      ASSERT_FALSE(all_zero(bytes)) << size << " " << at;
      bytes[at] = std::byte{0};
    }
  }
}

}  // namespace
}  // namespace vmcore
