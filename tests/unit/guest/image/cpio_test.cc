// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/cpio.h"

#include <gtest/gtest.h>

namespace vmcore::guest::image {
namespace {

std::string sample() {
  Cpio cpio;
  cpio.add_folder("etc");
  EXPECT_TRUE(cpio.add_file("etc/a", 0644, "12345"));
  EXPECT_TRUE(cpio.add_file("init", 0755, std::string(10'000, 'x')));
  return cpio.finish();
}

TEST(Cpio, IsWhatTheKernelUnpacks) {
  Cpio cpio;
  cpio.add_folder("d");
  EXPECT_EQ(cpio.finish().substr(0, 112),
            "070701"
            "00000001"
            "000041ed"
            "00000000"
            "00000000"
            "00000001"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00000002"
            "00000000"
            "d" +
                std::string(1, '\0'));
}

TEST(Cpio, FilesAreFound) {
  const std::string archive = sample();
  EXPECT_EQ(archive.size() % 4, 0U);
  EXPECT_EQ(find_in_cpio(archive, "etc/a"), "12345");
  EXPECT_EQ(find_in_cpio(archive, "init"), std::string(10'000, 'x'));
  EXPECT_EQ(find_in_cpio(archive, "etc/b"), std::nullopt);
}

TEST(Cpio, WhatIsCutOffOrNoArchiveHasNoFiles) {
  const std::string archive = sample();
  for (std::size_t size = 0; size < 400; ++size) {
    EXPECT_EQ(find_in_cpio(std::string_view(archive).substr(0, size), "init"), std::nullopt);
  }
  EXPECT_EQ(find_in_cpio(std::string(1000, '\x1f'), "init"), std::nullopt);
  std::string lying = archive;
  lying.replace(6 + 6 * 8, 8, "ffffffff");  // the size of the first file
  EXPECT_EQ(find_in_cpio(lying, "init"), std::nullopt);
  lying = archive;
  lying.replace(6 + 11 * 8, 8, "00000000");  // and of its name
  EXPECT_EQ(find_in_cpio(lying, "init"), std::nullopt);
}

}  // namespace
}  // namespace vmcore::guest::image
