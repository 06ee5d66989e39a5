#include "src/acquire/monitor_map.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "src/acquire/memory_map.h"
#include "src/acquire/ram_layout.h"
#include "src/sandbox/messages.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

// "Host virtual address for 0x100000 (pc.ram) is 0x7f5c40100000" (QEMU monitor/hmp-cmds.c, 2.9 and
// later).
std::optional<std::uint64_t> address_in(const std::string& text) {
  constexpr std::string_view kIs = ") is 0x";
  const std::size_t at = text.rfind(kIs);
  std::uint64_t address = 0;
  if (at == std::string::npos ||
      std::from_chars(text.data() + at + kIs.size(), text.data() + text.size(), address, 16).ec !=
          std::errc()) {
    return std::nullopt;
  }
  return address;
}

// The answer to a command that is for people.
Result<std::string> ask(const Execute& execute, const std::string& command) {
  TRY_ASSIGN(const Json text, execute("human-monitor-command", {{"command-line", command}}));
  return text.is_string() ? text.get<std::string>() : std::string();
}

Result<std::uint64_t> host_address(const Execute& execute, PhysAddr guest) {
  TRY_ASSIGN(const std::string text, ask(execute, fmt::format("gpa2hva {:#x}", guest.value)));
  const auto address = address_in(text);
  if (!address) {
    return fail(Errc::unsupported, "QEMU does not tell where guest-physical address {:#x} lies",
                guest.value);
  }
  return *address;
}

// The beginning of the range that lies in one piece: each NUMA node's memory has a place of its
// own.
Result<RamBlock> first_block(const Execute& execute, PhysRange range) {
  constexpr std::uint64_t kGranule = 1U << 20;  // nodes begin and end on it
  TRY_ASSIGN(const std::uint64_t begin, host_address(execute, range.begin));
  std::uint64_t together = 0;
  std::uint64_t apart = range.size + kGranule;
  for (std::uint64_t tried = range.size; apart - together > kGranule && together < range.size;) {
    const auto last = host_address(execute, range.begin + (tried - 1));
    if (!last && last.error().code != Errc::unsupported) {
      return tl::unexpected(last.error());
    }
    (last && *last - begin == tried - 1 ? together : apart) = tried;
    tried = together + (apart - together) / 2 / kGranule * kGranule;
    if (tried == together) {
      break;
    }
  }
  if (together == 0) {
    return fail(Errc::unsupported, "the memory at {:#x} does not lie in one piece in QEMU",
                range.begin.value);
  }
  return RamBlock{{range.begin, together}, begin};
}

// What is plugged in and is RAM (QEMU qapi/machine.json, query-memory-devices; 2.1 and later), by
// address: DIMMs, and the whole of what virtio-mem may have, for QEMU does not tell which blocks of
// it the guest has; what is not plugged in reads as zeros. Of other devices not all need be RAM.
Result<std::vector<PhysRange>> find_plugged(const Execute& execute) {
  TRY_ASSIGN(const Json devices, execute("query-memory-devices", Json::object()));
  std::vector<PhysRange> plugged;
  for (const Json& device : devices) {
    const auto type = qmp::text_member(device, "type");
    const bool dimm = type == "dimm";
    if (!(dimm || type == "virtio-mem") || !device.contains("data")) {
      continue;
    }
    const Json& data = device["data"];
    if (!dimm && qmp::number_member(data, "size") == 0U) {
      continue;
    }
    const auto begin = qmp::number_member(data, dimm ? "addr" : "memaddr");
    const auto size = qmp::number_member(data, dimm ? "size" : "max-size");
    if (!begin || !size || *size == 0 || *begin >= kMaxPhysAddr || *size > kMaxPhysAddr - *begin) {
      return fail(Errc::malformed, "QEMU tells of plugged memory where none can be");
    }
    plugged.push_back({{*begin}, *size});
  }
  std::ranges::sort(plugged, {}, &PhysRange::begin);
  return plugged;
}

}  // namespace

Result<RamBlock> find_block(const Execute& execute, PhysRange range) {
  TRY_ASSIGN(const std::uint64_t begin, host_address(execute, range.begin));
  TRY_ASSIGN(const std::uint64_t last, host_address(execute, range.begin + (range.size - 1)));
  if (last - begin != range.size - 1) {
    return fail(Errc::unsupported, "the memory at {:#x} does not lie in one piece in QEMU",
                range.begin.value);
  }
  return RamBlock{range, begin};
}

Result<std::vector<RamBlock>> find_ram(const Execute& execute) {
  TRY_ASSIGN(const Json machine, execute("qom-get", {{"path", "/machine"}, {"property", "type"}}));
  TRY_ASSIGN(const Json size, execute("query-memory-size-summary", Json::object()));
  const auto base = qmp::number_member(size, "base-memory");
  if (!machine.is_string() || !base) {
    return fail(Errc::unsupported, "QEMU does not tell what machine the guest is");
  }
  TRY_ASSIGN(std::vector<PhysRange> ranges, pc_memory(machine.get<std::string>(), *base));
  TRY_ASSIGN(const std::vector<PhysRange> plugged, find_plugged(execute));
  ranges.insert(ranges.end(), plugged.begin(), plugged.end());
  std::vector<RamBlock> found;
  for (PhysRange range : ranges) {
    const PhysAddr begin = range.begin;
    while (range.size != 0 && found.size() < sandbox::kMaxPieces) {
      const auto block = first_block(execute, range);
      if (!block && block.error().code == Errc::unsupported && range.begin != begin) {
        break;  // the end of low memory may be hidden (TSEG)
      }
      if (!block) {
        return tl::unexpected(block.error());
      }
      found.push_back(*block);
      range = {block->range.end(), range.size - block->range.size};
    }
  }
  return found;
}

Result<std::vector<RamBlock>> find_all_ram(const Execute& execute) {
  TRY_ASSIGN(const std::string text, ask(execute, "info mtree -f"));
  TRY_ASSIGN(const auto places, parse_memory_map(text));
  std::vector<RamBlock> found;
  for (const sandbox::BlockPlace& place : places) {
    const auto block = find_block(execute, place.range);
    if (block) {
      found.push_back(*block);
    } else if (block.error().code != Errc::unsupported) {
      return tl::unexpected(block.error());
    }
  }
  return found;
}

Result<std::vector<RamBlock>> within(std::span<const PhysRange> wanted,
                                     std::span<const RamBlock> known) {
  std::vector<RamBlock> parts;
  for (const PhysRange& range : wanted) {
    std::uint64_t covered = 0;
    for (const RamBlock& block : known) {
      const PhysAddr begin = std::max(range.begin, block.range.begin);
      const PhysAddr end = std::min(range.end(), block.range.end());
      if (begin < end) {
        parts.push_back({{begin, end - begin}, block.address + (begin - block.range.begin)});
        covered += end - begin;
      }
    }
    if (covered != range.size) {
      return fail(Errc::unsupported, "QEMU's map of memory does not have all of {:#x}-{:#x}",
                  range.begin.value, range.end().value - 1);
    }
  }
  return parts;
}

}  // namespace vmcore::acquire
