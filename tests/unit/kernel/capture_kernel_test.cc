// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/capture_kernel.h"

#include <gtest/gtest.h>

#include "tests/builders/kernel_builder.h"

namespace vmcore::kernel {
namespace {

using testing::GuestBuilder;

constexpr PhysRange kRegion{{32ULL << 20}, 16ULL << 20};

Result<CaptureKernel> capture_kernel_of(GuestBuilder& guest) {
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::memory);
  return read_capture_kernel(found->kernels.at(0));
}

TEST(CaptureKernel, IsSeenWhereItIsLoaded) {
  GuestBuilder guest("6.12");
  guest.crash_region(kRegion, true);
  const auto panic = capture_kernel_of(guest);
  ASSERT_TRUE(panic) << panic.error().message;
  EXPECT_TRUE(panic->loaded);
  EXPECT_EQ(panic->region, kRegion);
}

TEST(CaptureKernel, ARegionAloneArmsNobody) {
  GuestBuilder guest("6.1");
  guest.crash_region(kRegion, false);
  const auto panic = capture_kernel_of(guest);
  ASSERT_TRUE(panic) << panic.error().message;
  EXPECT_FALSE(panic->loaded);
  EXPECT_EQ(panic->region, kRegion);
}

TEST(CaptureKernel, NoRegionIsAnEmptyOne) {
  GuestBuilder guest("6.12");
  const auto panic = capture_kernel_of(guest);
  ASSERT_TRUE(panic) << panic.error().message;
  EXPECT_FALSE(panic->loaded);
  EXPECT_EQ(panic->region, PhysRange());
}

TEST(CaptureKernel, WithoutSymbolsNothingIsKnown) {
  GuestBuilder guest("5.15");
  guest.without_symbols();
  const auto panic = capture_kernel_of(guest);
  ASSERT_FALSE(panic);
  EXPECT_EQ(panic.error().code, Errc::not_found);
}

TEST(CaptureKernel, ARegionThatCannotBeIsRefused) {
  for (const PhysRange region : {PhysRange{{kMaxPhysAddr}, 4096}, PhysRange{{4096}, ~0ULL}}) {
    GuestBuilder guest("6.12");
    guest.crash_region(region, true);
    const auto panic = capture_kernel_of(guest);
    ASSERT_FALSE(panic);
    EXPECT_EQ(panic.error().code, Errc::malformed);
  }
}

Result<bool> panicked(GuestBuilder& guest) {
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::memory);
  return has_panicked(found->kernels.at(0));
}

TEST(HasPanicked, TheKernelSaysSo) {
  for (const std::uint32_t cpu : {0U, 1U, 511U}) {
    GuestBuilder guest("6.12");
    guest.panicked(cpu);
    EXPECT_EQ(panicked(guest), true) << cpu;
  }
}

TEST(HasPanicked, ButNotOfOneThatRuns) {
  for (const char* const release : {"6.1", "6.12"}) {
    GuestBuilder guest(release);
    EXPECT_EQ(panicked(guest), false) << release;
  }
}

// What is logged, anybody in the guest may have written (/dev/kmsg).
TEST(HasPanicked, ItsLogProvesNothing) {
  GuestBuilder guest("6.12");
  guest.log(1, "Kernel panic - not syncing: forged");
  EXPECT_EQ(panicked(guest), false);
}

TEST(HasPanicked, WithoutSymbolsNothingIsKnown) {
  GuestBuilder guest("5.15");
  guest.panicked(0).without_symbols();
  const auto known = panicked(guest);
  ASSERT_FALSE(known);
  EXPECT_EQ(known.error().code, Errc::not_found);
}

}  // namespace
}  // namespace vmcore::kernel
