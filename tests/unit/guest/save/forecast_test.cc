// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/forecast.h"

#include <gtest/gtest.h>

#include <optional>

#include "src/base/sys.h"
#include "tests/unit/guest/save/saved_guest.h"

namespace vmcore::guest::save {
namespace {

struct Dump {
  std::optional<std::uint64_t> forecast;
  std::uint64_t size = 0;
  Result<convert::Outcome> outcome = fail(Errc::not_found, "");
};

Dump dump(SavedGuest& guest, const Result<>& answer = {}) {
  Dump dump;
  const Fd file = *make_memory_file("dump");
  const auto writer = formats::make_kdump_writer(file.get(), Codec::lzo, std::nullopt);
  dump.outcome = write_dump(**writer, guest.crash(), {.check_room = [&](std::uint64_t bytes) {
    dump.forecast = bytes;
    return answer;
  }});
  dump.size = *sys::file_size(file.get());
  return dump;
}

TEST(Forecast, IsALittleMoreThanTheDump) {
  SavedGuest guest;
  for (const unsigned level : {0U, 31U}) {
    guest.config.level = level;
    const Dump written = dump(guest);
    ASSERT_TRUE(written.outcome) << written.outcome.error().message;
    EXPECT_GE(written.forecast.value_or(0), written.size) << level;
    EXPECT_LE(written.forecast.value_or(0), written.size + written.size / 2 + (2 << 20)) << level;
  }
}

TEST(Forecast, FollowsTheLevel) {
  SavedGuest guest;
  guest.config.level = 0;
  const Dump all = dump(guest);
  guest.config.level = 31;
  EXPECT_LT(dump(guest).forecast, all.forecast);
}

TEST(Forecast, EndsTheDumpBeforeItsFirstPage) {
  SavedGuest guest;
  const Dump whole = dump(guest);
  const Dump none = dump(guest, fail(Errc::no_space, "full"));
  EXPECT_EQ(none.outcome.error().code, Errc::no_space);
  EXPECT_EQ(none.outcome.error().message, "full");
  EXPECT_LT(none.size, whole.size);
}

}  // namespace
}  // namespace vmcore::guest::save
