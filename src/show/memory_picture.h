// SPDX-License-Identifier: GPL-2.0-or-later
// The picture of a guest's memory by address, as SVG: one cell for each part of the report, 64 in a
// row, filled from below by what its pages are used for. Rows without RAM are a gap that says so.
#pragma once

#include <string>

#include "src/report/memory.h"

namespace vmcore::show {

struct PictureTitle {
  std::string name;   // of the guest or the file: any bytes
  std::string drawn;  // when
};

// A whole SVG document. It needs nothing from elsewhere: no fonts, scripts or styles.
std::string draw_memory(const report::MemoryReport& report, const PictureTitle& title);

}  // namespace vmcore::show
