// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/seal/sha256.h"

#include <gtest/gtest.h>

#include <span>
#include <string>

#include "src/base/fd.h"
#include "src/base/sys.h"

namespace vmcore::seal {
namespace {

// FIPS 180-4's examples.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, OfAFile) {
  const auto file = make_memory_file("sha256");
  ASSERT_TRUE(file);
  EXPECT_EQ(sha256_of(file->get()).value(), sha256(""));
  std::string text;
  for (const std::size_t size :
       {std::size_t{3}, std::size_t{1} << 20, (std::size_t{1} << 20) + 1}) {
    text.resize(size, 'x');
    ASSERT_TRUE(sys::pwrite_full(file->get(), std::as_bytes(std::span(text)), 0));
    EXPECT_EQ(sha256_of(file->get()).value(), sha256(text)) << size;
  }
}

}  // namespace
}  // namespace vmcore::seal
