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

// VMCOREINFO does not export them before v6.0.
TEST_P(KallsymsLayouts, FoundByContent) {
  GuestBuilder guest(GetParam());
  guest.kaslr(0x140'0000, 0x20'0000, {0xffff'8d5d'0000'0000});
  guest.vmcoreinfo("SYMBOL(kallsyms_names)", std::nullopt);
  const auto kallsyms = kallsyms_of(guest.build());
  ASSERT_TRUE(kallsyms) << kallsyms.error().message;
  for (const char* name : {"_stext", "_end", "saved_command_line"}) {
    EXPECT_EQ(kallsyms->find(name), guest.symbol(name));
  }
}

TEST_P(KallsymsLayouts, NamesAddresses) {
  GuestBuilder guest(GetParam());
  const auto kallsyms = kallsyms_of(guest.build());
  ASSERT_TRUE(kallsyms) << kallsyms.error().message;
  const VirtAddr uts = guest.symbol("init_uts_ns");
  for (const std::uint64_t offset : {0U, 1U, 389U}) {
    const auto symbol = kallsyms->at(uts + offset);
    ASSERT_TRUE(symbol);
    EXPECT_EQ(symbol->name, "init_uts_ns");
    EXPECT_EQ(symbol->type, 'D');
    EXPECT_EQ(symbol->address, uts);
    EXPECT_GE(symbol->size, 390U);
    EXPECT_NE(kallsyms->at(uts + symbol->size)->name, "init_uts_ns");
  }
  EXPECT_NE(kallsyms->at({uts.value - 1})->name, "init_uts_ns");
  EXPECT_EQ(kallsyms->at(guest.symbol("_end")), std::nullopt);
  EXPECT_EQ(kallsyms->at({0}), std::nullopt);
  EXPECT_EQ(kallsyms->at({0x1000}), std::nullopt);
  EXPECT_EQ(kallsyms->at({0xffff'8880'0000'0000}), std::nullopt);
  EXPECT_EQ(kallsyms->at({~0ULL}), std::nullopt);
}

TEST_P(KallsymsLayouts, GoesThroughARange) {
  GuestBuilder guest(GetParam());
  const auto kallsyms = kallsyms_of(guest.build());
  ASSERT_TRUE(kallsyms) << kallsyms.error().message;
  VirtAddr last;
  std::uint64_t count = 0;
  kallsyms->for_each({0}, {~0ULL}, [&](const Symbol& symbol) {
    EXPECT_GE(symbol.address, last);
    EXPECT_EQ(kallsyms->find(symbol.name), symbol.address);
    last = symbol.address;
    ++count;
    return true;
  });
  EXPECT_EQ(count, kallsyms->size());
  std::string names;
  const VirtAddr line = guest.symbol("saved_command_line");
  kallsyms->for_each(line, line + 1, [&](const Symbol& symbol) {
    names += symbol.name + ' ';
    return true;
  });
  EXPECT_EQ(names, "saved_command_line ");
  count = 0;
  kallsyms->for_each({0}, {~0ULL}, [&](const Symbol&) { return ++count < 3; });
  EXPECT_EQ(count, 3U);
}

TEST(Kallsyms, SearchedForBeforeV6) {
  for (const char* layout : {"5.4", "5.15"}) {
    GuestBuilder guest(layout);
    const auto kallsyms = kallsyms_of(guest.build());
    ASSERT_TRUE(kallsyms) << kallsyms.error().message;
    EXPECT_EQ(kallsyms->find("_end"), guest.symbol("_end"));
  }
}

TEST(Kallsyms, NotThere) {
  GuestBuilder guest("5.15");
  const MemoryImage image = guest.build();
  const PhysAddr digits{guest.symbol("kallsyms_token_index").value - 0xffff'ffff'8000'0000 + 96};
  static_cast<testing::SparseMemory&>(*image.memory).write_value(digits, std::uint16_t{7});
  EXPECT_EQ(kallsyms_of(image).error().code, Errc::not_found);
}

// Of symbols that begin at one address the first is told, as the kernel does.
TEST(Kallsyms, SymbolsOfOneAddress) {
  GuestBuilder guest("6.1");
  const auto kallsyms = kallsyms_of(guest.build());
  ASSERT_TRUE(kallsyms) << kallsyms.error().message;
  const VirtAddr uts = guest.symbol("init_uts_ns");
  EXPECT_EQ(kallsyms->find(std::string(300, 'l')), uts);
  EXPECT_EQ(kallsyms->at(uts + 4)->name, "init_uts_ns");
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

// Each table is damaged in one place.
TEST(Kallsyms, TablesThatContradictThemselves) {
  for (const char* layout : {"5.15", "6.1", "6.12", "7.1"}) {
    GuestBuilder guest(layout);
    const MemoryImage image = guest.build();
    auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
    const auto refused = [&](const std::string& table, std::uint64_t offset, std::uint8_t change) {
      const PhysAddr place = guest.physical(guest.symbol(table) + offset);
      std::byte honest{};
      EXPECT_TRUE(read_exactly(memory, place, std::span(&honest, 1)));
      memory.write_value(place,
                         static_cast<std::uint8_t>(static_cast<std::uint8_t>(honest) ^ change));
      const auto kallsyms = kallsyms_of(image);
      memory.write_value(place, static_cast<std::uint8_t>(honest));
      return !kallsyms;
    };
    EXPECT_TRUE(kallsyms_of(image)) << layout;
    EXPECT_TRUE(refused("kallsyms_names", 0, 1)) << layout;       // the length of a name
    EXPECT_TRUE(refused("kallsyms_offsets", 7, 0x40)) << layout;  // an address
    EXPECT_TRUE(refused("kallsyms_token_table", 0, 0x80)) << layout;
  }
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
