// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/own_program.h"

#include <system_error>

namespace vmcore {

Result<std::filesystem::path> find_own_program(const std::string& name,
                                               const std::string& installed) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return fail_errno(error.value(), "/proc/self/exe");
  }
  const auto beside = self.parent_path() / name;
  if (std::filesystem::exists(beside, error)) {
    return beside;
  }
  const auto there = self.parent_path().parent_path() / installed;
  if (std::filesystem::exists(there, error)) {
    return there;
  }
  return fail(Errc::not_found, "{} is neither {} nor {}: reinstall vmcorectl", name,
              beside.string(), there.string());
}

}  // namespace vmcore
