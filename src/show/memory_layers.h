// SPDX-License-Identifier: GPL-2.0-or-later
// The layers of the picture of memory: what its cells are filled with, from below, in which
// colours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/report/memory.h"

namespace vmcore::show {

// A class; or of the free pages, those known to be zero, and the others.
struct Layer {
  enum class Part { all, but_zero, zero };

  // How many of the bin's pages belong to it.
  std::uint64_t pages_of(const report::BinUse& bin) const;

  std::size_t of_class = 0;  // in MemoryReport::classes
  Part part = Part::all;
  std::string name;  // short
  std::string title;
  std::string_view colour;
  std::uint64_t pages = 0;  // of all bins
};

// Those that have pages. Together they hold each page of a bin once.
std::vector<Layer> layers_of(const report::MemoryReport& report);

}  // namespace vmcore::show
