// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/seal/key.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "src/base/fd.h"

namespace vmcore::seal {
namespace {

class KeyFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "key-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ + "/key";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Result<SecretKey> read() const {
    const Fd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    return read_key_file(file.get());
  }
  void write(const std::string& text) const { std::ofstream(path_) << text; }

  std::string folder_;
  std::string path_;
};

TEST_F(KeyFile, IsReadBack) {
  const auto key = make_key_file(path_);
  ASSERT_TRUE(key) << key.error().message;
  const auto secret = read();
  ASSERT_TRUE(secret) << secret.error().message;
  EXPECT_EQ(secret->public_key(), *key);
  EXPECT_NE(secret->bytes(), *key);
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(KeyFile, IsNeverReplaced) {
  const auto key = make_key_file(path_);
  EXPECT_EQ(make_key_file(path_).error().code, Errc::exists);
  EXPECT_EQ(read()->public_key(), *key);
}

TEST_F(KeyFile, HoldsASecretKeyOrIsRefused) {
  const std::string digits(64, 'a');
  for (const std::string& text :
       {std::string(), std::string("#"), std::string("# only\n"), "x25519:" + digits + "\n",
        "x25519-secret:" + digits.substr(1) + "\n", "x25519-secret:" + digits + "a\n",
        "x25519-secret:" + digits.substr(1) + "g\n", std::string(1U << 20, '#')}) {
    write(text);
    EXPECT_EQ(read().error().code, Errc::not_recognised) << text.substr(0, 80);
  }
  write("# one\n# two\nx25519-secret:" + digits);
  EXPECT_TRUE(read());
}

TEST(PublicKey, IsReadBack) {
  PublicKey key{};
  key[0] = 0x0f;
  key[31] = 0xf0;
  EXPECT_EQ(format_public_key(key), "x25519:0f" + std::string(60, '0') + "f0");
  EXPECT_EQ(parse_public_key(format_public_key(key)), key);
}

TEST(PublicKey, IsNoSecretKey) {
  EXPECT_EQ(parse_public_key("x25519-secret:" + std::string(64, '1')).error().code, Errc::invalid);
  EXPECT_EQ(parse_public_key("").error().code, Errc::invalid);
  EXPECT_EQ(parse_public_key("x25519:12").error().code, Errc::invalid);
}

}  // namespace
}  // namespace vmcore::seal
