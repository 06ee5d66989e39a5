// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/kernel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmcore::debuginfo {
namespace {

using ::testing::HasSubstr;

const WantedKernel kKernel{
    .release = "6.1.0-57-amd64", .build_id = "0123", .banner = "Linux version 6.1.0-57-amd64 (a)"};

DebugFile good() {
  return {.kind = FileKind::vmlinux,
          .build_id = "0123",
          .banner = kKernel.banner,
          .release = kKernel.release,
          .has_debug_info = true};
}

std::string why_not(const WantedKernel& kernel, const DebugFile& file) {
  const auto matched = match_vmlinux(kernel, file);
  return matched ? "it matches by " + *matched : matched.error().message;
}

TEST(MatchVmlinux, ByTheBest) {
  EXPECT_EQ(match_vmlinux(kKernel, good()).value_or(""), "build-id");
  WantedKernel old = kKernel;
  old.build_id = "";
  EXPECT_EQ(match_vmlinux(old, good()).value_or(""), "banner");
  old.banner = "";
  EXPECT_EQ(match_vmlinux(old, good()).value_or(""), "release");
}

TEST(MatchVmlinux, AnotherBuildOfTheSameRelease) {
  DebugFile other = good();
  other.build_id = "4567";
  EXPECT_THAT(why_not(kKernel, other), HasSubstr("is of kernel 6.1.0-57-amd64 (build-id 4567), and "
                                                 "the dump is of kernel 6.1.0-57-amd64 (build-id "
                                                 "0123)"));
  WantedKernel old = kKernel;
  old.build_id = "";
  other.banner += " #2";
  EXPECT_THAT(why_not(old, other), HasSubstr("another build"));
}

TEST(MatchVmlinux, AnotherRelease) {
  DebugFile other = good();
  other.release = "6.12.1";
  other.build_id = "";
  EXPECT_THAT(why_not(kKernel, other), HasSubstr("is of kernel 6.12.1, and the dump is of"));
}

TEST(MatchVmlinux, WhatIsNone) {
  EXPECT_THAT(why_not(kKernel, {.kind = FileKind::compressed, .release = "6.1"}),
              HasSubstr("is vmlinuz of kernel 6.1"));
  EXPECT_THAT(why_not(kKernel, {.kind = FileKind::module}), HasSubstr("module"));
  EXPECT_THAT(why_not(kKernel, {.kind = FileKind::dump}), HasSubstr("is a dump"));
  EXPECT_THAT(why_not(kKernel, {}), HasSubstr("is no vmlinux"));
  DebugFile stripped = good();
  stripped.has_debug_info = false;
  EXPECT_THAT(why_not(kKernel, stripped), HasSubstr("stripped"));
}

TEST(MatchVmlinux, AFileThatTellsNothing) {
  DebugFile silent = good();
  silent.banner = silent.release = silent.build_id = "";
  EXPECT_THAT(why_not(kKernel, silent), HasSubstr("does not tell"));
}

TEST(MatchModule, ByTheBest) {
  const WantedModule module{.name = "virtio_net", .build_id = "ab"};
  DebugFile file{.kind = FileKind::module,
                 .build_id = "ab",
                 .release = kKernel.release,
                 .has_debug_info = true};
  EXPECT_EQ(match_module(kKernel, module, file, false).value_or(""), "build-id");
  file.build_id = "cd";
  EXPECT_FALSE(match_module(kKernel, module, file, true));
  const WantedModule unknown{.name = "virtio_net"};
  EXPECT_EQ(match_module(kKernel, unknown, file, false).value_or(""), "release");
  file.release = "";
  EXPECT_FALSE(match_module(kKernel, unknown, file, false));
  EXPECT_EQ(match_module(kKernel, unknown, file, true).value_or(""), "folder");
  file.release = "6.12";
  EXPECT_FALSE(match_module(kKernel, unknown, file, true));
}

TEST(ModuleOf, FileNames) {
  EXPECT_EQ(module_of("virtio-net.ko.debug"), "virtio_net");
  EXPECT_EQ(module_of("ext4.ko"), "ext4");
  EXPECT_EQ(module_of("ext4.ko.xz"), "");
  EXPECT_EQ(module_of("vmlinux.debug"), "");
}

}  // namespace
}  // namespace vmcore::debuginfo
