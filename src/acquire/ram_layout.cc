#include "src/acquire/ram_layout.h"

#include <algorithm>

namespace vmcore::acquire {
namespace {

constexpr std::uint64_t kIsaHole = 0xa0000;
constexpr std::uint64_t kIsaEnd = 0x100000;
constexpr std::uint64_t kHighRam = 1ULL << 32;
// With SMM, TSEG hides the end of low memory (QEMU hw/pci-host/q35.c, MCH_HOST_BRIDGE_ESMRAMC and
// extended-tseg-mbytes, 16 MiB unless somebody asks for more).
constexpr std::uint64_t kMostTseg = 16U << 20;

// Neighbours that lie in one piece of one file may be cut by what was asked of the kernel for a
// part of them (madvise, mbind).
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

// The one mapping of `size` bytes, or of at most `more` beyond.
Result<Mapping> only_mapping(std::span<const Mapping> mappings, std::uint64_t size,
                             std::uint64_t more = 0) {
  const auto fits = [&](const Mapping& mapping) {
    const std::uint64_t has = mapping.end - mapping.begin;
    return has >= size && has - size <= more;
  };
  const auto found = std::ranges::find_if(mappings, fits);
  if (found == mappings.end() || std::find_if(found + 1, mappings.end(), fits) != mappings.end()) {
    return fail(Errc::unsupported,
                "{} of the process's mappings has the size of {} MiB of the guest's RAM",
                found == mappings.end() ? "none" : "more than one", size >> 20);
  }
  return *found;
}

// Memory of `most` bytes and more is cut at `cut`, so that high memory begins on a gigabyte.
struct LowMemory {
  std::string_view name;
  std::uint64_t most;
  std::uint64_t cut;
};
constexpr LowMemory kLowMemories[] = {{"q35", 0xb000'0000, 0x8000'0000},
                                      {"i440fx", 0xe000'0000, 0xc000'0000}};

}  // namespace

Result<std::vector<PhysRange>> pc_memory(std::string_view machine, std::uint64_t size) {
  for (const LowMemory& low : kLowMemories) {
    if (!machine.starts_with("pc-") || machine.find(low.name) == std::string_view::npos) {
      continue;
    }
    if (size <= kIsaEnd || size > kMaxPhysAddr - kHighRam) {
      return fail(Errc::unsupported, "a guest of {} bytes of memory", size);
    }
    const std::uint64_t low_end = size >= low.most ? low.cut : size;
    std::vector<PhysRange> blocks{{{0}, kIsaHole}, {{kIsaEnd}, low_end - kIsaEnd}};
    if (low_end < size) {
      blocks.push_back({{kHighRam}, size - low_end});
    }
    return blocks;
  }
  return fail(Errc::unsupported, "where a machine of kind {} has its memory is not known", machine);
}

Result<std::vector<RamBlock>> place_by_size(std::span<const PhysRange> blocks,
                                            std::span<const Mapping> mappings) {
  const std::vector<Mapping> candidates = join(mappings);
  const auto end_of = [&](std::uint64_t address) -> std::uint64_t {
    const auto block = std::ranges::find_if(
        blocks, [&](const PhysRange& range) { return range.contains({address}); });
    return block == blocks.end() ? address : block->end().value;
  };
  const std::uint64_t low_end = end_of(kIsaEnd);
  const std::uint64_t high_end = end_of(kHighRam);
  const std::uint64_t high = high_end - kHighRam;
  auto found = only_mapping(candidates, low_end + high);
  if (!found) {
    found = only_mapping(candidates, low_end + high, kMostTseg);
  }
  if (!found) {
    return tl::unexpected(std::move(found).error());
  }
  const std::uint64_t main = found->begin;
  std::vector<RamBlock> placed;
  for (const PhysRange& block : blocks) {
    const std::uint64_t begin = block.begin.value;
    const std::uint64_t end = block.end().value;
    if (begin < kIsaHole) {
      placed.push_back({{block.begin, std::min(end, kIsaHole) - begin}, main + begin});
    }
    if (begin < low_end && end > kIsaEnd) {
      const std::uint64_t from = std::max(begin, kIsaEnd);
      placed.push_back({{{from}, end - from}, main + from});
    }
    if (begin == low_end && begin < kHighRam) {
      return fail(Errc::unsupported, "the main memory lies in several pieces (NUMA nodes)");
    }
    if (begin == kHighRam) {
      placed.push_back({block, found->end - high});
    } else if (begin > kHighRam) {
      TRY_ASSIGN(const Mapping dimm, only_mapping(candidates, block.size));
      placed.push_back({block, dimm.begin});
    }
  }
  return placed;
}

}  // namespace vmcore::acquire
