// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/crashed_memory.h"

#include <algorithm>
#include <utility>

namespace vmcore::convert {
namespace {

using kernel::CoreLoad;

PhysAddr end_of(const CoreLoad& load) { return load.range.end(); }

// Where the bytes of an address in the load are.
PhysAddr source_of(const CoreLoad& load, PhysAddr address) {
  return load.from + (address - load.range.begin);
}

// What is known of the load's source, as far as it is of the load.
Extent within(const CoreLoad& load, const Extent& extent) {
  const PhysAddr begin = std::max(extent.range.begin, load.from);
  const PhysAddr end = std::min(extent.range.end(), load.from + load.range.size);
  return {{load.range.begin + (begin - load.from), end - begin}, extent.presence};
}

}  // namespace

CrashedMemory::CrashedMemory(const PhysicalMemory& whole, std::vector<CoreLoad> loads)
    : whole_(&whole), loads_(std::move(loads)) {}

const CoreLoad* CrashedMemory::find(PhysAddr address) const {
  const auto load = std::ranges::upper_bound(loads_, address, {}, end_of);
  return load != loads_.end() && load->range.contains(address) ? &*load : nullptr;
}

Extent CrashedMemory::absent(PhysAddr address) const {
  const auto next = std::ranges::upper_bound(loads_, address, {}, end_of);
  const PhysAddr end = next != loads_.end() ? next->range.begin : PhysAddr{kMaxPhysAddr};
  return {{address, end - address}, Presence::absent};
}

Extent CrashedMemory::extent(PhysAddr address) const {
  const CoreLoad* const load = find(address);
  return load == nullptr ? absent(address)
                         : within(*load, whole_->extent(source_of(*load, address)));
}

Extent CrashedMemory::outline(PhysAddr address) const {
  const CoreLoad* const load = find(address);
  return load == nullptr ? absent(address)
                         : within(*load, whole_->outline(source_of(*load, address)));
}

Presence CrashedMemory::presence(PhysAddr address) const {
  const CoreLoad* const load = find(address);
  return load == nullptr ? Presence::absent : whole_->presence(source_of(*load, address));
}

Result<ReadExtent> CrashedMemory::read(PhysAddr address, std::span<std::byte> out) const {
  ReadExtent result;
  while (result.good < out.size()) {
    const PhysAddr at = address + result.good;
    const CoreLoad* const load = find(at);
    if (load == nullptr) {
      result.first_bad = at;
      break;
    }
    const std::size_t wanted =
        std::min<std::uint64_t>(out.size() - result.good, load->range.end() - at);
    TRY_ASSIGN(const ReadExtent got,
               whole_->read(source_of(*load, at), out.subspan(result.good, wanted)));
    result.good += got.good;
    if (got.good < wanted) {
      if (got.first_bad) {
        result.first_bad = load->range.begin + (*got.first_bad - load->from);
      }
      break;
    }
  }
  return result;
}

std::span<const std::byte> CrashedMemory::view(PhysRange range) const {
  const CoreLoad* const load = find(range.begin);
  if (load == nullptr) {
    return {};
  }
  const std::uint64_t size = std::min(range.size, load->range.end() - range.begin);
  return whole_->view({source_of(*load, range.begin), size});
}

}  // namespace vmcore::convert
