// SPDX-License-Identifier: GPL-2.0-or-later
// Conversion: how a dump is made of a memory image, whatever its source and whoever makes it. The
// one struct of these options: the command line fills it, the worker's request carries it, the
// conversion reads it.
#pragma once

#include <cstdint>
#include <optional>

#include "src/image/format_names.h"

namespace vmcore {

struct Conversion {
  unsigned level = 31;  // what is left out (filters/page_class.h)
  DumpFormat format = DumpFormat::kdump;
  Codec codec = Codec::zstd;  // of kdump pages
  std::optional<int> compress_level = {};
  unsigned threads = 1;  // at least one
  // Kept bytes a second that are compressed and written; zero: no limit. A guest that stands still
  // does not wait for it.
  std::uint64_t bandwidth = 0;
  bool dry_run = false;  // plan the dump, write nothing
  bool verify = false;   // read the dump again and compare it with its source
  bool operator==(const Conversion&) const = default;
};

}  // namespace vmcore
