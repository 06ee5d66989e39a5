// SPDX-License-Identifier: GPL-2.0-or-later
// The descriptor table of a kdump file, read from end to end and compared with the second bitmap:
// a descriptor has no page number but its rank, so a wrong bit gives each later page its
// neighbour's contents.
#pragma once

#include <cstdint>
#include <string>

#include "src/base/result.h"
#include "src/formats/byte_source.h"
#include "src/formats/kdump/layout.h"
#include "src/image/page_set.h"

namespace vmcore::formats {

// Where descriptors and data lie: descriptors from `descs` on, data behind the last of them.
struct KdumpPlaces {
  std::uint64_t descs = 0;
  std::uint64_t data = 0;
  std::uint64_t file_size = 0;
};

// Whether the descriptor leads to the data of a page.
bool is_usable(const PageDesc& desc, const KdumpPlaces& places);

struct KdumpTable {
  PageSet lost;               // pages without a usable descriptor
  std::uint64_t missing = 0;  // of them: it was never written
  std::uint64_t cut_off = 0;  // of them: it, or its data, lie behind the end of the file
  // Why pages may be shown with the contents of others; empty where nothing speaks for it.
  std::string doubt;
  // Why there may be pages of which not even a bit was written; empty where nothing speaks for it.
  std::string shortfall;
  bool whole() const { return lost.count() == 0 && doubt.empty() && shortfall.empty(); }
};

// `kept`: the second bitmap. Some bytes of memory for each 4096 pages that are lost.
Result<KdumpTable> read_table(const ByteSource& source, const KdumpHeader& header,
                              const PageSet& kept, std::uint64_t descs);

}  // namespace vmcore::formats
