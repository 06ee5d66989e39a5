// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/maps.h"

#include <sys/sysmacros.h>

#include <optional>

#include "src/base/number.h"

namespace vmcore::acquire {
namespace {

// Takes a number off the front of `text`, and the one character `after` behind it.
std::optional<std::uint64_t> take_number(std::string_view& text, int base, char after) {
  const auto value = vmcore::take_number<std::uint64_t>(text, base);
  if (!value || !text.starts_with(after)) {
    return std::nullopt;
  }
  text.remove_prefix(1);
  return value;
}

// "7f5c40000000-7f5c80000000 rw-s 00000000 00:01 2057   /memfd:pc.ram (deleted)"
std::optional<Mapping> parse_line(std::string_view line) {
  Mapping mapping;
  const auto begin = take_number(line, 16, '-');
  const auto end = begin ? take_number(line, 16, ' ') : begin;
  if (!end || *end <= *begin || line.size() < 5 || line[4] != ' ') {
    return std::nullopt;
  }
  mapping.begin = *begin;
  mapping.end = *end;
  mapping.readable = line[0] == 'r';
  mapping.writable = line[1] == 'w';
  mapping.executable = line[2] == 'x';
  mapping.shared = line[3] == 's';
  line.remove_prefix(5);
  const auto offset = take_number(line, 16, ' ');
  const auto major = offset ? take_number(line, 16, ':') : offset;
  const auto minor = major ? take_number(line, 16, ' ') : major;
  const auto inode = minor ? take_number(line, 10, ' ') : minor;
  if (!inode) {
    return std::nullopt;
  }
  mapping.offset = *offset;
  mapping.device = makedev(static_cast<unsigned>(*major), static_cast<unsigned>(*minor));  // NOLINT
  mapping.inode = *inode;
  const std::size_t path = line.find_first_not_of(' ');
  mapping.path = path == std::string_view::npos ? "" : line.substr(path);
  return mapping;
}

}  // namespace

// Since Linux 5.17 anonymous memory can have a name (9a10064f5625): "[anon:...]".
bool Mapping::may_be_ram() const {
  const bool special = path.starts_with('[') && !path.starts_with("[anon");
  return readable && !executable && !special;
}

Result<std::vector<Mapping>> parse_maps(std::string_view text) {
  std::vector<Mapping> mappings;
  while (!text.empty()) {
    std::string line(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    auto mapping = parse_line(line + ' ');  // a line without a path may end behind its inode
    if (!mapping || (!mappings.empty() && mapping->begin < mappings.back().end)) {
      return fail(Errc::malformed, "/proc/PID/maps: line {} is not a mapping: {}",
                  mappings.size() + 1, line);
    }
    if (!mapping->path.empty()) {
      mapping->path.pop_back();
    }
    mappings.push_back(*std::move(mapping));
  }
  return mappings;
}

}  // namespace vmcore::acquire
