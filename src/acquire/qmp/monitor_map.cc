// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/monitor_map.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "src/acquire/qmp/memory_map.h"
#include "src/base/number.h"
#include "src/sandbox/messages.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

// "Host virtual address for 0x100000 (pc.ram) is 0x7f5c40100000" (QEMU monitor/hmp-cmds.c, 2.9 and
// later).
std::optional<std::uint64_t> address_in(const std::string& text) {
  constexpr std::string_view kIs = ") is 0x";
  const std::size_t at = text.rfind(kIs);
  if (at == std::string::npos) {
    return std::nullopt;
  }
  std::string_view address = std::string_view(text).substr(at + kIs.size());
  return take_number<std::uint64_t>(address, 16);
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
    return fail(Errc::unsupported,
                "QEMU does not tell where it has guest-physical address {:#x} (gpa2hva)",
                guest.value);
  }
  return *address;
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
      return fail(Errc::malformed, "QEMU reports plugged memory at an impossible address");
    }
    plugged.push_back({{*begin}, *size});
  }
  return plugged;
}

// The size of each memory backend, by its name. QEMU before 5.0 has none for memory that was asked
// for by -m alone.
Result<std::map<std::string, std::uint64_t>> find_backends(const Execute& execute,
                                                           std::uint64_t base) {
  TRY_ASSIGN(const Json list, execute("query-memdev", Json::object()));
  std::map<std::string, std::uint64_t> backends;
  for (const Json& backend : list.is_array() ? list : Json::array()) {
    const auto name = qmp::text_member(backend, "id");
    const auto size = qmp::number_member(backend, "size");
    if (name && size && *size <= kMaxPhysAddr) {
      backends.emplace(*name, *size);
    }
  }
  backends.emplace("pc.ram", base);
  return backends;
}

std::string name_of(const sandbox::BlockPlace& place) {
  return place.block.substr(place.block.rfind('/') + 1);
}

bool lies_in(const PhysRange& range, std::span<const PhysRange> wholes) {
  return std::ranges::any_of(wholes, [&](const PhysRange& whole) {
    return range.begin >= whole.begin && range.end() <= whole.end();
  });
}

// The backends that make up the main memory: those that the guest sees first, without what is
// plugged in, as many as QEMU says that it has.
Result<std::set<std::string>> find_main(std::span<const sandbox::BlockPlace> places,
                                        std::span<const PhysRange> plugged,
                                        const std::map<std::string, std::uint64_t>& backends,
                                        std::uint64_t base) {
  std::set<std::string> names;
  std::uint64_t sum = 0;
  for (const sandbox::BlockPlace& place : places) {
    const auto backend = backends.find(name_of(place));
    if (backend != backends.end() && !lies_in(place.range, plugged) &&
        backend->second <= base - sum && names.insert(backend->first).second) {
      sum += backend->second;
    }
  }
  if (sum != base) {
    return fail(Errc::unsupported,
                "QEMU's map of memory shows {} MiB of the guest's {} MiB of main memory", sum >> 20,
                base >> 20);
  }
  return names;
}

// Without what lies between 640 KiB and 1 MiB.
std::vector<PhysRange> without_isa_hole(const PhysRange& range) {
  constexpr PhysAddr kHole{0xa0000};
  constexpr PhysAddr kEnd{0x100000};
  std::vector<PhysRange> parts;
  if (range.begin < kHole) {
    parts.push_back({range.begin, std::min(range.end(), kHole) - range.begin});
  }
  if (range.end() > kEnd) {
    const PhysAddr begin = std::max(range.begin, kEnd);
    parts.push_back({begin, range.end() - begin});
  }
  return parts;
}

}  // namespace

Result<RamBlock> find_block(const Execute& execute, PhysRange range) {
  TRY_ASSIGN(const std::uint64_t begin, host_address(execute, range.begin));
  TRY_ASSIGN(const std::uint64_t last, host_address(execute, range.begin + (range.size - 1)));
  if (last - begin != range.size - 1) {
    return fail(Errc::unsupported, "the memory at {:#x} is not contiguous in QEMU",
                range.begin.value);
  }
  return RamBlock{range, begin};
}

Result<std::vector<RamBlock>> find_ram(const Execute& execute) {
  TRY_ASSIGN(const Json size, execute("query-memory-size-summary", Json::object()));
  const auto base = qmp::number_member(size, "base-memory");
  if (!base || *base == 0 || *base > kMaxPhysAddr) {
    return fail(Errc::unsupported, "QEMU does not tell how much memory the guest has");
  }
  TRY_ASSIGN(const std::string text, ask(execute, "info mtree -f"));
  TRY_ASSIGN(const auto places, parse_memory_map(text));
  TRY_ASSIGN(const std::vector<PhysRange> plugged, find_plugged(execute));
  TRY_ASSIGN(const auto backends, find_backends(execute, *base));
  TRY_ASSIGN(const std::set<std::string> main, find_main(places, plugged, backends, *base));
  std::vector<RamBlock> found;
  for (const sandbox::BlockPlace& place : places) {
    if (!main.contains(name_of(place)) && !lies_in(place.range, plugged)) {
      continue;
    }
    for (const PhysRange& range : without_isa_hole(place.range)) {
      TRY_ASSIGN(const RamBlock block, find_block(execute, range));
      found.push_back(block);
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

Result<> peek_words(const Execute& execute, PhysAddr address, std::span<std::byte> bytes) {
  TRY_ASSIGN(const std::string text,
             ask(execute, fmt::format("xp/{}gx {:#x}", bytes.size() / 8, address.value)));
  return parse_words(text, address, bytes);
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
