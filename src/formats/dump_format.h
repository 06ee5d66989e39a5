// The dump formats that can be read: detection and opening, by one visible table (dump_format.cc).
//
// To add a format: one source pair with an `open` function, a row in kFormats, a test, a page in
// docs/formats/.
#pragma once

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/image/image.h"

namespace vmcore::formats {

// Opens a dump file of any known format. The image takes the descriptor. Errc::not_recognised
// where no format knows it, Errc::malformed or Errc::truncated where a header contradicts itself
// or the file ends inside its headers. A file cut short in its memory opens: the lost pages read as
// "bad", file.incomplete is set and a Remark says what is missing.
Result<MemoryImage> open_dump(Fd file);

}  // namespace vmcore::formats
