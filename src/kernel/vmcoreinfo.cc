// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/vmcoreinfo.h"

#include <algorithm>
#include <system_error>

#include "src/base/number.h"

namespace vmcore::kernel {
namespace {}  // namespace

Result<Vmcoreinfo> Vmcoreinfo::parse(std::span<const std::byte> text) {
  if (text.size() > kMaxBytes) {
    return fail(Errc::limit, "VMCOREINFO has {} bytes, more than {}", text.size(), kMaxBytes);
  }
  const auto end = std::find(text.begin(), text.end(), std::byte{0});
  Vmcoreinfo info;
  info.text_.assign(reinterpret_cast<const char*>(text.data()),
                    static_cast<std::size_t>(end - text.begin()));

  std::string_view rest = info.text_;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos && equals != 0) {
      info.values_.insert_or_assign(std::string(line.substr(0, equals)),
                                    std::string(line.substr(equals + 1)));
    }
  }
  if (info.release().empty()) {
    return fail(Errc::malformed, "VMCOREINFO has no OSRELEASE line");
  }
  return info;
}

std::optional<std::string_view> Vmcoreinfo::value(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) {
    return std::nullopt;
  }
  return found->second;
}

std::optional<std::string_view> Vmcoreinfo::value(std::string_view kind,
                                                  std::string_view name) const {
  return value(fmt::format("{}({})", kind, name));
}

std::optional<VirtAddr> Vmcoreinfo::symbol(std::string_view name) const {
  const auto text = value("SYMBOL", name);
  const auto address = text ? parse_number<std::uint64_t>(*text, 16) : std::nullopt;
  return address ? std::optional(VirtAddr{*address}) : std::nullopt;
}

std::optional<std::uint64_t> Vmcoreinfo::unsigned_value(std::string_view kind,
                                                        std::string_view name) const {
  const auto text = value(kind, name);
  return text ? parse_number<std::uint64_t>(*text, 10) : std::nullopt;
}

std::optional<std::uint64_t> Vmcoreinfo::offset(std::string_view member) const {
  return unsigned_value("OFFSET", member);
}

std::optional<std::uint64_t> Vmcoreinfo::size(std::string_view type) const {
  return unsigned_value("SIZE", type);
}

std::optional<std::uint64_t> Vmcoreinfo::length(std::string_view name) const {
  return unsigned_value("LENGTH", name);
}

std::optional<std::int64_t> Vmcoreinfo::number(std::string_view name) const {
  const auto text = value("NUMBER", name);
  if (!text) {
    return std::nullopt;
  }
  if (text->starts_with("0x")) {
    // An address (NUMBER(VMALLOC_START)): its 64 bits, as a signed number.
    const auto bits = parse_number<std::uint64_t>(text->substr(2), 16);
    return bits ? std::optional(static_cast<std::int64_t>(*bits)) : std::nullopt;
  }
  return parse_number<std::int64_t>(*text, 10);
}

std::string_view Vmcoreinfo::release() const { return value("OSRELEASE").value_or(""); }

std::optional<std::string_view> Vmcoreinfo::build_id() const { return value("BUILD-ID"); }

std::optional<std::uint64_t> Vmcoreinfo::crash_time() const {
  const auto text = value("CRASHTIME");
  return text ? parse_number<std::uint64_t>(*text, 10) : std::nullopt;
}

}  // namespace vmcore::kernel
