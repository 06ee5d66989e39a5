// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/elf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/guest/elf_module.h"
#include "tests/unit/guest/elf_program.h"

namespace vmcore::guest::image {
namespace {

TEST(ElfFile, AProgramHasItsInterpreterAndLibraries) {
  const std::string bytes = elf_program("/lib64/ld.so", {"libz.so.1", "libc.so.6"});
  const auto elf = ElfFile::parse(bytes);
  ASSERT_TRUE(elf) << elf.error().message;
  EXPECT_EQ(elf->interpreter(), "/lib64/ld.so");
  EXPECT_THAT(*elf->libraries(), testing::ElementsAre("libz.so.1", "libc.so.6"));
  EXPECT_EQ(elf->module_info("depends"), "");
}

TEST(ElfFile, AModuleHasWhatItsModinfoSays) {
  const std::string bytes = elf_module(std::string("license=GPL\0depends=a,b\0name=x\0", 31));
  const auto elf = ElfFile::parse(bytes);
  ASSERT_TRUE(elf) << elf.error().message;
  EXPECT_EQ(elf->module_info("depends"), "a,b");
  EXPECT_EQ(elf->module_info("name"), "x");
  EXPECT_EQ(elf->module_info("nam"), "");
  EXPECT_EQ(elf->interpreter(), "");
  EXPECT_TRUE(elf->libraries()->empty());
}

// The text is in the file, but not in .modinfo.
TEST(ElfFile, OnlyItsModinfoCounts) {
  const std::string bytes =
      elf_module(std::string("depends=a\0", 10)) + std::string("\0other=b\0", 9);
  EXPECT_EQ(ElfFile::parse(bytes)->module_info("other"), "");
}

TEST(ElfFile, ThatIsForAnotherMachineIsRefused) {
  const auto arm = ElfFile::parse(elf_module("", EM_AARCH64));
  ASSERT_FALSE(arm);
  EXPECT_EQ(arm.error().code, Errc::unsupported);
  std::string narrow = elf_module("");
  narrow[EI_CLASS] = ELFCLASS32;
  const auto elf32 = ElfFile::parse(narrow);
  ASSERT_FALSE(elf32);
  EXPECT_EQ(elf32.error().code, Errc::unsupported);
}

TEST(ElfFile, ThatIsDamagedIsRefused) {
  const std::string whole = elf_program("/lib64/ld.so", {"libc.so.6"});
  EXPECT_EQ(ElfFile::parse(whole.substr(0, 100)).error().code, Errc::malformed);
  EXPECT_EQ(ElfFile::parse("#!/bin/sh\n").error().code, Errc::not_recognised);
  EXPECT_EQ(ElfFile::parse("").error().code, Errc::not_recognised);
  const std::string cut = whole.substr(0, whole.size() - 5);  // in the name of the library
  const auto elf = ElfFile::parse(cut);
  ASSERT_TRUE(elf);
  EXPECT_EQ(elf->libraries().error().code, Errc::malformed);
}

}  // namespace
}  // namespace vmcore::guest::image
