// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "src/debuginfo/confined.h"
#include "tests/unit/debuginfo/files.h"

namespace vmcore::debuginfo {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kLarge = std::string(300'000, '\0') + "end of a sparse file";

class ArchiveTest : public ::testing::Test {
 protected:
  void SetUp() override {
    files.put("tree/usr/lib/debug/boot/vmlinux-6.1", kLarge);
    files.put("tree/usr/lib/debug/lib/modules/6.1/a.ko", "a module");
    files.put("tree/usr/lib/debug/lib/modules/6.1/b.ko", "another module");
  }

  // The path and the bytes of what is taken; `stop_at`: nothing behind that.
  Result<std::map<std::string, std::string>> take_all(const std::string& name,
                                                      const std::string& stop_at = "") {
    std::map<std::string, std::string> taken;
    std::string current;
    Fd out;
    const Fd archive = files.open(name);
    TRY(walk_archive_confined(
        archive.get(),
        [&](const std::string& path) -> Result<Choice> {
          if (!stop_at.empty() && path.ends_with(stop_at)) {
            return Choice{.what = Choice::What::stop};
          }
          current = path;
          out = Fd(::open(files.path("out").c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600));
          return Choice{.what = Choice::What::take, .fd = out.get()};
        },
        [&]() -> Result<> {
          taken[current.substr(current.find("usr"))] = files.get("out");
          return {};
        }));
    return taken;
  }

  void expect_all(const std::string& name) {
    const auto taken = take_all(name);
    ASSERT_TRUE(taken) << name << ": " << taken.error().message;
    EXPECT_EQ(taken->size(), 3U) << name;
    EXPECT_TRUE(taken->at("usr/lib/debug/boot/vmlinux-6.1") == kLarge) << name;
    EXPECT_EQ(taken->at("usr/lib/debug/lib/modules/6.1/b.ko"), "another module") << name;
  }

  Files files;
};

TEST_F(ArchiveTest, Tar) {
  for (const char* const how : {"", "--gzip", "--xz", "--zstd", "--sparse"}) {
    files.run(std::string("tar ") + how + " -C tree -cf archive ./usr");
    expect_all("archive");
  }
}

TEST_F(ArchiveTest, Deb) {
  files.put("tree/DEBIAN/control",
            "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n");
  for (const char* const how : {"xz", "gzip", "zstd", "none"}) {
    if (std::system((std::string("cd ") + files.path() + " && dpkg-deb -Z" + how +
                     " --build tree archive.deb > build.log 2>&1")
                        .c_str()) != 0) {
      ASSERT_STREQ(how, "zstd");  // not in Debian 12
      continue;
    }
    expect_all("archive.deb");
  }
}

TEST_F(ArchiveTest, Rpm) {
  if (std::system("command -v rpmbuild > /dev/null") != 0) {
    GTEST_SKIP() << "rpmbuild is not installed";
  }
  files.put("x.spec",
            "Name: x\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n"
            "%define __os_install_post %{nil}\n%define _build_id_links none\n"
            "%description\nx\n%install\ncp -a " +
                files.path("tree") +
                "/usr %{buildroot}/\n"
                "%files\n/usr/lib/debug\n");
  files.run(
      "rpmbuild --quiet --define \"_topdir $PWD/rpm\" --define '_debugsource_packages 0' "
      "-bb x.spec > rpm.log 2>&1 && cp rpm/RPMS/noarch/*.rpm archive.rpm");
  expect_all("archive.rpm");
}

TEST_F(ArchiveTest, OneCompressedFile) {
  files.put("vmlinux", "ELF" + kLarge);
  files.run("gzip vmlinux");
  const Fd archive = files.open("vmlinux.gz");
  Fd out(::open(files.path("out").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_TRUE(walk_archive_confined(
      archive.get(),
      [&](const std::string&) -> Result<Choice> {
        return Choice{.what = Choice::What::take, .fd = out.get()};
      },
      []() -> Result<> { return {}; }));
  EXPECT_TRUE(files.get("out") == "ELF" + kLarge);
}

TEST_F(ArchiveTest, NothingIsReadBehindTheStop) {
  files.run("tar -C tree --sort=name -cf archive ./usr");
  const auto taken = take_all("archive", "a.ko");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->size(), 1U);
}

TEST_F(ArchiveTest, LinksAreNoFiles) {
  files.run(
      "ln -s /etc/passwd tree/usr/vmlinux && ln tree/usr/lib/debug/lib/modules/6.1/a.ko "
      "tree/usr/lib/z.ko && tar -C tree -cf archive ./usr");
  const auto taken = take_all("archive");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->size(), 3U);
}

TEST_F(ArchiveTest, ADamagedArchiveIsAnError) {
  files.run("tar -C tree -cf whole ./usr && head -c 100000 whole > archive");
  const auto taken = take_all("archive");
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr("damaged archive"));
}

TEST_F(ArchiveTest, AnErrorOfTheCallerEndsIt) {
  files.run("tar -C tree -cf archive ./usr");
  const Fd archive = files.open("archive");
  const auto walked = walk_archive_confined(
      archive.get(),
      [](const std::string&) -> Result<Choice> { return fail(Errc::no_space, "full"); },
      []() -> Result<> { return {}; });
  ASSERT_FALSE(walked);
  EXPECT_EQ(walked.error().code, Errc::no_space);
}

}  // namespace
}  // namespace vmcore::debuginfo
