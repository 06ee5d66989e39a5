// SPDX-License-Identifier: GPL-2.0-or-later
// The two headers of a kdump file. No field of them is believed alone: where one contradicts the
// others, the others are read, and a remark names it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/formats/byte_source.h"
#include "src/formats/kdump/layout.h"
#include "src/image/image.h"

namespace vmcore::formats {

struct KdumpHeaders {
  KdumpHeader main;
  KdumpSubHeader sub;  // fields that the version does not have are 0
  std::int32_t version = kKdumpVersion;
  Arch arch = Arch::unknown;
  std::vector<Note> notes;  // VMCOREINFO from its own place where the others have none
};

// Adds to `remarks` what is doubted. Errc::unsupported where the file is of another machine, by its
// notes, or one part of several.
Result<KdumpHeaders> read_kdump_headers(const ByteSource& source, std::vector<Remark>& remarks);

// Where the bitmaps lie by the headers.
struct KdumpReading {
  std::uint64_t max_mapnr = 0;
  std::uint64_t bitmaps = 0;      // offset of the first one
  std::uint64_t bitmap_size = 0;  // of each, in bytes
  std::string doubted;            // the field that is not believed; empty where all are
  std::uint64_t descs() const { return bitmaps + 2 * bitmap_size; }
};

// The ways to read the headers in which both bitmaps lie in the file, the likeliest first: one
// field is doubted at most. At least one, or else what is wrong with the headers as they are.
Result<std::vector<KdumpReading>> kdump_readings(const KdumpHeaders& headers,
                                                 std::uint64_t file_size);

}  // namespace vmcore::formats
