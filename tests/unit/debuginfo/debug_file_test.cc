// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/debug_file.h"

#include <gtest/gtest.h>

#include "tests/unit/debuginfo/files.h"

namespace vmcore::debuginfo {
namespace {

Result<DebugFile> of(const std::string& bytes) {
  const Files files;
  files.put("file", bytes);
  return inspect(files.open("file").get());
}

TEST(DebugFile, Vmlinux) {
  const auto file = of(a_vmlinux().build());
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->kind, FileKind::vmlinux);
  EXPECT_EQ(file->build_id, kItsId);
  EXPECT_EQ(file->banner, a_vmlinux().banner);
  EXPECT_EQ(file->release, "6.1.0-57-amd64");
  EXPECT_TRUE(file->has_debug_info);
}

TEST(DebugFile, StrippedVmlinuxNamesItsDebugFile) {
  auto stripped = a_vmlinux();
  stripped.debug_info = false;
  stripped.debug_link = "vmlinux-6.1.debug";
  const auto file = of(stripped.build());
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->has_debug_info);
  EXPECT_EQ(file->debug_link, "vmlinux-6.1.debug");
}

TEST(DebugFile, SeparateDebugFileIsKnownByItsBuildId) {
  auto separate = a_vmlinux();
  separate.bytes_elsewhere = true;
  const auto file = of(separate.build());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->kind, FileKind::vmlinux);
  EXPECT_EQ(file->build_id, kItsId);
  EXPECT_EQ(file->release, "");
}

TEST(DebugFile, AlternateFile) {
  auto moved = a_vmlinux();
  moved.alternate = "../.dwz/kernel";
  moved.alternate_build_id = "\x77\x88";
  const auto file = of(moved.build());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->alternate, "../.dwz/kernel");
  EXPECT_EQ(file->alternate_build_id, "7788");
}

TEST(DebugFile, Module) {
  const auto file = of(a_module().build());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->kind, FileKind::module);
  EXPECT_EQ(file->build_id, "abcdef01");
  EXPECT_EQ(file->release, "6.1.0-57-amd64");
}

TEST(DebugFile, ModuleWhoseBytesAreElsewhere) {
  auto separate = a_module();
  separate.bytes_elsewhere = true;
  const auto file = of(separate.build());
  ASSERT_TRUE(file);
  EXPECT_EQ(file->kind, FileKind::module);
  EXPECT_EQ(file->release, "");
}

TEST(DebugFile, Vmlinuz) {
  const auto file = of(builders::boot_image("6.1.0-57-amd64 (debian) #1"));
  ASSERT_TRUE(file);
  EXPECT_EQ(file->kind, FileKind::compressed);
  EXPECT_EQ(file->release, "6.1.0-57-amd64");
}

TEST(DebugFile, OtherFiles) {
  EXPECT_EQ(of("")->kind, FileKind::other);
  EXPECT_EQ(of("text")->kind, FileKind::other);
  EXPECT_EQ(of("\x1f\x8b...")->kind, FileKind::packed);
  EXPECT_EQ(of("!<arch>\ndebian-binary")->kind, FileKind::packed);
  builders::DebugElf program;
  EXPECT_EQ(of(program.build())->kind, FileKind::other);
  program.type = ET_CORE;
  EXPECT_EQ(of(program.build())->kind, FileKind::dump);
}

TEST(DebugFile, DamagedFilesAreNoHarm) {
  const std::string whole = a_vmlinux().build();
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    static_cast<void>(of(whole.substr(0, size)));
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = '\xff';
    static_cast<void>(of(changed));
  }
}

}  // namespace
}  // namespace vmcore::debuginfo
