// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/ram_layout.h"

#include <algorithm>
#include <string_view>

namespace vmcore::acquire {
namespace {

constexpr std::uint64_t kIsaHole = 0xa0000;
constexpr std::uint64_t kIsaEnd = 0x100000;
constexpr std::uint64_t kHighRam = 1ULL << 32;
// With SMM, TSEG hides the end of low memory (QEMU hw/pci-host/q35.c, MCH_HOST_BRIDGE_ESMRAMC and
// extended-tseg-mbytes, 16 MiB unless somebody asks for more).
constexpr std::uint64_t kMostTseg = 16U << 20;
// Mappings of one size that are compared.
constexpr std::size_t kMostCandidates = 64;

// The kernel splits a mapping if madvise or mbind was called for a part of it: neighbours that are
// contiguous in one file belong together.
std::vector<Mapping> join(std::span<const Mapping> mappings) {
  std::vector<Mapping> joined;
  for (const Mapping& next : mappings) {
    if (!next.may_be_ram() || !next.writable) {
      continue;
    }
    if (!joined.empty()) {
      Mapping& last = joined.back();
      const bool same = last.end == next.begin && last.shared == next.shared &&
                        last.inode == next.inode && last.device == next.device && next.inode != 0 &&
                        last.offset + (last.end - last.begin) == next.offset;
      if (same) {
        last.end = next.end;
        continue;
      }
    }
    joined.push_back(next);
  }
  return joined;
}

// How much of the main memory lies below 4 GiB.
Result<std::uint64_t> low_part(const MemoryDefinition& memory) {
  constexpr std::uint64_t kMostLow = 0xe000'0000;
  const auto is = [&](std::string_view kind) {
    return memory.machine.find(kind) != std::string::npos;
  };
  const std::uint64_t size = memory.main;
  std::uint64_t low = 0;
  if (memory.machine.starts_with("pc-") && is("q35")) {
    low = std::min<std::uint64_t>(size >= 0xb000'0000 ? 0x8000'0000 : 0xb000'0000,
                                  memory.most_low.value_or(kHighRam));
  } else if (memory.machine.starts_with("pc-") && is("i440fx")) {
    low = memory.most_low.value_or(kMostLow);
    low = size >= low ? std::min<std::uint64_t>(low, 0xc000'0000) : low;
  } else if (memory.machine == "isapc") {
    low = memory.most_low.value_or(kMostLow);
  } else if (memory.machine == "microvm") {
    low = 0xc000'0000;
  } else {
    return fail(Errc::unsupported, "the memory layout of machine type {} is not known",
                memory.machine);
  }
  return std::min(size, low);
}

// The part of the main memory that begins `begin` bytes into it.
RamUnit unit_of(std::uint64_t begin, std::uint64_t size, std::uint64_t low) {
  RamUnit unit{.stretches = {}, .size = size};
  const auto add = [&](std::uint64_t from, std::uint64_t to, std::uint64_t moved) {
    from = std::max(from, begin);
    to = std::min(to, begin + size);
    if (from < to) {
      unit.stretches.push_back({{{from + moved}, to - from}, from - begin});
    }
  };
  add(0, kIsaHole, 0);
  add(kIsaEnd, low, 0);
  add(low, ~0ULL, kHighRam - low);
  return unit;
}

// The mappings that one unit may be.
using Candidates = std::vector<std::size_t>;

// How many assignments of a mapping to each unit there are, two at most; the first one.
unsigned count_assignments(std::span<const Candidates> units, std::vector<std::size_t>& chosen,
                           std::vector<std::size_t>& first) {
  if (chosen.size() == units.size()) {
    first = first.empty() ? chosen : first;
    return 1;
  }
  unsigned count = 0;
  for (const std::size_t mapping : units[chosen.size()]) {
    if (count < 2 && std::ranges::find(chosen, mapping) == chosen.end()) {
      chosen.push_back(mapping);
      count += count_assignments(units, chosen, first);
      chosen.pop_back();
    }
  }
  return count;
}

Result<Candidates> candidates_of(const RamUnit& unit, std::span<const Mapping> mappings,
                                 const WhichFit& which_fit) {
  Candidates found;
  std::vector<std::uint64_t> addresses;
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    if (mappings[i].end - mappings[i].begin == unit.size) {
      found.push_back(i);
      addresses.push_back(mappings[i].begin);
    }
  }
  if (addresses.empty() || addresses.size() > kMostCandidates) {
    return fail(Errc::unsupported,
                "{} mappings of the process have the size of a {} MiB block of the guest's RAM",
                addresses.size(), unit.size >> 20);
  }
  auto fit = which_fit(unit, addresses);
  if (!fit && addresses.size() == 1) {
    return found;
  }
  if (!fit) {
    return fail(Errc::unsupported,
                "{} mappings of the process have the size of a {} MiB block of the guest's RAM, "
                "and QEMU does not tell which one it is: {}",
                addresses.size(), unit.size >> 20, fit.error().message);
  }
  if (fit->empty()) {
    return fail(
        Errc::unsupported,
        "the contents of a {} MiB mapping of the process differ from what QEMU has at {:#x}",
        unit.size >> 20, unit.stretches.front().range.begin.value);
  }
  Candidates kept;
  for (const std::size_t i : *fit) {
    kept.push_back(found.at(i));
  }
  return kept;
}

const std::vector<RamBlock> kFirmware{{{{kIsaHole}, kIsaEnd - kIsaHole}, 0}};

// The parts of the block that are in known RAM.
std::vector<RamBlock> parts_of(const PhysRange& block, std::span<const RamBlock> known) {
  std::vector<RamBlock> parts;
  for (const RamBlock& part : known) {
    const PhysAddr begin = std::max(block.begin, part.range.begin);
    const PhysAddr end = std::min(block.end(), part.range.end());
    if (begin < end) {
      parts.push_back({{begin, end - begin}, part.address + (begin - part.range.begin)});
    }
  }
  return parts;
}

std::uint64_t bytes_of(std::span<const RamBlock> blocks) {
  std::uint64_t sum = 0;
  for (const RamBlock& block : blocks) {
    sum += block.range.size;
  }
  return sum;
}

// Below 4 GiB.
std::uint64_t low_bytes(std::span<const RamBlock> blocks) {
  return bytes_of(parts_of({{0}, kHighRam}, blocks));
}

Result<std::vector<std::size_t>> only_by_size(const RamUnit&, std::span<const std::uint64_t>) {
  return fail(Errc::unsupported, "QEMU is not asked");
}

}  // namespace

Result<std::vector<RamUnit>> ram_units(const MemoryDefinition& memory) {
  TRY_ASSIGN(const std::uint64_t low, low_part(memory));
  if (memory.main <= kIsaEnd || memory.main > kMaxPhysAddr - kHighRam || low <= kIsaEnd) {
    return fail(Errc::unsupported, "a guest with {} bytes of memory is not supported", memory.main);
  }
  std::vector<RamUnit> units;
  std::uint64_t begin = 0;
  for (const std::uint64_t node : memory.nodes) {
    if (node > memory.main - begin) {
      return fail(Errc::unsupported, "the NUMA nodes have more memory than the guest");
    }
    if (node != 0) {
      units.push_back(unit_of(begin, node, low));
    }
    begin += node;
  }
  if (memory.nodes.empty()) {
    units.push_back(unit_of(0, memory.main, low));
  } else if (begin != memory.main) {
    return fail(Errc::unsupported, "the NUMA nodes have less memory than the guest");
  }
  for (const PhysRange& plugged : memory.plugged) {
    units.push_back({{{plugged, 0}}, plugged.size});
  }
  return units;
}

Result<std::vector<RamBlock>> place_units(std::span<const RamUnit> units,
                                          std::span<const Mapping> mappings,
                                          const WhichFit& which_fit) {
  const std::vector<Mapping> joined = join(mappings);
  std::vector<Candidates> candidates;
  for (const RamUnit& unit : units) {
    TRY_ASSIGN(Candidates found, candidates_of(unit, joined, which_fit));
    candidates.push_back(std::move(found));
  }
  std::vector<std::size_t> chosen;
  std::vector<std::size_t> assigned;
  const unsigned count = count_assignments(candidates, chosen, assigned);
  if (count == 0) {
    return fail(Errc::unsupported, "no assignment of the process's mappings fits the guest's RAM");
  }
  if (count > 1) {
    return fail(Errc::unsupported,
                "more than one assignment of the process's mappings fits the guest's RAM: the "
                "guest has used too little of it");
  }
  std::vector<RamBlock> blocks;
  for (std::size_t i = 0; i < units.size(); ++i) {
    for (const Stretch& stretch : units[i].stretches) {
      blocks.push_back({stretch.range, joined[assigned[i]].begin + stretch.offset});
    }
  }
  return blocks;
}

PhysRange without_tseg(const PhysRange& range) {
  const bool low = range.end().value <= kHighRam && range.size > 2 * kMostTseg;
  return {range.begin, low ? range.size - kMostTseg : range.size};
}

Result<std::vector<RamBlock>> known_parts(std::span<const PhysRange> blocks,
                                          std::span<const RamBlock> known,
                                          std::span<const Mapping> mappings) {
  const std::uint64_t defined = low_bytes(known);
  std::vector<RamBlock> parts;
  for (const PhysRange& block : blocks) {
    const std::vector<RamBlock> common = parts_of(block, known);
    const std::uint64_t has = bytes_of(common) + bytes_of(parts_of(block, kFirmware));
    parts.insert(parts.end(), common.begin(), common.end());
    if (has == block.size || (common.empty() && block.end().value <= kHighRam)) {
      continue;
    }
    if (!common.empty()) {
      return fail(Errc::unsupported,
                  "QEMU's dump has memory at {:#x} that the guest's definition lacks",
                  block.begin.value);
    }
    const RamUnit unit{.stretches = {{block, 0}}, .size = block.size};
    TRY_ASSIGN(const auto placed, place_units({&unit, 1}, mappings, only_by_size));
    parts.insert(parts.end(), placed.begin(), placed.end());
  }
  if (low_bytes(parts) + kMostTseg < defined) {
    return fail(Errc::unsupported, "QEMU's dump lacks {} MiB of the guest's main memory",
                (defined - low_bytes(parts)) >> 20);
  }
  return parts;
}

}  // namespace vmcore::acquire
