// SPDX-License-Identifier: GPL-2.0-or-later
// The dump formats that are read and written: two tables in dump_format.cc.
//
// To read another format: add a source pair with a function that recognises the first bytes and one
// that opens the file, a row in kReaders, a test, and a page in docs/formats/.
// To write another format: add a source file with a DumpWriter (dump_writer.h), a row in kWriters,
// its name in src/image/format_names.h, and a test.
#pragma once

#include <memory>
#include <optional>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/formats/dump_writer.h"
#include "src/image/format_names.h"
#include "src/image/image.h"

namespace vmcore::formats {

// Opens a dump file of any known format. The image takes the descriptor. Errc::not_recognised
// where no format knows it, Errc::malformed or Errc::truncated where a header contradicts itself
// or the file ends inside its headers. A file cut short in its memory opens: the lost pages read as
// "bad", file.incomplete is set and a Remark says what is missing.
Result<MemoryImage> open_dump(Fd file);

// A writer to a regular file, empty and open for reading and writing. The descriptor is borrowed.
// Formats without compression ignore the codec. Errc::invalid for a level that the codec does not
// have.
Result<std::unique_ptr<DumpWriter>> make_writer(DumpFormat format, int file, Codec codec,
                                                std::optional<int> compress_level);

}  // namespace vmcore::formats
