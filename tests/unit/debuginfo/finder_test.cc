// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/finder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/debuginfo/files.h"

namespace vmcore::debuginfo {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kBoot = "root/usr/lib/debug/boot/vmlinux-6.1.0-57-amd64";
constexpr const char* kTree = "root/usr/lib/debug/lib/modules/6.1.0-57-amd64";

class Find : public ::testing::Test {
 protected:
  report::DebuginfoReport find(std::vector<std::string> from = {}) {
    for (std::string& name : from) {
      name = files.path(name);
    }
    auto found = find_debuginfo(
        kernel, {.from = from, .cache = files.path("cache"), .root = files.path("root")});
    EXPECT_TRUE(found) << found.error().message;
    return found.value_or(report::DebuginfoReport());
  }

  std::string why_refused(const std::vector<std::string>& from) {
    const auto found = find(from);
    EXPECT_FALSE(found.vmlinux);
    return found.refused.empty() ? ""
                                 : found.refused.front().path + " " + found.refused.front().why;
  }

  void build_package(const std::string& vmlinux, const std::string& name) {
    files.put("tree/DEBIAN/control",
              "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n");
    files.put("tree/usr/lib/debug/boot/vmlinux-6.1.0-57-amd64", vmlinux);
    files.put("tree/usr/lib/debug/lib/modules/6.1.0-57-amd64/kernel/virtio-net.ko",
              a_module().build());
    files.put("tree/usr/lib/debug/lib/modules/6.1.0-57-amd64/kernel/other.ko", "not wanted");
    files.run("dpkg-deb --build tree " + name + " > /dev/null");
  }

  Files files;
  WantedKernel kernel{.release = "6.1.0-57-amd64",
                      .build_id = kItsId,
                      .banner = a_vmlinux().banner,
                      .modules_known = true,
                      .modules = {{.name = "virtio_net", .build_id = "abcdef01"}}};
};

TEST_F(Find, InstalledFiles) {
  files.put(kBoot, a_vmlinux().build());
  files.put(std::string(kTree) + "/kernel/net/virtio-net.ko", a_module().build());
  const auto found = find();
  ASSERT_TRUE(found.is_complete());
  EXPECT_EQ(found.vmlinux->path, files.path(kBoot));
  EXPECT_EQ(found.vmlinux->matched_by, "build-id");
  EXPECT_EQ(found.vmlinux->source, "installed");
  EXPECT_EQ(found.modules.front().file.path,
            files.path(std::string(kTree) + "/kernel/net/virtio-net.ko"));
  EXPECT_EQ(found.module_folder, files.path(kTree));
  EXPECT_FALSE(found.advice);
  EXPECT_THAT(found.refused, IsEmpty());
}

TEST_F(Find, ByBuildIdWhereTheNameSaysNothing) {
  files.put("root/usr/lib/debug/.build-id/01/234567.debug", a_vmlinux().build());
  files.put("root/usr/lib/debug/.build-id/ab/cdef01.debug", a_module().build());
  EXPECT_TRUE(find().is_complete());
}

TEST_F(Find, NothingIsThere) {
  const auto found = find();
  EXPECT_FALSE(found.vmlinux);
  EXPECT_THAT(found.missing_modules, ElementsAre("virtio_net"));
  ASSERT_TRUE(found.advice);
  EXPECT_EQ(found.advice->package, "linux-image-6.1.0-57-amd64-dbg");
}

TEST_F(Find, AnOutOfTreeModuleIsNotOfThePackage) {
  kernel.modules = {{.name = "nvidia", .out_of_tree = true}};
  files.put(kBoot, a_vmlinux().build());
  const auto found = find();
  EXPECT_TRUE(found.is_complete());
  EXPECT_THAT(found.foreign_modules, ElementsAre("nvidia"));
}

TEST_F(Find, AWrongVmlinuxIsRefusedByName) {
  auto other = a_vmlinux();
  other.build_id = "\x99\x99";
  other.banner = "Linux version 6.12.118+deb13-amd64 (x)";
  files.put("mine", other.build());
  EXPECT_THAT(why_refused({"mine"}),
              AllOf(HasSubstr("/mine is of kernel 6.12.118+deb13-amd64 (build-id 9999)"),
                    HasSubstr("the dump is of kernel 6.1.0-57-amd64 (build-id 01234567)")));
}

TEST_F(Find, AVmlinuzIsToldAsSuch) {
  files.put("vmlinuz", builders::boot_image("6.1.0-57-amd64 x"));
  EXPECT_THAT(why_refused({"vmlinuz"}), HasSubstr("is vmlinuz of kernel 6.1.0-57-amd64"));
}

TEST_F(Find, AStrippedFileLeadsToItsDebugFile) {
  auto stripped = a_vmlinux();
  stripped.debug_info = false;
  stripped.debug_link = "vmlinux.debug";
  files.put("root/boot/vmlinux-6.1.0-57-amd64", stripped.build());
  auto separate = a_vmlinux();
  separate.bytes_elsewhere = true;
  files.put("root/usr/lib/debug/boot/vmlinux.debug", separate.build());
  const auto found = find();
  ASSERT_TRUE(found.vmlinux);
  EXPECT_EQ(found.vmlinux->path, files.path("root/usr/lib/debug/boot/vmlinux.debug"));
}

TEST_F(Find, AnAlternateFileThatIsMissingIsTold) {
  auto moved = a_vmlinux();
  moved.alternate = "../../.dwz/kernel";
  moved.alternate_build_id = "\x77\x88";
  files.put(kBoot, moved.build());
  EXPECT_THAT(find().remarks, Contains(Field(&Remark::text, HasSubstr("alternate file"))));
  builders::DebugElf alternate{.build_id = "\x77\x88"};
  files.put("root/usr/lib/debug/.dwz/kernel", alternate.build());
  EXPECT_THAT(find().remarks, IsEmpty());
}

TEST_F(Find, AnAlternateFileIsUnpackedWithWhatRefersToIt) {
  auto moved = a_vmlinux();
  moved.alternate = "../../.dwz/kernel";
  moved.alternate_build_id = "\x77\x88";
  files.put("tree/usr/lib/debug/boot/vmlinux-6.1.0-57-amd64", moved.build());
  files.put("tree/usr/lib/debug/.dwz/kernel", builders::DebugElf{.build_id = "\x77\x88"}.build());
  files.put("tree/usr/lib/debug/.dwz/other", "none of ours");
  files.run("tar -cf x.tar --sort=name -C tree usr");
  for (const std::vector<std::string>& from : {std::vector<std::string>{"x.tar"}, {}}) {
    const auto found = find(from);
    ASSERT_TRUE(found.vmlinux);
    EXPECT_EQ(found.vmlinux->alternate, files.path("cache/01234567/.dwz/kernel"));
    EXPECT_THAT(found.remarks, IsEmpty());
  }
}

TEST_F(Find, InAPackageAndThenInTheCache) {
  build_package(a_vmlinux().build(), "x_6.1.0-57-amd64.deb");
  const auto found = find({"x_6.1.0-57-amd64.deb"});
  ASSERT_TRUE(found.is_complete());
  EXPECT_EQ(found.vmlinux->path, files.path("cache/01234567/vmlinux"));
  EXPECT_EQ(found.vmlinux->source, "given");
  EXPECT_EQ(found.module_folder, files.path("cache/01234567"));
  EXPECT_FALSE(std::filesystem::exists(files.path("cache/01234567/other.ko.debug")));
  const auto again = find();
  ASSERT_TRUE(again.is_complete());
  EXPECT_EQ(again.vmlinux->source, "cache");
}

TEST_F(Find, AFolderOfPackages) {
  build_package(a_vmlinux().build(), "folder_6.1.0-57-amd64.deb");
  files.run("mkdir packages && mv *.deb packages && touch packages/other.deb");
  const auto found = find({"packages"});
  EXPECT_TRUE(found.is_complete());
  EXPECT_THAT(found.remarks, ElementsAre(Field(&Remark::text, HasSubstr("1 packages"))));
}

TEST_F(Find, APackageOfAnotherKernel) {
  auto other = a_vmlinux();
  other.build_id = "\x99\x99";
  build_package(other.build(), "x.deb");
  EXPECT_THAT(why_refused({"x.deb"}), HasSubstr("build-id 9999"));
  EXPECT_FALSE(std::filesystem::exists(files.path("cache/01234567/vmlinux")));
}

TEST_F(Find, APackageOfAnotherReleaseIsNotUnpacked) {
  build_package(a_vmlinux().build(), "x.deb");
  kernel.release = "6.1.0-56-amd64";
  EXPECT_THAT(why_refused({"x.deb"}), HasSubstr("is of kernel 6.1.0-57-amd64 by its name"));
}

TEST_F(Find, WhatIsNamedAndNotThereIsAnError) {
  const auto found = find_debuginfo(kernel, {.from = {files.path("nothing")}});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::not_found);
}

TEST_F(Find, AKernelOfHostileNames) {
  kernel = {.release = "../../etc", .build_id = "../x"};
  const auto found = find_debuginfo(kernel, {.cache = files.path("cache")});
  EXPECT_FALSE(found);
}

}  // namespace
}  // namespace vmcore::debuginfo
