// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/descriptors.h"

#include <algorithm>

namespace vmcore::sandbox {

Result<Descriptors> Descriptors::make(const std::vector<std::string>& names, std::vector<Fd> fds) {
  if (names.size() != fds.size()) {
    return fail(Errc::malformed, "worker protocol: {} names for {} descriptors", names.size(),
                fds.size());
  }
  Descriptors made;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (std::ranges::count(names, names[i]) != 1) {
      return fail(Errc::malformed, "worker protocol: two descriptors have the name \"{}\"",
                  names[i]);
    }
    made.fds_.emplace_back(names[i], std::move(fds[i]));
  }
  return made;
}

int Descriptors::look_at(std::string_view name) const {
  for (const auto& [known, fd] : fds_) {
    if (known == name) {
      return fd.get();
    }
  }
  return -1;
}

Fd Descriptors::take_if_there(std::string_view name) {
  for (auto& [known, fd] : fds_) {
    if (known == name) {
      return std::move(fd);
    }
  }
  return {};
}

Result<Fd> Descriptors::take(std::string_view name) {
  Fd fd = take_if_there(name);
  if (!fd) {
    return fail(Errc::malformed, "worker protocol: the descriptor \"{}\" is missing", name);
  }
  return fd;
}

}  // namespace vmcore::sandbox
