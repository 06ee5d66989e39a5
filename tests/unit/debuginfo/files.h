// SPDX-License-Identifier: GPL-2.0-or-later
// A folder of files for one test.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "src/base/fd.h"
#include "src/base/shell.h"
#include "tests/builders/debug_elf.h"

namespace vmcore::debuginfo {

class Files {
 public:
  Files() : path_(::testing::TempDir() + "/debuginfo-XXXXXX") {
    EXPECT_NE(::mkdtemp(path_.data()), nullptr);
  }
  ~Files() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  std::string path(const std::string& name = "") const { return path_ + "/" + name; }

  // Makes the folders of the name as well.
  std::string put(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << bytes;
    return path(name);
  }

  std::string get(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  Fd open(const std::string& name) const {
    return Fd(::open(path(name).c_str(), O_RDONLY | O_CLOEXEC));
  }

  // A command of the shell, in the folder.
  void run(const std::string& command) const {
    ASSERT_EQ(std::system(("cd " + shell_quoted(path_) + " && " + command).c_str()), 0) << command;
  }

 private:
  std::string path_;
};

inline builders::DebugElf a_vmlinux() {
  return {.build_id = "\x01\x23\x45\x67",
          .banner = "Linux version 6.1.0-57-amd64 (debian-kernel@lists.debian.org) #1 SMP"};
}
constexpr const char* kItsId = "01234567";

inline builders::DebugElf a_module() {
  return {.type = ET_REL,
          .build_id = "\xab\xcd\xef\x01",
          .modinfo = std::string("name=virtio_net\0vermagic=6.1.0-57-amd64 SMP mod_unload\0", 53)};
}

}  // namespace vmcore::debuginfo
