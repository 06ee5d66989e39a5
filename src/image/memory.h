// SPDX-License-Identifier: GPL-2.0-or-later
// PhysicalMemory: the RAM of one guest, wherever it comes from: a dump file, a ranged dump, a
// stream spooled to disk. Whoever reads memory knows nothing of its origin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "src/base/address.h"
#include "src/base/range_set.h"
#include "src/base/result.h"

namespace vmcore {

// What a source knows of some guest-physical bytes without reading them.
enum class Presence : std::uint8_t {
  absent,    // no RAM there
  excluded,  // RAM whose contents an earlier filter left out
  lost,      // RAM whose contents the source should have: they lie behind the end of a cut-off file
  zero,      // whole pages known to be all zero (a file hole, memory that was never touched)
  data,      // RAM that must be read
};

// A run of memory of one kind.
struct Extent {
  PhysRange range;
  Presence presence;
};

// How far a read came. `good` bytes from its start are valid; if that is less than was requested,
// `first_bad` is the address of the first unreadable page.
struct ReadExtent {
  std::size_t good = 0;
  std::optional<PhysAddr> first_bad;
};

// A part of the memory that is read together with others.
struct ReadPart {
  PhysAddr address;
  std::span<std::byte> out;
  std::size_t good = 0;  // as ReadExtent's
};

// Const member functions may be called from any thread at a time.
class PhysicalMemory {
 public:
  virtual ~PhysicalMemory() = default;

  // The longest run of one kind from `address` on; what of it lies before may be left out. Past the
  // last RAM it is an absent run that ends at kMaxPhysAddr.
  virtual Extent extent(PhysAddr address) const = 0;

  // Like extent(), but without a look at memory that would tell zeros from data: `data` may stand
  // for `zero`.
  virtual Extent outline(PhysAddr address) const { return extent(address); }

  // What outline() says of the address, without a walk to the end of its run.
  virtual Presence presence(PhysAddr address) const { return extent(address).presence; }

  // Copies guest memory from `address` on. Zero extents read as zeros. Absent, excluded and lost
  // pages are "bad", and data may turn out to be: not an error but a short ReadExtent. An Error is
  // a failure of the source itself (I/O, a lost connection).
  virtual Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const = 0;

  // Reads all of the parts, by that many threads, and may put them into another order.
  virtual Result<> read_parts(std::span<ReadPart> parts, unsigned threads) const;

  // The bytes themselves, from the range's begin as far as they can be lent without copying;
  // mostly none. Only sources whose bytes cannot change underneath may lend; the span lives as long
  // as this object.
  virtual std::span<const std::byte> view(PhysRange) const { return {}; }
};

// Fills all of `out` or fails with Errc::unreadable, naming the first bad page.
Result<> read_exactly(const PhysicalMemory& memory, PhysAddr address, std::span<std::byte> out);

// All bytes whose presence is not `absent`.
RangeSet ram_ranges(const PhysicalMemory& memory);

std::string_view presence_name(Presence presence);

}  // namespace vmcore
