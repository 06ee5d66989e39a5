// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/image/format_names.h"

#include <algorithm>

namespace vmcore {
namespace {

template <class Names, class Value>
std::string_view name_in(const Names& names, Value value) {
  const auto* const found = std::ranges::find(names, value, &Names::value_type::first);
  return found != names.end() ? found->second : "";
}

template <class Names>
auto value_in(const Names& names, std::string_view name)
    -> std::optional<typename Names::value_type::first_type> {
  const auto* const found = std::ranges::find(names, name, &Names::value_type::second);
  return found != names.end() ? std::optional(found->first) : std::nullopt;
}

}  // namespace

std::string_view format_name(DumpFormat format) { return name_in(kFormatNames, format); }
std::string_view codec_name(Codec codec) { return name_in(kCodecNames, codec); }
std::optional<DumpFormat> format_from_name(std::string_view name) {
  return value_in(kFormatNames, name);
}
std::optional<Codec> codec_from_name(std::string_view name) { return value_in(kCodecNames, name); }

}  // namespace vmcore
