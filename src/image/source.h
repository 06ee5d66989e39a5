// ImageSource: what crosses into the worker as the input of one job: descriptors and how they are
// laid out. Plain data, no paths.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/address.h"
#include "src/base/fd.h"

namespace vmcore {

// Guest memory `range` lies at `offset` of descriptor number `fd` of the source.
struct Piece {
  PhysRange range;
  unsigned fd = 0;
  std::uint64_t offset = 0;
};

// With no pieces, fds[0] is a dump file whose own headers say where memory lies.
struct ImageSource {
  std::vector<Fd> fds;
  std::vector<Piece> pieces;
};

}  // namespace vmcore
