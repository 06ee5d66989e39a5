// SPDX-License-Identifier: GPL-2.0-or-later
// KernelModules: the modules of one installed kernel and their dependencies.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::image {

class KernelModules {
 public:
  // Reads modules.dep and modules.builtin of /lib/modules/RELEASE. A kernel that was unpacked but
  // not installed has no modules.dep; then the modules themselves name their dependencies.
  static Result<KernelModules> open(const root::Root& root, std::string_view release);

  bool is_built_in(std::string_view name) const { return built_in_.contains(plain(name)); }
  bool is_module(std::string_view name) const { return modules_.contains(plain(name)); }
  bool is_there(std::string_view name) const { return is_built_in(name) || is_module(name); }
  // The paths of the modules and their dependencies in load order. Modules that are built in or
  // missing are left out.
  Result<std::vector<std::string>> load_order(const std::vector<std::string>& names) const;
  // The module, unpacked. Errc::unsupported if it is for another machine, Errc::not_recognised if
  // it is not an ELF file.
  Result<std::string> read(const std::string& path) const;

 private:
  struct Module {
    std::string path;
    std::vector<std::string> needs;  // as plain() returns them
    bool needs_known = false;
  };

  explicit KernelModules(const root::Root& root) : root_(&root) {}
  Result<> read_dependencies(const std::string& folder);
  void find_modules(const std::string& folder, unsigned depth);
  Result<> add_to(std::vector<std::string>& order, std::set<std::string>& seen,
                  const std::string& name) const;
  // The name as the kernel compares it: '-' is '_'.
  static std::string plain(std::string_view name);
  static std::string name_of(std::string_view path);

  const root::Root* root_;
  std::map<std::string, Module, std::less<>> modules_;
  std::set<std::string, std::less<>> built_in_;
};

}  // namespace vmcore::guest::image
