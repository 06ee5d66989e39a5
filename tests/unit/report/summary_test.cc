// SPDX-License-Identifier: GPL-2.0-or-later
#include <gtest/gtest.h>

#include "src/report/summary_json.h"

namespace vmcore::report {
namespace {

Summary summary() {
  return {.release = "6.12.0",
          .build_id = "00ff",
          .level_asked = 31,
          .level_reached = 23,
          .incomplete = true,
          .ram_pages = 16,
          .kept_pages = 4,
          .lost_pages = 1,
          .crashed = true,
          .armed = false,
          .classes = {{"free", "free pages", 12}},
          .remarks = {{Errc::io, "a remark"}}};
}

TEST(Summary, ComesBack) {
  const Json json = summary_json(summary());
  const Summary again = summary_from(Members(json));
  EXPECT_EQ(again.release, "6.12.0");
  EXPECT_EQ(again.build_id, "00ff");
  EXPECT_EQ(again.armed, false);
  EXPECT_EQ(again.classes[0].title, "free pages");
  EXPECT_EQ(summary_json(again), json);
}

TEST(Summary, IsBounded) {
  const auto refused = [](const char* pointer, const Json& value) {
    Json json = summary_json(summary());
    json[Json::json_pointer(pointer)] = value;
    EXPECT_THROW(summary_from(Members(json)), Misfit) << pointer;
  };
  refused("/level_asked", 32);
  refused("/level_reached", -1);
  refused("/ram_pages", kMaxPages + 1);
  refused("/kept_pages", 0.5);
  refused("/release", std::string(3 * kMaxName + 1, 'x'));
  refused("/classes", Json(kMaxClasses + 1, Json::object()));
  refused("/remarks", Json(kMaxRemarks + 2, Json::object()));
  refused("/armed", "no");
}

}  // namespace
}  // namespace vmcore::report
