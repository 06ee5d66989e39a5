// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/dump_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace vmcore::guest::save {

// Not by strftime(): with it come time zones, scanf and 124 KiB into the capture image.
std::string dump_time(std::int64_t seconds) {
  using namespace std::chrono;
  constexpr std::int64_t kLast = 253'402'300'799;  // of the year 9999: later ones have five digits
  const sys_seconds time{std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, kLast))};
  const auto day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}-{:02}{:02}{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

bool is_dump_time(std::string_view name) {
  constexpr std::string_view kForm = "dddd-dd-dd-dddddd";
  return name.size() >= kForm.size() &&
         std::ranges::equal(name.substr(0, kForm.size()), kForm, [](char c, char form) {
           return form == 'd' ? c >= '0' && c <= '9' : c == form;
         });
}

}  // namespace vmcore::guest::save
