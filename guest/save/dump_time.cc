// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/dump_time.h"

#include <algorithm>
#include <ctime>

namespace vmcore::guest::save {

std::string dump_time(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d-%H%M%S", &parts)};
}

bool is_dump_time(std::string_view name) {
  constexpr std::string_view kForm = "dddd-dd-dd-dddddd";
  return name.size() >= kForm.size() &&
         std::ranges::equal(name.substr(0, kForm.size()), kForm, [](char c, char form) {
           return form == 'd' ? c >= '0' && c <= '9' : c == form;
         });
}

}  // namespace vmcore::guest::save
