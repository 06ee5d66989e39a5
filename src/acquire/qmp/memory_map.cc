// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/memory_map.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "src/base/number.h"

namespace vmcore::acquire {
namespace {

using sandbox::BlockPlace;

// Returns the part before the separator, or the whole text if it has no separator. `text` becomes
// the part behind it.
std::string_view cut(std::string_view& text, std::string_view separator) {
  const std::size_t at = text.find(separator);
  const std::string_view first = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + separator.size());
  return first;
}

std::string_view next_line(std::string_view& text) {
  std::string_view line = cut(text, "\n");
  while (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return line;
}

std::optional<std::uint64_t> hex(std::string_view text) {
  return parse_number<std::uint64_t>(text, 16);
}

// "  00000000000c3000-00000000000e7fff (prio 0, rom): ram0 @00000000000c3000 KVM", with the offset
// where it is not 0, and the accelerator where it has the range.
std::optional<BlockPlace> parse_range(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const auto begin = hex(cut(line, "-"));
  const auto last = hex(cut(line, " (prio "));
  cut(line, ", ");
  const std::string_view kind = cut(line, "): ");
  if (!begin || !last || *last < *begin || *last >= kMaxPhysAddr ||
      (kind != "ram" && kind != "rom" && kind != "romd")) {
    return std::nullopt;
  }
  if (line.ends_with(" KVM")) {
    line.remove_suffix(4);
  }
  std::uint64_t offset = 0;
  if (const std::size_t at = line.rfind(" @"); at != std::string_view::npos) {
    if (const auto value = hex(line.substr(at + 2))) {
      offset = *value;
      line = line.substr(0, at);
    }
  }
  return BlockPlace{{{*begin}, *last - *begin + 1}, std::string(line), offset};
}

}  // namespace

Result<std::vector<BlockPlace>> parse_memory_map(std::string_view text) {
  std::vector<BlockPlace> places;
  bool ours = false;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    if (line.starts_with("FlatView #")) {
      if (ours) {
        break;
      }
    } else if (line.starts_with(" AS \"memory\"")) {
      ours = true;
    } else if (ours) {
      if (auto place = parse_range(line)) {
        places.push_back(*std::move(place));
      }
    }
  }
  if (places.empty() || places.size() > sandbox::kMaxPieces) {
    return fail(Errc::unsupported,
                "QEMU's map of memory (info mtree -f) shows {} ranges of RAM: not a usable number",
                places.size());
  }
  return places;
}

// "   ram0    4 KiB  0x0000000000000000 0x0000000020000000 0x0000000020000000": the name, the size
// of pages, then the offset, what is used, and all.
Result<std::uint64_t> parse_block_total(std::string_view text) {
  std::uint64_t total = 0;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    const std::size_t at = line.find("iB  0x");
    if (at == std::string_view::npos) {
      continue;
    }
    line.remove_prefix(at);
    std::optional<std::uint64_t> size;
    for (int column = 0; column < 3; ++column) {
      cut(line, " 0x");
      size = hex(line.substr(0, line.find(' ')));
    }
    total += size.value_or(0);
    if (!size || *size > kMaxPhysAddr || total > kMaxPhysAddr) {
      return fail(Errc::unsupported,
                  "QEMU's list of memory blocks (info ramblock) has an unknown form");
    }
  }
  if (total == 0) {
    return fail(Errc::unsupported,
                "QEMU's list of memory blocks (info ramblock) has an unknown form");
  }
  return total;
}

// "0000000002000000: 0x0000000500000002 0x0000000000031c92", two words a line.
Result<> parse_words(std::string_view text, PhysAddr address, std::span<std::byte> bytes) {
  std::size_t done = 0;
  while (!text.empty() && done < bytes.size()) {
    std::string_view line = next_line(text);
    bool right = hex(cut(line, ": ")) == address.value + done;
    while (right && !line.empty() && done < bytes.size()) {
      std::string_view word = cut(line, " ");
      const auto value = word.starts_with("0x") ? hex(word.substr(2)) : std::nullopt;
      right = value && bytes.size() - done >= sizeof *value;
      if (right) {
        std::memcpy(bytes.data() + done, &*value, sizeof *value);
        done += sizeof *value;
      }
    }
    if (!right) {
      break;
    }
  }
  if (done != bytes.size()) {
    return fail(Errc::unsupported, "QEMU does not tell its memory contents at {:#x}",
                address.value + done);
  }
  return {};
}

}  // namespace vmcore::acquire
