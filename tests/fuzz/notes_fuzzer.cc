// SPDX-License-Identifier: GPL-2.0-or-later
// Notes that parse are written and parsed again, and give the same.
#include "src/formats/elf/notes.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  const auto notes = formats::parse_notes(std::as_bytes(std::span(data, size)), 0);
  if (!notes) {
    return 0;
  }
  std::vector<Remark> remarks;
  formats::read_cpus(*notes, remarks);
  const auto again = formats::parse_notes(formats::serialise_notes(*notes).bytes, 0);
  if (!again || again->size() > notes->size()) {
    std::abort();
  }
  for (std::size_t i = 0; i < again->size(); ++i) {
    if ((*again)[i].name != (*notes)[i].name || (*again)[i].desc != (*notes)[i].desc) {
      std::abort();
    }
  }
  return 0;
}
