// SPDX-License-Identifier: GPL-2.0-or-later
// What tests ask of the memory of a dump.
#pragma once

#include <gtest/gtest.h>

#include "src/image/memory.h"
#include "src/image/page.h"
#include "tests/builders/dump_builder.h"

namespace vmcore::formats {

// The presence at an address, by whichever way it is asked for.
inline Presence presence(const PhysicalMemory& memory, std::uint64_t address) {
  const Presence kind = memory.extent({address}).presence;
  EXPECT_EQ(memory.presence({address}), kind) << address;
  return kind;
}

// The bytes from an address on, up to the first bad page.
inline builders::Bytes read_at(const PhysicalMemory& memory, std::uint64_t address,
                               std::size_t size = kPageSize) {
  builders::Bytes bytes(size);
  const auto got = memory.read({address}, bytes);
  EXPECT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->good < size, got->first_bad.has_value());
  bytes.resize(got->good);
  return bytes;
}

// Every extent begins where the one before ended, and the last one ends at kMaxPhysAddr.
inline void expect_extents_cover_all(const PhysicalMemory& memory) {
  for (PhysAddr at{0}; at.value < kMaxPhysAddr;) {
    const Extent extent = memory.extent(at);
    ASSERT_EQ(extent.range.begin, at);
    ASSERT_GT(extent.range.size, 0U);
    at = extent.range.end();
    ASSERT_LE(at.value, kMaxPhysAddr);
    if (at.value < kMaxPhysAddr) {
      EXPECT_NE(memory.extent(at).presence, extent.presence) << at.value;
    }
  }
}

}  // namespace vmcore::formats
