// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/page_tables.h"

#include <gtest/gtest.h>

#include "src/kernel/arch/arch.h"
#include "tests/builders/kernel_memory.h"

namespace vmcore::kernel {
namespace {

using testing::SparseMemory;

constexpr std::uint64_t kPresent = 1;
constexpr std::uint64_t kLarge = 0x80;
constexpr std::uint64_t kNoExecute = 1ULL << 63;

// Tables at 0x1000 (level 5), 0x2000 (4), 0x3000 (3), 0x4000 (2) and 0x5000 (1).
class PageTablesTest : public ::testing::Test {
 protected:
  void entry(unsigned level, std::uint64_t index, std::uint64_t value) {
    memory.write_value(PhysAddr{(6 - level) * 0x1000ULL + index * 8}, value);
  }
  PageTables four() const { return {arch, memory, PhysAddr{0x2000}, 4, 0}; }
  PageTables five() const { return {arch, memory, PhysAddr{0x1000}, 5, 0}; }

  const Architecture& arch = architecture_of({Arch::x86_64});
  SparseMemory memory{{{{0}, 16ULL << 20}}};
};

TEST_F(PageTablesTest, SmallPage) {
  entry(4, 511, 0x3000 | kPresent);
  entry(3, 510, 0x4000 | kPresent | kNoExecute);
  entry(2, 8, 0x5000 | kPresent);
  entry(1, 1, 0x7000 | kPresent | kNoExecute | 0x1e0);
  const auto mapping = four().translate({0xffff'ffff'8100'1234});
  ASSERT_TRUE(mapping) << mapping.error().message;
  EXPECT_EQ(mapping->address, PhysAddr{0x7234});
  EXPECT_EQ(mapping->size, 0x1000U - 0x234);
}

TEST_F(PageTablesTest, LargePages) {
  entry(4, 511, 0x3000 | kPresent);
  entry(3, 510, 0x4000 | kPresent);
  // Bit 12 of a large page's entry is PAT, no address.
  entry(2, 8, 0xa0'0000 | 0x1000 | kPresent | kLarge);
  entry(3, 511, 0xc000'0000 | kPresent | kLarge);
  EXPECT_EQ(four().translate({0xffff'ffff'8110'1234})->address, PhysAddr{0xb0'1234});
  EXPECT_EQ(four().translate({0xffff'ffff'8110'1234})->size, 0x20'0000U - 0x10'1234);
  EXPECT_EQ(four().translate({0xffff'ffff'c020'0001})->address, PhysAddr{0xc020'0001});
}

TEST_F(PageTablesTest, FiveLevels) {
  entry(5, 0x111, 0x2000 | kPresent);
  entry(4, 0, 0x3000 | kPresent);
  entry(3, 0, 0x4000'0000 | kPresent | kLarge);
  EXPECT_EQ(five().translate({0xff11'0000'0000'5678})->address, PhysAddr{0x4000'5678});
  // A large page is no large page at level 4 and above: bit 7 is reserved there.
  entry(4, 0, 0x3000 | kPresent | kLarge);
  EXPECT_EQ(five().translate({0xff11'0000'0000'5678})->address, PhysAddr{0x4000'5678});
}

TEST_F(PageTablesTest, ClearsTheEncryptionBit) {
  constexpr std::uint64_t kEncrypted = 1ULL << 47;
  entry(4, 0, 0x3000 | kPresent | kEncrypted);
  entry(3, 0, 0x0 | kPresent | kLarge | kEncrypted);
  const PageTables tables(arch, memory, PhysAddr{0x2000 | kEncrypted}, 4, kEncrypted);
  EXPECT_EQ(tables.translate({0x5678})->address, PhysAddr{0x5678});
  EXPECT_EQ(four().translate({0x5678}).error().code, Errc::malformed);
}

TEST_F(PageTablesTest, NotMappedIsNotFound) {
  EXPECT_EQ(four().translate({0xffff'ffff'8100'0000}).error().code, Errc::not_found);
  // Present is what counts, whatever else is in the entry.
  entry(4, 511, 0x3000 | kLarge);
  EXPECT_EQ(four().translate({0xffff'ffff'8100'0000}).error().code, Errc::not_found);
}

TEST_F(PageTablesTest, NotCanonicalIsNotFound) {
  entry(4, 511, 0x3000 | kPresent);
  entry(3, 510, 0x0 | kPresent | kLarge);
  EXPECT_EQ(four().translate({0x0000'ffff'8000'0000}).error().code, Errc::not_found);
  EXPECT_EQ(four().translate({0xff11'0000'0000'0000}).error().code, Errc::not_found);
}

TEST_F(PageTablesTest, TableOutsideTheImageIsUnreadable) {
  entry(4, 0, 0x1000'0000 | kPresent);
  EXPECT_EQ(four().translate({0}).error().code, Errc::unreadable);
}

TEST_F(PageTablesTest, AddressBeyondTheLimitIsMalformed) {
  entry(4, 0, kMaxPhysAddr | kPresent);
  EXPECT_EQ(four().translate({0}).error().code, Errc::malformed);
}

TEST_F(PageTablesTest, ATableThatIsItsOwnChildEnds) {
  for (std::uint64_t i = 0; i < 512; ++i) {
    entry(4, i, 0x2000 | kPresent);
  }
  EXPECT_EQ(four().translate({0x1234})->address, PhysAddr{0x2234});
}

}  // namespace
}  // namespace vmcore::kernel
