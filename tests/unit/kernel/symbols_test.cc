// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/symbols.h"

#include <gtest/gtest.h>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/kernel/lists.h"
#include "src/kernel/modules.h"
#include "tests/builders/btf_builder.h"
#include "tests/builders/kernel_builder.h"

namespace vmcore::kernel {
namespace {

using testing::BtfBuilder;
using testing::GuestBuilder;

// Where the parts of struct module lie in the guests here.
constexpr std::uint64_t kList = 8, kName = 24, kKallsyms = 80, kMemory = 96, kArch = 192;
constexpr std::uint64_t kTextBytes = 0x100, kDataBytes = 0x80;

// struct module, in the form of before v6.4 or since.
BtfBuilder module_types(bool memories) {
  BtfBuilder btf;
  const auto u32 = btf.integer("unsigned int", 4);
  const auto any = btf.pointer(0);
  const auto name = btf.array(btf.integer("char", 1), 56);
  const auto list = btf.structure("list_head", 16, {{"next", any, 0}, {"prev", any, 64}});
  btf.structure(
      "mod_kallsyms", 32,
      {{"symtab", any, 0}, {"num_symtab", u32, 64}, {"strtab", any, 128}, {"typetab", any, 192}});
  const auto arch =
      btf.structure("mod_arch_specific", 24,
                    {{"num_orcs", u32, 0}, {"orc_unwind_ip", any, 64}, {"orc_unwind", any, 128}});
  std::vector<testing::BtfMember> members{
      {"list", list, kList * 8}, {"name", name, kName * 8}, {"kallsyms", any, kKallsyms * 8}};
  if (memories) {
    const auto memory = btf.structure("module_memory", 16, {{"base", any, 0}, {"size", u32, 64}});
    members.push_back({"mem", btf.array(memory, 3), kMemory * 8});
  } else {
    const auto layout = btf.structure(
        "module_layout", 16, {{"base", any, 0}, {"size", u32, 64}, {"text_size", u32, 96}});
    members.push_back({"core_layout", layout, kMemory * 8});
    members.push_back({"init_layout", layout, (kMemory + 16) * 8});
  }
  members.push_back({"arch", arch, kArch * 8});
  btf.structure("module", 256, members);
  btf.structure("btf", 16, {{"data", any, 0}, {"data_size", u32, 64}});
  btf.structure("btf_module", 40, {{"list", list, 0}, {"module", any, 128}, {"btf", any, 192}});
  return btf;
}

struct Symbol64 {
  std::uint32_t name;
  std::uint8_t info = 0, other = 0;
  std::uint16_t section = 1;
  std::uint64_t value;
  std::uint64_t size = 0;
};

// One guest with a module "first" of three functions, and an empty one, "second".
class ModuleGuest {
 public:
  explicit ModuleGuest(bool memories) : guest_("6.1"), types_(module_types(memories)) {
    const auto btf = types_.build();
    guest_.room("__start_BTF", btf.size(), "__stop_BTF").room("modules", 16);
    guest_.room("a_module", 256).room("b_module", 256).room("a_text", kTextBytes);
    guest_.room("a_data", kDataBytes).room("a_kallsyms", 32).room("a_symbols", 24 * 8);
    guest_.room("a_strings", 64).room("a_types", 8);
    guest_.room("btf_modules", 16)
        .room("a_btf_module", 40)
        .room("a_btf", 16)
        .room("a_btf_data", 4096);
    image_ = guest_.build();
    write("__start_BTF", 0, btf);
    link();
    write_text("a_module", kName, "first");
    write_text("b_module", kName, "second");
    put("a_module", kKallsyms, at("a_kallsyms").value);
    put("a_module", kMemory, at("a_text").value);
    put("a_module", kMemory + 8, kTextBytes);
    put("a_module", kMemory + 16, at("a_data").value);
    put("a_module", kMemory + 24, kDataBytes);
    put("a_module", kArch, 5);
    put("a_module", kArch + 8, 0x1000);
    put("a_module", kArch + 16, 0x2000);
    put("a_kallsyms", 0, at("a_symbols").value);
    put("a_kallsyms", 8, 7);
    put("a_kallsyms", 16, at("a_strings").value);
    put("a_kallsyms", 24, at("a_types").value);
    write_text("a_strings", 1, std::string("open\0close\0data\0.Lx\0alias\0gone", 30));
    write_text("a_types", 0, "?tTdtTU");
    const std::uint64_t text = at("a_text").value;
    put_symbol(1, {1, 0, 0, 1, text + 0x10});
    put_symbol(2, {6, 0, 0, 1, text + 0x40});
    put_symbol(3, {12, 0, 0, 2, at("a_data").value + 8});
    put_symbol(4, {17, 0, 0, 1, text + 0x20});
    put_symbol(5, {21, 0, 0, 1, text + 0x40});
    put_symbol(6, {27, 0, 0, 0, text + 0x50});
    found_ = *find_kernels(image_, Search::registers);
  }

  VirtAddr at(const char* symbol) const { return guest_.symbol(symbol); }
  void write(const char* symbol, std::uint64_t offset, std::span<const std::byte> bytes) {
    memory().write(guest_.physical(at(symbol)) + offset, bytes);
  }
  void write_text(const char* symbol, std::uint64_t offset, std::string_view text) {
    write(symbol, offset, std::as_bytes(std::span(text)));
  }
  void put(const char* symbol, std::uint64_t offset, std::uint64_t value) {
    memory().write_value(guest_.physical(at(symbol)) + offset, value);
  }
  void put_symbol(std::uint64_t index, const Symbol64& symbol) {
    memory().write_value(guest_.physical(at("a_symbols")) + index * 24, symbol);
  }
  testing::SparseMemory& memory() { return static_cast<testing::SparseMemory&>(*image_.memory); }
  const GuestKernel& kernel() const { return found_.kernels.at(0); }
  const Kallsyms& kallsyms() const { return *kernel().kallsyms(); }
  Result<Btf> btf() const { return Btf::of_kernel(kernel(), kallsyms()); }
  Modules modules() const { return *read_modules(kernel(), kallsyms(), *btf()); }
  const BtfBuilder& types() const { return types_; }

 private:
  // modules -> a -> b -> modules
  void link() {
    const std::array<std::uint64_t, 3> ring{at("modules").value, at("a_module").value + kList,
                                            at("b_module").value + kList};
    const std::array<const char*, 3> names{"modules", "a_module", "b_module"};
    for (std::size_t i = 0; i < 3; ++i) {
      put(names[i], i == 0 ? 0 : kList, ring[(i + 1) % 3]);
      put(names[i], (i == 0 ? 0 : kList) + 8, ring[(i + 2) % 3]);
    }
  }

  GuestBuilder guest_;
  BtfBuilder types_;
  MemoryImage image_;
  FoundKernels found_;
};

class ModuleForms : public ::testing::TestWithParam<bool> {};

TEST_P(ModuleForms, AreRead) {
  const ModuleGuest guest(GetParam());
  const Modules found = guest.modules();
  EXPECT_TRUE(found.remarks.empty());
  ASSERT_EQ(found.modules.size(), 2U);
  const Module& first = found.modules[0];
  EXPECT_EQ(first.name, "first");
  EXPECT_EQ(found.modules[1].name, "second");
  EXPECT_TRUE(first.contains(guest.at("a_text") + (kTextBytes - 1)));
  EXPECT_TRUE(first.contains(guest.at("a_data")));
  EXPECT_FALSE(first.contains(guest.at("a_data") + kDataBytes));
  EXPECT_EQ(first.orc_ip.count, 5U);
  EXPECT_EQ(first.orc_ip.begin, VirtAddr{0x1000});
  EXPECT_EQ(first.orc, VirtAddr{0x2000});
  EXPECT_TRUE(found.modules[1].ranges.empty());
}

TEST_P(ModuleForms, NameAddresses) {
  const ModuleGuest guest(GetParam());
  auto modules = guest.modules().modules;
  // Module addresses lie behind the kernel's image; here they are part of it.
  const auto text_of = [&](VirtAddr address) {
    const auto table = Symbols::of_module(guest.kernel(), modules[0]);
    EXPECT_TRUE(table) << table.error().message;
    std::string names;
    for (const Symbol& symbol : *table) {
      names += symbol.address == address ? symbol.name + ' ' : "";
    }
    return names;
  };
  EXPECT_EQ(text_of(guest.at("a_text") + 0x10), "open ");
  EXPECT_EQ(text_of(guest.at("a_text") + 0x40), "close alias ");
  EXPECT_EQ(text_of(guest.at("a_text") + 0x20), "");
  EXPECT_EQ(text_of(guest.at("a_text") + 0x50), "");
  EXPECT_EQ(text_of(guest.at("a_data") + 8), "data ");
}

INSTANTIATE_TEST_SUITE_P(All, ModuleForms, ::testing::Bool());

TEST(Modules, SymbolsLimit) {
  ModuleGuest guest(true);
  guest.put("a_kallsyms", 8, 0xffff'ffff);
  EXPECT_EQ(Symbols::of_module(guest.kernel(), guest.modules().modules[0]).error().code,
            Errc::limit);
}

TEST(Modules, TheirOwnTypes) {
  ModuleGuest guest(true);
  BtfBuilder own = BtfBuilder::of_module(guest.types());
  own.structure("own", 24, {});
  const auto bytes = own.build();
  guest.write("a_btf_data", 0, bytes);
  guest.put("a_btf", 0, guest.at("a_btf_data").value);
  guest.put("a_btf", 8, bytes.size());
  guest.put("a_btf_module", 16, guest.at("a_module").value);
  guest.put("a_btf_module", 24, guest.at("a_btf").value);
  for (const char* from : {"btf_modules", "a_btf_module"}) {
    const VirtAddr to =
        guest.at(from == std::string_view("btf_modules") ? "a_btf_module" : "btf_modules");
    guest.put(from, 0, to.value);
    guest.put(from, 8, to.value);
  }
  const auto btf = guest.btf();
  const auto modules = guest.modules().modules;
  const auto types = read_module_btf(guest.kernel(), guest.kallsyms(), *btf, modules[0]);
  ASSERT_TRUE(types) << types.error().message;
  EXPECT_EQ(types->size_of("own"), 24U);
  EXPECT_EQ(types->size_of("module"), 256U);
  EXPECT_EQ(read_module_btf(guest.kernel(), guest.kallsyms(), *btf, modules[1]).error().code,
            Errc::not_found);
}

TEST(Modules, BrokenList) {
  ModuleGuest guest(true);
  guest.put("b_module", kList, guest.at("b_module").value + kList);  // its own next one
  const Modules found = guest.modules();
  EXPECT_EQ(found.modules.size(), 2U);
  ASSERT_EQ(found.remarks.size(), 1U);
  EXPECT_EQ(found.remarks[0].code, Errc::malformed);
}

TEST(Symbols, TheKernels) {
  const ModuleGuest guest(true);
  Symbols symbols(guest.kernel(), guest.kallsyms(), {});
  const auto named = symbols.at(guest.at("a_text") + 0x14);
  ASSERT_TRUE(named);
  EXPECT_EQ(named->text(), "a_text+0x14/0x100");
  EXPECT_EQ(symbols.at({0x1000}), std::nullopt);
}

// Moves the module's code to where the kernel's own symbols do not reach: there.
VirtAddr move_away(ModuleGuest& guest) {
  const VirtAddr far =
      *guest.kernel().page_offset() + (guest.at("a_text").value - 0xffff'ffff'8000'0000);
  guest.put("a_module", kMemory, far.value);
  guest.put_symbol(1, {1, 0, 0, 1, far.value + 0x10});
  guest.put_symbol(2, {6, 0, 0, 1, far.value + 0x40});
  guest.put_symbol(5, {21, 0, 0, 1, far.value + 0x40});
  return far;
}

TEST(Symbols, AModules) {
  ModuleGuest guest(true);
  const VirtAddr far = move_away(guest);
  Symbols symbols(guest.kernel(), guest.kallsyms(), guest.modules().modules);
  EXPECT_EQ(symbols.at(far + 0x12)->text(), "open+0x2/0x30 [first]");
  EXPECT_EQ(symbols.at(far + 0x50)->text(), "close+0x10/0xc0 [first]");
  EXPECT_EQ(symbols.at(far + 0x8), std::nullopt);
  EXPECT_EQ(symbols.at(far + kTextBytes), std::nullopt);
}

TEST(Symbols, AFunctionEndsWithTheCodeOfItsModule) {
  ModuleGuest guest(false);
  const VirtAddr far = move_away(guest);
  guest.put("a_module", kMemory + 8, kTextBytes | 0x60ULL << 32);  // size and text_size
  Symbols symbols(guest.kernel(), guest.kallsyms(), guest.modules().modules);
  EXPECT_EQ(symbols.at(far + 0x50)->text(), "close+0x10/0x20 [first]");
  EXPECT_EQ(symbols.at(far + 0x60), std::nullopt);
  EXPECT_TRUE(guest.modules().modules[0].contains(far + (kTextBytes - 1)));
}

TEST(Lists, AreBounded) {
  ModuleGuest guest(true);
  const VirtAddr head = guest.at("modules");
  EXPECT_EQ(walk_list(guest.kernel(), head, 2).entries.size(), 2U);
  EXPECT_FALSE(walk_list(guest.kernel(), head, 2).broken);
  const ListWalk short_walk = walk_list(guest.kernel(), head, 1);
  EXPECT_EQ(short_walk.entries.size(), 1U);
  EXPECT_EQ(short_walk.broken->code, Errc::limit);
  guest.put("b_module", kList, 0x1234);
  EXPECT_EQ(walk_list(guest.kernel(), head, 9).broken->code, Errc::unreadable);
  guest.put("b_module", kList, guest.at("a_module").value + kList);  // a cycle without the head
  const ListWalk cycle = walk_list(guest.kernel(), head, 9);
  EXPECT_EQ(cycle.entries.size(), 2U);
  EXPECT_EQ(cycle.broken->code, Errc::malformed);
}

}  // namespace
}  // namespace vmcore::kernel
