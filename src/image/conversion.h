// SPDX-License-Identifier: GPL-2.0-or-later
// Conversion: the options for making a dump of a memory image, the same for every source. The
// command line fills this struct, the worker's request carries it, and the conversion reads it.
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
  // The most bytes of kept pages that are compressed and written per second; zero: no limit. It
  // does not apply while a guest is paused.
  std::uint64_t bandwidth = 0;
  bool dry_run = false;  // plan the dump, write nothing
  bool verify = false;   // read the dump again and compare it with its source
  bool operator==(const Conversion&) const = default;
};

}  // namespace vmcore
