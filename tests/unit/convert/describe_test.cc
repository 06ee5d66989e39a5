// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/describe.h"

#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;

TEST(Describe, AGuest) {
  GuestBuilder guest = sample_guest();
  guest.vmcoreinfo("BUILD-ID", "0123abcd").vmcoreinfo("KERNELOFFSET", "1f000000");
  const MemoryImage image = guest.build();
  const auto description = describe(image, {}, {});
  ASSERT_TRUE(description) << description.error().message;
  ASSERT_TRUE(description->kernel);
  EXPECT_EQ(description->kernel->release, "6.12.0-test");
  EXPECT_EQ(description->kernel->build_id, "0123abcd");
  EXPECT_EQ(description->kernel->kaslr_offset, 0x1f00'0000U);
  EXPECT_EQ(description->kernel->page_table_levels, 4U);
  ASSERT_TRUE(description->last_log_stamp);
  EXPECT_DOUBLE_EQ(*description->last_log_stamp, 1.5);
  EXPECT_EQ(description->crash_time.source, TimeSource::none);
  EXPECT_EQ(description->plan.ram.count(), kGuestPages);
  EXPECT_EQ(description->level_asked, 0U);
}

TEST(Describe, WhatWeWroteOurselves) {
  GuestBuilder guest = sample_guest();
  guest.vmcoreinfo("NUMBER(PG_slab)", std::nullopt)
      .vmcoreinfo("NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)", std::nullopt);
  const MemoryImage image = guest.build();
  for (const Target& target : kTargets) {
    const auto description = describe(convert_image(image, target).reopen(), {}, {});
    ASSERT_TRUE(description);
    EXPECT_EQ(description->level_asked, 31U);
    EXPECT_EQ(description->level_reached, 23U);
    EXPECT_THAT(texts(description->remarks), HasSubstr("user pages are kept"));
  }
}

// The pages of the kernel are lost: its note still tells which it was.
TEST(Describe, ANoteWithoutItsKernel) {
  MemoryImage image;
  image.memory = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 4096}});
  image.notes = {builders::vmcoreinfo_note("OSRELEASE=6.12.1\nBUILD-ID=0123abcd\n")};
  const auto description = describe(image, {}, {});
  ASSERT_TRUE(description) << description.error().message;
  ASSERT_TRUE(description->kernel);
  EXPECT_FALSE(description->kernel->in_memory);
  EXPECT_EQ(description->kernel->release, "6.12.1");
  EXPECT_EQ(description->kernel->build_id, "0123abcd");
  image.notes = {builders::vmcoreinfo_note("nothing of a kernel")};
  EXPECT_FALSE(describe(image, {}, {})->kernel);
}

TEST(Describe, WithoutAKernel) {
  MemoryImage image;
  image.memory = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 4096}});
  const auto description = describe(image, {}, {});
  ASSERT_TRUE(description) << description.error().message;
  EXPECT_FALSE(description->kernel);
  EXPECT_FALSE(description->last_log_stamp);
  EXPECT_EQ(description->plan.ram.count(), 1U);
}

}  // namespace
}  // namespace vmcore::convert
