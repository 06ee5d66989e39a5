// SPDX-License-Identifier: GPL-2.0-or-later
// What a fuzzer does with a dump that opened: look at all of it, and check what readers promise.
#pragma once

#include <sys/mman.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "src/base/sys.h"
#include "src/formats/dump_format.h"

namespace vmcore::fuzz {

inline Fd memory_file(std::span<const std::uint8_t> bytes) {
  Fd file(::memfd_create("fuzz", 0));
  if (!file || !sys::pwrite_full(file.get(), std::as_bytes(bytes), 0)) {
    std::abort();
  }
  return file;
}

inline void check(bool promise) {
  if (!promise) {
    std::abort();
  }
}

inline void read_everything(const PhysicalMemory& memory) {
  std::array<std::byte, 3 * 4096> buffer;
  int budget = 200;
  for (PhysAddr at{0}; at.value < kMaxPhysAddr && budget-- > 0;) {
    const Extent extent = memory.extent(at);
    check(extent.range.contains(at) && extent.range.end().value <= kMaxPhysAddr);
    for (const std::uint64_t skip : {std::uint64_t{0}, std::uint64_t{1}, extent.range.size / 2}) {
      const auto got = memory.read(at + skip, buffer);
      if (got) {
        check(got->good <= buffer.size());
        check((got->good == buffer.size()) != got->first_bad.has_value());
        const bool none = extent.presence == Presence::absent || extent.presence == Presence::lost;
        check(!none || skip >= extent.range.size || got->good == 0);
      }
    }
    at = extent.range.end();
  }
}

inline void open_and_read(std::span<const std::uint8_t> bytes) {
  const auto image = formats::open_dump(memory_file(bytes));
  if (image) {
    check(image->file.incomplete || !image->file.doubted);
    read_everything(*image->memory);
  }
}

}  // namespace vmcore::fuzz
