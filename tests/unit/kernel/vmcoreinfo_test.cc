// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/vmcoreinfo.h"

#include <gtest/gtest.h>

#include <string>

namespace vmcore::kernel {
namespace {

Result<Vmcoreinfo> parse(std::string_view text) {
  return Vmcoreinfo::parse(std::as_bytes(std::span(text)));
}

TEST(Vmcoreinfo, GivesEachKindOfLine) {
  const auto info = parse(
      "OSRELEASE=6.1.0-test\n"
      "BUILD-ID=00ff\n"
      "SYMBOL(_stext)=ffffffff81000000\n"
      "OFFSET(page.flags)=0\n"
      "SIZE(page)=64\n"
      "LENGTH(mem_section)=4096\n"
      "NUMBER(phys_base)=-205520896\n"
      "NUMBER(VMALLOC_START)=0xffffca2780000000\n"
      "CRASHTIME=1700000000\n");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->release(), "6.1.0-test");
  EXPECT_EQ(info->build_id(), "00ff");
  EXPECT_EQ(info->symbol("_stext"), VirtAddr{0xffff'ffff'8100'0000});
  EXPECT_EQ(info->offset("page.flags"), 0U);
  EXPECT_EQ(info->size("page"), 64U);
  EXPECT_EQ(info->length("mem_section"), 4096U);
  EXPECT_EQ(info->number("phys_base"), -205520896);
  EXPECT_EQ(info->number("VMALLOC_START"), static_cast<std::int64_t>(0xffff'ca27'8000'0000));
  EXPECT_EQ(info->crash_time(), 1'700'000'000U);
}

TEST(Vmcoreinfo, AbsentIsNothing) {
  const auto info = parse("OSRELEASE=x\n");
  ASSERT_TRUE(info);
  EXPECT_FALSE(info->symbol("_stext"));
  EXPECT_FALSE(info->offset("page.flags"));
  EXPECT_FALSE(info->number("phys_base"));
  EXPECT_FALSE(info->build_id());
  EXPECT_FALSE(info->crash_time());
}

TEST(Vmcoreinfo, ValuesThatAreNoNumbersAreNothing) {
  const auto info = parse(
      "OSRELEASE=x\n"
      "SYMBOL(a)=xyz\nSYMBOL(b)=11112222333344445\nSYMBOL(c)=\nSYMBOL(d)=12 \n"
      "OFFSET(a)=-1\nOFFSET(b)=18446744073709551616\nOFFSET(c)=+1\n"
      "NUMBER(a)=0x\nNUMBER(b)=9223372036854775808\nNUMBER(c)=1e3\n");
  ASSERT_TRUE(info);
  for (const char* name : {"a", "b", "c", "d"}) {
    EXPECT_FALSE(info->symbol(name)) << name;
    EXPECT_FALSE(info->offset(name)) << name;
    EXPECT_FALSE(info->number(name)) << name;
  }
}

TEST(Vmcoreinfo, LastOfAKeyCounts) {
  const auto info = parse("OSRELEASE=a\nOSRELEASE=b\n");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->release(), "b");
}

TEST(Vmcoreinfo, EndsAtTheFirstNul) {
  const auto info = parse(std::string("OSRELEASE=a\nX=1\n\0Y=2\n", 21));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->text(), "OSRELEASE=a\nX=1\n");
  EXPECT_FALSE(info->value("Y"));
}

TEST(Vmcoreinfo, SkipsWhatIsNoLine) {
  const auto info = parse("\n\n=x\nno equals\nOSRELEASE=a=b");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->release(), "a=b");
}

TEST(Vmcoreinfo, RefusesTextWithoutRelease) {
  EXPECT_EQ(parse("PAGESIZE=4096\n").error().code, Errc::malformed);
  EXPECT_EQ(parse("").error().code, Errc::malformed);
  EXPECT_EQ(parse("OSRELEASE=\n").error().code, Errc::malformed);
}

TEST(Vmcoreinfo, RefusesTooMuch) {
  const std::string text(Vmcoreinfo::kMaxBytes + 1, 'x');
  EXPECT_EQ(parse(text).error().code, Errc::limit);
}

}  // namespace
}  // namespace vmcore::kernel
