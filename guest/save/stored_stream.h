// SPDX-License-Identifier: GPL-2.0-or-later
// The stream of an earlier crash on a raw device.
#pragma once

#include <cstdint>
#include <string>

#include "src/base/result.h"

namespace vmcore::guest::save {

struct StoredStream {
  std::uint64_t crash_time = 0;  // seconds since the epoch; 0: unknown
  std::string tag = {};          // of `vmcore-guest test`; empty: none
  bool complete = false;         // its end frame says so
  bool sealed = false;           // `tag` and `complete` are unknown
};

// Reads the headers of the frames, but no pages. Errc::not_recognised if the device does not begin
// with a stream of a guest.
Result<StoredStream> look_at_stream(int fd);

}  // namespace vmcore::guest::save
