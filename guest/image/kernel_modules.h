// KernelModules: the modules of one installed kernel, and which of them need which.
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
  // Of /lib/modules/RELEASE. From modules.dep and modules.builtin; a kernel that was unpacked and
  // not installed has no modules.dep, and its modules are asked themselves.
  static Result<KernelModules> open(const root::Root& root, std::string_view release);

  bool is_built_in(std::string_view name) const { return built_in_.contains(plain(name)); }
  bool is_module(std::string_view name) const { return modules_.contains(plain(name)); }
  bool is_there(std::string_view name) const { return is_built_in(name) || is_module(name); }
  // Paths of the modules in the order in which they can be loaded: each behind those that it needs.
  // One that is built in or not there is left out.
  Result<std::vector<std::string>> load_order(const std::vector<std::string>& names) const;
  // What finit_module takes: the module, not compressed.
  Result<std::string> read(const std::string& path) const;

 private:
  struct Module {
    std::string path;
    std::vector<std::string> needs;  // plain names
    bool needs_known = false;
  };

  explicit KernelModules(const root::Root& root) : root_(&root) {}
  Result<> read_dependencies(const std::string& folder);
  void find_modules(const std::string& folder, unsigned depth);
  Result<> add_to(std::vector<std::string>& order, std::set<std::string>& seen,
                  const std::string& name) const;
  // As the kernel compares names: '-' is '_'.
  static std::string plain(std::string_view name);
  static std::string name_of(std::string_view path);

  const root::Root* root_;
  std::map<std::string, Module, std::less<>> modules_;
  std::set<std::string, std::less<>> built_in_;
};

}  // namespace vmcore::guest::image
