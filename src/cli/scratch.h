// SPDX-License-Identifier: GPL-2.0-or-later
// A private folder for files that another program reads or writes, removed at the end.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "src/base/result.h"

namespace vmcore::cli {

class Scratch {
 public:
  static Result<Scratch> make();
  Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  Scratch& operator=(Scratch&&) = delete;
  ~Scratch();

  std::string operator/(const char* name) const { return path_ + "/" + name; }
  // A new file of that name, with that content.
  Result<> write(const char* name, std::string_view content) const;

 private:
  explicit Scratch(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace vmcore::cli
