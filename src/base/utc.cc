// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/utc.h"

#include <algorithm>
#include <ctime>

namespace vmcore {
namespace {

std::string formatted(const char* form, std::time_t seconds) {
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&seconds, &parts) != nullptr) {
    std::strftime(text, sizeof text, form, &parts);
  }
  return text;
}

}  // namespace

std::string utc_text(std::int64_t seconds) { return formatted("%Y-%m-%d %H:%M:%S UTC", seconds); }

std::string utc_stamp(std::int64_t seconds) {
  constexpr std::int64_t kMost = 253'402'300'799;
  return formatted("%Y%m%dT%H%M%SZ", std::min(seconds, kMost));
}

}  // namespace vmcore
