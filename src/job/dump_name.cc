// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/dump_name.h"

#include <fmt/format.h>

#include <cctype>

#include "src/base/utc.h"

namespace vmcore::job {

std::string file_name(std::string_view guest) {
  constexpr std::size_t kMaxName = 200;  // of 255 that a file name may have
  std::string name;
  for (const char c : guest) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 ||
                                       std::string_view("._+@-").find(c) != std::string_view::npos);
    const std::string part = plain && !(name.empty() && (c == '.' || c == '-'))
                                 ? std::string(1, c)
                                 : fmt::format("%{:02X}", byte);
    if (name.size() + part.size() > kMaxName) {
      break;
    }
    name += part;
  }
  return name.empty() ? "guest" : name;
}

std::string dump_name(std::string_view guest, std::chrono::system_clock::time_point time) {
  return fmt::format("{}-{}.vmcore", file_name(guest),
                     utc_stamp(std::chrono::system_clock::to_time_t(time)));
}

}  // namespace vmcore::job
