// SPDX-License-Identifier: GPL-2.0-or-later
// A folder that stands for the root of a guest, gone with the object.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "guest/root/root.h"

namespace vmcore::guest {

class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "vmcore-guest-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void write(const std::string& path, std::string_view text) const {
    const std::filesystem::path file = path_ / path.substr(1);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  const std::filesystem::path& path() const { return path_; }
  root::Root root() const { return *root::Root::open(path_.string()); }

 private:
  std::filesystem::path path_;
};

}  // namespace vmcore::guest
