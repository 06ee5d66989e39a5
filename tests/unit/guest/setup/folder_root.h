// A root in a temporary folder, written and read as text.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "guest/setup/root.h"

namespace vmcore::guest {

class FolderRoot {
 public:
  FolderRoot() {
    std::string name = (std::filesystem::temp_directory_path() / "vmcore-root-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~FolderRoot() { std::filesystem::remove_all(folder_); }
  FolderRoot(const FolderRoot&) = delete;
  FolderRoot& operator=(const FolderRoot&) = delete;

  std::filesystem::path at(const std::string& path) const { return folder_.string() + path; }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(at(path).parent_path());
    std::ofstream(at(path), std::ios::binary) << text;
  }
  void link(const std::string& path, const std::string& target) const {
    std::filesystem::create_directories(at(path).parent_path());
    std::filesystem::create_symlink(target, at(path));
  }
  std::string read(const std::string& path) const {
    std::ostringstream text;
    text << std::ifstream(at(path), std::ios::binary).rdbuf();
    return text.str();
  }
  bool exists(const std::string& path) const { return std::filesystem::exists(at(path)); }

  // Everything in it: files with their text and mode, links with their target, folders.
  std::map<std::string, std::string> picture() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      const std::string name = entry.path().string().substr(folder_.string().size());
      const auto mode = static_cast<unsigned>(entry.symlink_status().permissions());
      all[name] = entry.is_symlink() ? "-> " + std::filesystem::read_symlink(entry.path()).string()
                  : entry.is_directory() ? "folder"
                                         : std::to_string(mode) + " " + read(name);
    }
    return all;
  }

  Root open() const {
    auto root = Root::open(folder_.string());
    EXPECT_TRUE(root) << root.error().message;
    return std::move(*root);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace vmcore::guest
