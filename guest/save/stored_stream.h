// What a raw device holds of an earlier crash.
#pragma once

#include <cstdint>
#include <string>

#include "src/base/result.h"

namespace vmcore::guest::save {

struct StoredStream {
  std::uint64_t crash_time = 0;  // seconds since the epoch; 0: it did not tell
  std::string tag = {};          // of a crash on purpose
  bool complete = false;         // its end says that all is there
  bool sealed = false;           // so that this cannot be told
};

// By the headers of its frames: their pages are not read. Errc::not_recognised where no guest's
// stream begins.
Result<StoredStream> look_at_stream(int fd);

}  // namespace vmcore::guest::save
