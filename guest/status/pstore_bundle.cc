// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/status/pstore_bundle.h"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>

#include "src/base/number.h"

namespace vmcore::guest::status {
namespace {

struct Part {
  std::string_view event;  // "Panic", "Oops"
  unsigned count;          // of such events since the boot
  unsigned number;         // 1 is the newest part
  std::string_view text;
};

std::optional<Part> part_of(const PstoreRecord& record) {
  std::string_view rest = record.text;
  const std::string_view line = rest.substr(0, rest.find('\n'));
  const std::size_t hash = line.find('#');
  constexpr std::string_view kPart = " Part";
  const std::size_t part = line.find(kPart);
  if (!record.name.starts_with("dmesg-") || record.name.ends_with(".enc.z") ||
      hash == std::string_view::npos || part == std::string_view::npos || part < hash) {
    return std::nullopt;
  }
  const auto count = parse_number<unsigned>(line.substr(hash + 1, part - hash - 1));
  const auto number = parse_number<unsigned>(line.substr(part + kPart.size()));
  rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  return count && number ? std::optional(Part{line.substr(0, hash), *count, *number, rest})
                         : std::nullopt;
}

// Without the level and the time before it: "<0>[    1.5] Kernel panic".
std::string_view message_of(std::string_view line) {
  const std::size_t end = line.find("] ");
  return end == std::string_view::npos ? line : line.substr(end + 2);
}

std::string reason_in(std::string_view log) {
  constexpr std::array<std::string_view, 4> kSigns = {"Kernel panic - not syncing",
                                                      "BUG: ", "kernel BUG at", "Oops: "};
  for (const std::string_view sign : kSigns) {
    const std::size_t at = log.find(sign);
    if (at != std::string_view::npos) {
      const std::size_t begin = at == 0 ? 0 : log.rfind('\n', at - 1) + 1;
      return std::string(message_of(log.substr(begin, log.find('\n', at) - begin)));
    }
  }
  return "";
}

}  // namespace

PstoreBundle bundle_of(const std::vector<PstoreRecord>& records) {
  std::vector<Part> parts;
  for (const PstoreRecord& record : records) {
    if (const auto part = part_of(record)) {
      parts.push_back(*part);
    }
  }
  // A panic ends the boot: it comes after every oops.
  const auto key = [](const Part& part) {
    return std::tuple(part.event == "Panic", part.count, ~part.number);
  };
  std::ranges::sort(parts, {}, key);
  PstoreBundle bundle;
  for (const Part& part : parts) {
    if (part.event == parts.back().event && part.count == parts.back().count) {
      bundle.log += part.text;
      bundle.log += part.text.ends_with('\n') ? "" : "\n";
    }
  }
  bundle.reason = reason_in(bundle.log);
  return bundle;
}

}  // namespace vmcore::guest::status
