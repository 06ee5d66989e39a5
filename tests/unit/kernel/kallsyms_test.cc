// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/kallsyms.h"

#include <gtest/gtest.h>

#include "tests/builders/kernel_builder.h"

namespace vmcore::kernel {
namespace {

using testing::GuestBuilder;

Result<Kallsyms> kallsyms_of(const MemoryImage& image) {
  const auto found = find_kernels(image, Search::registers);
  EXPECT_EQ(found->kernels.size(), 1U);
  return Kallsyms::read(found->kernels.at(0));
}

class KallsymsLayouts : public ::testing::TestWithParam<const char*> {};

TEST_P(KallsymsLayouts, FindsAddresses) {
  GuestBuilder guest(GetParam());
  guest.kaslr(0x140'0000, 0, {0xffff'8d5d'0000'0000});
  const auto kallsyms = kallsyms_of(guest.build());
  ASSERT_TRUE(kallsyms) << kallsyms.error().message;
  EXPECT_EQ(kallsyms->find("_stext"), guest.symbol("_stext"));
  EXPECT_EQ(kallsyms->find("no_such_symbol"), std::nullopt);
  const auto found = kallsyms->find({"page_offset_base", "nothing", "_end"});
  EXPECT_EQ(found[0], guest.symbol("page_offset_base"));
  EXPECT_EQ(found[1], std::nullopt);
  EXPECT_EQ(found[2], guest.symbol("_end"));
  EXPECT_GE(kallsyms->size(), 3U);
  const std::string long_name(300, 'l');
  EXPECT_EQ(kallsyms->find(long_name), guest.symbol(long_name));
}

INSTANTIATE_TEST_SUITE_P(All, KallsymsLayouts, ::testing::Values("6.1", "6.6", "6.12", "7.1"));

TEST(Kallsyms, NotExported) {
  GuestBuilder guest("5.15");
  EXPECT_EQ(kallsyms_of(guest.build()).error().code, Errc::not_found);
}

TEST(Kallsyms, HostileTables) {
  GuestBuilder guest("6.1");
  const MemoryImage image = guest.build();
  auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
  const auto physical = [&](const char* name) {
    return PhysAddr{guest.symbol(name).value - 0xffff'ffff'8000'0000};
  };
  const PhysAddr count = physical("kallsyms_num_syms");
  std::uint32_t honest = 0;
  ASSERT_TRUE(read_exactly(memory, count, std::as_writable_bytes(std::span(&honest, 1))));
  for (const std::uint32_t wrong : {0U, 0xffff'ffffU}) {
    memory.write_value(count, wrong);
    EXPECT_EQ(kallsyms_of(image).error().code, Errc::limit);
  }
  memory.write_value(count, std::uint32_t{4 << 20});
  EXPECT_FALSE(kallsyms_of(image));
  memory.write_value(count, honest);

  const PhysAddr names = physical("kallsyms_names");
  memory.write_value(names, std::uint8_t{0});
  EXPECT_EQ(kallsyms_of(image).error().code, Errc::malformed);
  memory.write_value(names, std::uint16_t{0xffff});
  EXPECT_EQ(kallsyms_of(image).error().code, Errc::malformed);
}

TEST(Kallsyms, TokenThatDoesNotEnd) {
  GuestBuilder guest("6.1");
  const MemoryImage image = guest.build();
  const PhysAddr table{guest.symbol("kallsyms_token_table").value - 0xffff'ffff'8000'0000};
  const std::vector<std::byte> ones(1000, std::byte{1});
  static_cast<testing::SparseMemory&>(*image.memory).write(table, ones);
  EXPECT_EQ(kallsyms_of(image).error().code, Errc::malformed);
}

TEST(Kallsyms, StextHasToAgree) {
  GuestBuilder guest("6.1");
  const MemoryImage image = guest.build();
  const PhysAddr base{guest.symbol("kallsyms_relative_base").value - 0xffff'ffff'8000'0000};
  static_cast<testing::SparseMemory&>(*image.memory).write_value(base, std::uint64_t{0});
  EXPECT_EQ(kallsyms_of(image).error().code, Errc::malformed);
}

}  // namespace
}  // namespace vmcore::kernel
