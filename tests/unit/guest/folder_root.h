// SPDX-License-Identifier: GPL-2.0-or-later
// A root in a temporary folder, written and read as text.
#pragma once

#include <map>
#include <sstream>
#include <string>

#include "tests/unit/guest/folder.h"

namespace vmcore::guest {

class FolderRoot : public Folder {
 public:
  std::filesystem::path at(const std::string& name) const { return path().string() + name; }
  void link(const std::string& name, const std::string& target) const {
    std::filesystem::create_directories(at(name).parent_path());
    std::filesystem::create_symlink(target, at(name));
  }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(at(name), std::ios::binary).rdbuf();
    return text.str();
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(at(name)); }

  // Everything in it: files with their mode and text, links with their target, folders.
  std::map<std::string, std::string> picture() const {
    std::map<std::string, std::string> all;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path())) {
      const std::string name = entry.path().string().substr(path().string().size());
      const auto mode = static_cast<unsigned>(entry.symlink_status().permissions());
      all[name] = entry.is_symlink() ? "-> " + std::filesystem::read_symlink(entry.path()).string()
                  : entry.is_directory() ? "folder"
                                         : std::to_string(mode) + " " + read(name);
    }
    return all;
  }
};

}  // namespace vmcore::guest
