// SPDX-License-Identifier: GPL-2.0-or-later
// ImageSource: where the RAM of a guest lies on its host: in the process that runs it, and in the
// files that this process maps; and what its vCPUs do. Plain data and descriptors, no paths: it
// crosses into the worker.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/base/address.h"
#include "src/base/fd.h"
#include "src/image/image.h"

namespace vmcore {

struct FilePlace {
  unsigned file = 0;         // of ImageSource::files
  std::uint64_t offset = 0;  // bytes
  bool operator==(const FilePlace&) const = default;
};

// One range of RAM in one mapping. The mapping decides where its bytes are, not the kind of memory
// backend (facts of mmap(2)): a shared one has them in its file. A private one has its own pages in
// the process; a page that it has none of is the file's, or zeros where there is no file.
struct Piece {
  PhysRange range;
  std::optional<std::uint64_t> address;  // in the process; nothing for a shared mapping
  std::optional<FilePlace> file;
  bool operator==(const Piece&) const = default;
};

struct ImageSource {
  Fd memory;   // /proc/PID/mem: needs no privilege once it is open; a worker does not get it
  Fd pagemap;  // /proc/PID/pagemap
  std::vector<Fd> files;
  std::vector<Piece> pieces;  // sorted, disjoint
  // Of a running guest; empty if they cannot be read without a pause, or are sent in another way.
  std::vector<CpuState> cpus = {};
};

}  // namespace vmcore
