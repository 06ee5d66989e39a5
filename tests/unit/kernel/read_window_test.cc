// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/read_window.h"

#include <gtest/gtest.h>

#include "tests/builders/kernel_builder.h"

namespace vmcore::kernel {
namespace {

using testing::GuestBuilder;
using testing::page_pattern;

class ReadWindowTest : public ::testing::Test {
 protected:
  ReadWindowTest() {
    guest.page(Pfn{0x2000}, testing::PageKind::anon).page(Pfn{0x2001}, testing::PageKind::anon);
    guest.excluded(Pfn{0x2002});
    image = guest.build();
    kernels = *find_kernels(image, Search::registers);
    begin = guest.page_offset() + 0x2000 * 4096;
  }

  GuestBuilder guest{"6.1"};
  MemoryImage image;
  FoundKernels kernels;
  VirtAddr begin;
};

TEST_F(ReadWindowTest, GivesTheBytes) {
  ReadWindow window(kernels.kernels.at(0), begin, 8192);
  const auto expected = page_pattern(Pfn{0x2001});
  for (const std::uint64_t offset : {0U, 100U, 4000U, 96U}) {
    const auto bytes = window.bytes(4096 + offset, 96);
    ASSERT_TRUE(bytes) << bytes.error().message;
    EXPECT_TRUE(std::equal(bytes->begin(), bytes->end(),
                           expected.begin() + static_cast<std::ptrdiff_t>(offset)));
  }
}

TEST_F(ReadWindowTest, GivesWhatLiesBeforeAMissingPage) {
  ReadWindow window(kernels.kernels.at(0), begin, 1 << 20);
  EXPECT_TRUE(window.bytes(8000, 192));
  EXPECT_EQ(window.bytes(8000, 193).error().code, Errc::unreadable);
  EXPECT_EQ(window.bytes(8192, 1).error().code, Errc::unreadable);
  EXPECT_TRUE(window.bytes(0, 8192));
}

TEST_F(ReadWindowTest, StaysInside) {
  ReadWindow window(kernels.kernels.at(0), begin, 4096);
  EXPECT_TRUE(window.bytes(4096, 0));
  EXPECT_EQ(window.bytes(4090, 7).error().code, Errc::malformed);
  EXPECT_EQ(window.bytes(~0ULL, 2).error().code, Errc::malformed);
  EXPECT_EQ(window.bytes(0, ReadWindow::kMaxAtOnce + 1).error().code, Errc::malformed);
}

}  // namespace
}  // namespace vmcore::kernel
