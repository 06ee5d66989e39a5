// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/incomplete.h"

#include <utility>

namespace vmcore::formats {

void tell_incomplete(bool says_so, const ByteSource& source, MemoryImage& image) {
  if (says_so) {
    image.file.incomplete = true;
    image.remarks.push_back({Errc::truncated, "the file is marked as incomplete"});
  }
  for (Remark& remark : source.remarks()) {
    image.file.incomplete = true;
    image.remarks.push_back(std::move(remark));
  }
}

}  // namespace vmcore::formats
