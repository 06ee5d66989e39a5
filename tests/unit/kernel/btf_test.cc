// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/btf.h"

#include <gtest/gtest.h>

#include "tests/builders/btf_builder.h"
#include "tests/builders/kernel_builder.h"
#include "tests/builders/small_btf.h"

namespace vmcore::kernel {
namespace {

using testing::BtfBuilder;
using testing::GuestBuilder;
using testing::small_btf;

// A guest whose kernel carries these bytes as its BTF, and those as a module's.
class BtfGuest {
 public:
  explicit BtfGuest(const std::vector<std::byte>& bytes, const std::vector<std::byte>& module = {})
      : guest_("6.1") {
    guest_.room("__start_BTF", bytes.size(), "__stop_BTF").room("module_btf", module.size() + 1);
    image_ = guest_.build();
    memory().write(guest_.physical(guest_.symbol("__start_BTF")), bytes);
    memory().write(guest_.physical(guest_.symbol("module_btf")), module);
    found_ = *find_kernels(image_, Search::registers);
  }
  const GuestKernel& kernel() const { return found_.kernels.at(0); }
  Result<Btf> read() const { return Btf::of_kernel(kernel(), *kernel().kallsyms()); }
  Result<Btf> read_module(const Btf& base, std::uint64_t size) const {
    return Btf::read(kernel(), guest_.symbol("module_btf"), size, &base);
  }
  testing::SparseMemory& memory() { return static_cast<testing::SparseMemory&>(*image_.memory); }
  PhysAddr begin() const { return guest_.physical(guest_.symbol("__start_BTF")); }

 private:
  GuestBuilder guest_;
  MemoryImage image_;
  FoundKernels found_;
};

TEST(Btf, Fields) {
  const BtfGuest guest(small_btf().build());
  const auto btf = guest.read();
  ASSERT_TRUE(btf) << btf.error().message;
  EXPECT_TRUE(btf->complete());
  EXPECT_EQ(btf->size_of("task_struct"), 256U);
  EXPECT_EQ(btf->field("task_struct.thread.sp")->offset(), 64U + 24U);
  EXPECT_EQ(btf->field("task_struct.thread.sp")->size, 8U);
  EXPECT_EQ(btf->field("task_t.thread")->offset(), 64U);
  EXPECT_EQ(btf->field("task_struct.comm")->size, 16U);
  EXPECT_EQ(btf->field("task_struct.pid")->offset(), 8U);
  EXPECT_EQ(btf->field("task_struct.high")->offset(), 12U);
  EXPECT_EQ(btf->field("task_struct.parent")->size, 8U);
  EXPECT_EQ(btf->field("task_struct")->size, 256U);
  const auto wide = btf->field("task_struct.wide");
  EXPECT_EQ(wide->bits, 7U);
  EXPECT_EQ(wide->bit_offset, 1153U);
  EXPECT_EQ(btf->field("task_struct.state")->bits, 0U);
  for (const char* absent : {"task_struct.nothing", "task_struct.parent.state", "nothing.at_all",
                             "task_struct.state.x", "task_struct.", "task_struct.stat", ""}) {
    EXPECT_EQ(btf->field(absent).error().code, Errc::not_found) << absent;
  }
}

TEST(Btf, BitFieldsWithoutTheFlag) {
  BtfBuilder builder;
  const auto bits = builder.integer("unsigned int", 4, 3);
  builder.structure("old", 4, {{"first", bits, 0}, {"second", bits, 3}});
  const BtfGuest guest(builder.build());
  const auto field = guest.read()->field("old.second");
  EXPECT_EQ(field->bits, 3U);
  EXPECT_EQ(field->bit_offset, 3U);
}

// A number that was damaged moves a member into another one, or out of the struct.
TEST(Btf, MembersThatHaveNoRoom) {
  BtfBuilder builder;
  const auto u64 = builder.integer("unsigned long", 8);
  const auto both = builder.union_of("", 8, {{"as_long", u64, 0}, {"as_other", u64, 0}});
  builder.structure("overlaps", 32,
                    {{"a", u64, 0}, {"b", u64, 56}, {"c", u64, 128}, {"d", u64, 192}});
  builder.structure("outside", 16, {{"a", u64, 0}, {"b", u64, 65}});
  builder.structure("down", 16, {{"a", u64, 64}, {"b", u64, 0}});
  builder.structure("good", 24, {{"a", u64, 0}, {"", both, 64}, {"c", u64, 128}});
  const BtfGuest guest(builder.build());
  const auto btf = guest.read();
  ASSERT_TRUE(btf) << btf.error().message;
  for (const char* path :
       {"overlaps.a", "overlaps.b", "outside.a", "outside.b", "down.a", "down.b"}) {
    EXPECT_EQ(btf->field(path).error().code, Errc::malformed) << path;
  }
  for (const char* path : {"overlaps.d", "good.a", "good.as_long", "good.as_other", "good.c"}) {
    EXPECT_TRUE(btf->field(path)) << path;
  }
}

TEST(Btf, Enumerators) {
  const BtfGuest guest(small_btf().build());
  const auto btf = guest.read();
  ASSERT_TRUE(btf) << btf.error().message;
  EXPECT_EQ(btf->enumerator("PIDTYPE_MAX"), 4);
  EXPECT_EQ(btf->enumerator("PIDTYPE_MAX", "pid_type"), 4);
  EXPECT_EQ(btf->enumerator("NEGATIVE"), -3);
  EXPECT_EQ(btf->enumerator("HUGE"), std::int64_t{1} << 40);
  EXPECT_EQ(btf->enumerator("HUGE", "pid_type").error().code, Errc::not_found);
  EXPECT_EQ(btf->enumerator("task_struct").error().code, Errc::not_found);
}

TEST(Btf, Prototypes) {
  const BtfGuest guest(small_btf().build());
  const auto btf = guest.read();
  ASSERT_TRUE(btf) << btf.error().message;
  const auto wake = btf->prototype("wake_up");
  ASSERT_TRUE(wake) << wake.error().message;
  ASSERT_EQ(wake->parameters.size(), 2U);
  EXPECT_EQ(wake->parameters[0].name, "task");
  EXPECT_EQ(btf->type_text(wake->parameters[0].type), "struct task_struct *");
  EXPECT_EQ(btf->type_text(wake->parameters[1].type), "unsigned int");
  EXPECT_EQ(btf->type_text(wake->returns), "void");
  EXPECT_FALSE(wake->variadic);
  const auto printk = btf->prototype("printk");
  EXPECT_EQ(btf->type_text(printk->parameters.at(0).type), "const char *");
  EXPECT_EQ(printk->parameters.size(), 1U);
  EXPECT_TRUE(printk->variadic);
  EXPECT_EQ(btf->prototype("pid_type").error().code, Errc::not_found);
}

TEST(Btf, Texts) {
  BtfBuilder builder;
  const auto u8 = builder.integer("u8", 1);
  const auto rows = builder.array(builder.array(builder.pointer(u8), 3), 2);
  const auto constant = builder.const_of(builder.pointer(builder.pointer(u8)));
  const auto call = builder.pointer(builder.prototype(u8, {}));
  const auto anonymous = builder.structure("", 0, {});
  const BtfGuest guest(builder.build());
  const auto btf = guest.read();
  EXPECT_EQ(btf->type_text(rows), "u8 *[3][2]");
  EXPECT_EQ(btf->size_of(rows), 48U);
  EXPECT_EQ(btf->type_text(constant), "u8 ** const");
  EXPECT_EQ(btf->type_text(call), "u8 (...) *");
  EXPECT_EQ(btf->type_text(anonymous), "struct {...}");
}

TEST(Btf, ModulesContinueTheKernels) {
  const BtfBuilder base = small_btf();
  BtfBuilder builder = BtfBuilder::of_module(base);
  const auto own = builder.structure("own", 264, {{"task", 12, 0}, {"more", 1, 2048}});
  builder.function("own_function", builder.prototype(1, {{"first", builder.pointer(own)}}));
  const auto bytes = builder.build();
  const BtfGuest guest(base.build(), bytes);
  const auto kernel = guest.read();
  ASSERT_TRUE(kernel) << kernel.error().message;
  const auto module = guest.read_module(*kernel, bytes.size());
  ASSERT_TRUE(module) << module.error().message;
  EXPECT_EQ(module->size_of("own"), 264U);
  EXPECT_EQ(module->field("own.more")->offset(), 256U);
  EXPECT_EQ(module->size_of("task_struct"), 256U);
  EXPECT_EQ(module->field("task_struct.high")->offset(), 12U);
  EXPECT_EQ(module->enumerator("PIDTYPE_MAX"), 4);
  const auto prototype = module->prototype("own_function");
  ASSERT_TRUE(prototype) << prototype.error().message;
  EXPECT_EQ(module->type_text(prototype->parameters.at(0).type), "struct own *");
  EXPECT_EQ(module->type_text(prototype->returns), "unsigned long");
  EXPECT_EQ(kernel->size_of("own").error().code, Errc::not_found);
}

TEST(Btf, LongerHeader) {
  BtfBuilder builder = small_btf();
  builder.lengthen_header(16);
  const BtfGuest guest(builder.build());
  EXPECT_EQ(guest.read()->size_of("task_struct"), 256U);
}

// The layout section tells how long a kind is that came later.
TEST(Btf, UnknownKinds) {
  BtfBuilder builder;
  builder.structure("before", 8, {});
  builder.add(77, "new", 3, 0, {1, 2, 3, 4, 5, 6});
  builder.structure("behind", 16, {});
  {
    const BtfGuest guest(builder.build());
    const auto btf = guest.read();
    ASSERT_TRUE(btf) << btf.error().message;
    EXPECT_FALSE(btf->complete());
    EXPECT_EQ(btf->size_of("before"), 8U);
    EXPECT_EQ(btf->size_of("behind").error().code, Errc::not_found);
  }
  builder.tell_kind(77, 2);
  const BtfGuest guest(builder.build());
  const auto btf = guest.read();
  ASSERT_TRUE(btf) << btf.error().message;
  EXPECT_TRUE(btf->complete());
  EXPECT_EQ(btf->size_of("behind"), 16U);
}

TEST(Btf, NotThere) {
  GuestBuilder guest("6.1");
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::registers);
  const GuestKernel& kernel = found->kernels.at(0);
  EXPECT_EQ(Btf::of_kernel(kernel, *kernel.kallsyms()).error().code, Errc::not_found);
}

TEST(Btf, BrokenHeaders) {
  const auto honest = small_btf().build();
  const auto changed = [&](std::size_t at, std::uint32_t value) {
    BtfGuest guest(honest);
    guest.memory().write_value(guest.begin() + at, value);
    const auto btf = guest.read();
    return btf ? Errc::io : btf.error().code;
  };
  EXPECT_EQ(changed(0, 0x0001'9feb), Errc::not_recognised);
  EXPECT_EQ(changed(0, 0x0002'eb9f), Errc::not_recognised);
  EXPECT_EQ(changed(4, 20), Errc::malformed);  // the header's own size
  EXPECT_EQ(changed(4, ~0U), Errc::malformed);
  EXPECT_EQ(changed(8, ~0U), Errc::malformed);         // where types begin
  EXPECT_EQ(changed(12, 0x10'0000), Errc::malformed);  // their size
  EXPECT_EQ(changed(12, 40), Errc::malformed);         // cuts through a type
  EXPECT_EQ(changed(20, 0x10'0000), Errc::malformed);  // of the strings
}

TEST(Btf, EndlessTypes) {
  BtfBuilder builder;
  const auto first = builder.typedef_of("first", 2);
  builder.typedef_of("second", 1);
  builder.structure("holds_itself", 8, {{"", 3, 0}});
  const auto array = builder.array(5, 1'000'000);
  builder.array(4, 1'000'000);
  const auto pointer = builder.pointer(6);
  std::uint32_t big = builder.integer("u8", 1);
  for (int i = 0; i < 4; ++i) {
    big = builder.array(big, ~0U);
  }
  builder.typedef_of("outside", 4000);
  const BtfGuest guest(builder.build());
  const auto btf = guest.read();
  ASSERT_TRUE(btf) << btf.error().message;
  EXPECT_EQ(btf->resolve(first).error().code, Errc::limit);
  EXPECT_EQ(btf->field("first.x").error().code, Errc::limit);
  EXPECT_EQ(btf->field("holds_itself.x").error().code, Errc::limit);
  EXPECT_EQ(btf->size_of(array).error().code, Errc::limit);
  EXPECT_EQ(btf->size_of(big).error().code, Errc::limit);
  EXPECT_EQ(btf->type_text(pointer).error().code, Errc::limit);
  EXPECT_EQ(btf->field("outside.x").error().code, Errc::not_found);
  EXPECT_EQ(btf->type(4000).error().code, Errc::not_found);
}

// Two anonymous members at each of many levels: twice as many to look through at each.
TEST(Btf, AnonymousMembersThatMultiply) {
  BtfBuilder builder;
  auto inner = builder.structure("", 8, {{"x", 0, 0}});
  for (int i = 0; i < 28; ++i) {
    inner = builder.union_of(i == 27 ? "outer" : "", 8, {{"", inner, 0}, {"", inner, 0}});
  }
  const BtfGuest guest(builder.build());
  EXPECT_EQ(guest.read()->field("outer.y").error().code, Errc::limit);
  EXPECT_EQ(guest.read()->field("outer.x")->offset(), 0U);
}

TEST(Btf, MissingPages) {
  BtfGuest guest(small_btf().build());
  guest.memory().exclude({guest.begin().value / 4096});
  EXPECT_EQ(guest.read().error().code, Errc::unreadable);
}

}  // namespace
}  // namespace vmcore::kernel
