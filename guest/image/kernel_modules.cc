// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/kernel_modules.h"

#include <algorithm>
#include <sstream>

#include "guest/image/decompress.h"
#include "guest/image/elf_file.h"

namespace vmcore::guest::image {
namespace {

constexpr unsigned kMostDepth = 16;  // of folders

// Whether the kernel can load it.
Result<> check_module(std::string_view module) {
  const auto elf = ElfFile::parse(module);
  return elf ? Result<>() : tl::unexpected(elf.error());
}

// The names in "depends" of its .modinfo.
Result<std::vector<std::string>> needs_of(std::string_view module) {
  TRY_ASSIGN(const ElfFile elf, ElfFile::parse(module));
  std::istringstream list(elf.module_info("depends"));
  std::vector<std::string> names;
  for (std::string name; std::getline(list, name, ',');) {
    names.push_back(name);
  }
  return names;
}

}  // namespace

std::string KernelModules::plain(std::string_view name) {
  std::string text(name);
  std::ranges::replace(text, '-', '_');
  return text;
}

// "kernel/fs/ext4/ext4.ko.xz" is "ext4".
std::string KernelModules::name_of(std::string_view path) {
  const std::string_view file = path.substr(path.rfind('/') + 1);
  return plain(file.substr(0, file.find(".ko")));
}

Result<KernelModules> KernelModules::open(const root::Root& root, std::string_view release) {
  KernelModules modules(root);
  for (const char* const base : {"/lib/modules/", "/usr/lib/modules/"}) {
    const std::string folder = base + std::string(release);
    if (root.exists(folder)) {
      TRY(modules.read_dependencies(folder));
      return modules;
    }
  }
  return fail(Errc::not_found,
              "/lib/modules has no modules of kernel {}: install the package of that kernel",
              release);
}

Result<> KernelModules::read_dependencies(const std::string& folder) {
  // Without the list, the kernel has no such modules.
  std::istringstream built_in(root_->read(folder + "/modules.builtin").value_or(""));
  for (std::string line; std::getline(built_in, line);) {
    built_in_.insert(name_of(line));
  }
  const auto list = root_->read(folder + "/modules.dep");
  if (!list || list->empty()) {
    find_modules(folder, 0);
    return {};
  }
  std::istringstream lines(*list);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) {
      return fail(Errc::malformed, "{}/modules.dep: cannot parse \"{}\": run depmod", folder, line);
    }
    Module module{folder + "/" + line.substr(0, colon), {}, true};
    std::istringstream needs(line.substr(colon + 1));
    for (std::string path; needs >> path;) {
      module.needs.push_back(name_of(path));
    }
    modules_.emplace(name_of(module.path), std::move(module));
  }
  return {};
}

void KernelModules::find_modules(const std::string& folder, unsigned depth) {
  const auto names = root_->list(folder);
  if (!names || depth > kMostDepth) {
    return;  // a file, say
  }
  for (const std::string& name : *names) {
    const std::string path = folder + "/" + name;
    if (name.find(".ko") != std::string::npos) {
      modules_.emplace(name_of(path), Module{path, {}, false});
    } else if (name != "build" && name != "source") {
      find_modules(path, depth + 1);
    }
  }
}

Result<> KernelModules::add_to(std::vector<std::string>& order, std::set<std::string>& seen,
                               const std::string& name) const {
  const auto found = modules_.find(name);
  if (found == modules_.end() || !seen.insert(name).second) {
    return {};
  }
  std::vector<std::string> needs = found->second.needs;
  if (!found->second.needs_known) {
    TRY_ASSIGN(const std::string module, read(found->second.path));
    TRY_ASSIGN(needs, needs_of(module));
  }
  for (const std::string& need : needs) {
    TRY(add_to(order, seen, plain(need)));
  }
  order.push_back(found->second.path);
  return {};
}

Result<std::vector<std::string>> KernelModules::load_order(
    const std::vector<std::string>& names) const {
  std::vector<std::string> order;
  std::set<std::string> seen;
  for (const std::string& name : names) {
    TRY(add_to(order, seen, plain(name)));
  }
  return order;
}

Result<std::string> KernelModules::read(const std::string& path) const {
  TRY_ASSIGN(const std::string packed, root_->read(path));
  auto module = decompress(packed);
  const Result<> usable = module ? check_module(*module) : tl::unexpected(module.error());
  return usable ? std::move(module) : in_context(usable.error(), path);
}

}  // namespace vmcore::guest::image
