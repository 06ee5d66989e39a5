// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/kernels.h"

#include <algorithm>

#include "guest/image/capture_image.h"
#include "guest/image/kernel_modules.h"
#include "guest/kexec/estimate.h"
#include "guest/kexec/kernel_image.h"
#include "src/base/number.h"

namespace vmcore::guest::setup {
namespace {

constexpr const char* kModules = "/lib/modules";

}  // namespace

std::vector<std::string> kernel_releases(const root::Tree& tree) {
  std::vector<std::string> releases = tree.names(kModules);
  std::erase_if(releases, [](const std::string& name) {
    return name.empty() || name.front() < '0' || name.front() > '9';
  });
  return releases;
}

bool is_at_least(std::string_view release, unsigned major, unsigned minor) {
  const auto has_major = take_number<unsigned>(release);
  if (!has_major) {
    return false;
  }
  release.remove_prefix(release.starts_with('.') ? 1 : release.size());
  const unsigned has_minor = take_number<unsigned>(release).value_or(0);
  return *has_major > major || (*has_major == major && has_minor >= minor);
}

std::vector<std::string> common_modules(const root::Tree& tree,
                                        const std::vector<std::string>& names) {
  std::vector<std::string> common = names;
  const std::vector<std::string> releases = kernel_releases(tree);
  for (const std::string& release : releases) {
    const auto kernel = image::KernelModules::open(tree.root(), release);
    std::erase_if(common,
                  [&](const std::string& name) { return !kernel || !kernel->is_module(name); });
  }
  return releases.empty() ? std::vector<std::string>() : common;
}

kexec::Need largest_need(const root::Tree& tree) {
  constexpr std::uint64_t kUnknown = 128U << 20;
  const std::uint64_t image = image::assumed_image_size(tree.root());
  kexec::Need largest{.kernel = 0, .image = 0, .minimum = 0, .recommended = 0};
  for (const std::string& release : kernel_releases(tree)) {
    const auto path = kexec::find_kernel_image(tree.root(), release);
    const auto kernel =
        path ? kexec::read_kernel_image(tree.root(), *path) : Result<kexec::KernelImage>();
    if (path && kernel && kernel->init_size > largest.kernel) {
      largest = kexec::need_of(*kernel, image);
    }
  }
  if (largest.recommended == 0) {
    largest.recommended = kUnknown;
  }
  return largest;
}

kexec::Machine machine_of(const root::Tree& tree, const kexec::Need& need) {
  const std::vector<std::string> releases = kernel_releases(tree);
  const bool knows_auto = std::ranges::any_of(releases, [](const std::string& release) {
    return release.find(".el7") != std::string::npos || release.find(".el8") != std::string::npos;
  });
  return {.ram = kexec::ram_of(tree.root()), .minimum = need.minimum, .knows_auto = knows_auto};
}

bool is_reservation(std::string_view text) {
  return !text.empty() && text.front() >= '0' && text.front() <= '9' &&
         text.find_first_not_of("0123456789KMGTkmgtxabcdefhilow,:@+-") == std::string_view::npos;
}

}  // namespace vmcore::guest::setup
