// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/kallsyms.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "src/base/little_endian.h"
#include "src/kernel/read_window.h"

namespace vmcore::kernel {
namespace {

constexpr std::uint64_t kNamesPerMarker = 256;

}  // namespace

Result<Kallsyms> Kallsyms::read(const GuestKernel& kernel) {
  const auto exported = exported_kallsyms(kernel);
  if (exported || exported.error().code != Errc::not_found) {
    return exported.and_then(
        [&](const KallsymsTables& tables) { return Kallsyms::read(kernel, tables); });
  }
  TRY_ASSIGN(const std::vector<KallsymsTables> candidates, search_kallsyms(kernel));
  Result<Kallsyms> kallsyms = fail(Errc::not_found, "kallsyms: none");
  for (const KallsymsTables& tables : candidates) {
    kallsyms = read(kernel, tables);
    if (kallsyms) {
      break;
    }
  }
  return kallsyms;
}

Result<Kallsyms> Kallsyms::read(const GuestKernel& kernel, const KallsymsTables& tables) {
  Kallsyms kallsyms;
  TRY(kallsyms.read_tokens(kernel, tables));
  TRY(kallsyms.read_offsets(kernel, tables));
  TRY(kallsyms.read_names(kernel, tables));
  TRY(kallsyms.choose_encoding(kernel, tables));
  return kallsyms;
}

Result<> Kallsyms::read_tokens(const GuestKernel& kernel, const KallsymsTables& tables) {
  std::array<std::uint16_t, 256> index{};
  TRY(kernel.read_exactly(tables.token_index, std::as_writable_bytes(std::span(index))));
  ReadWindow table(kernel, tables.token_table, kMaxTokenTable + kMaxSymbolBytes);
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    // The last token may be the last thing before an unmapped page, so it is read bytewise.
    for (std::size_t at = 0;; ++at) {
      TRY_ASSIGN(const auto byte, table.bytes(index[i] + at, 1));
      if (byte[0] == std::byte{0}) {
        break;
      }
      if (at == kMaxSymbolBytes || byte[0] <= std::byte{' '} || byte[0] > std::byte{'~'}) {
        return fail(Errc::malformed, "kallsyms: token {} is no part of a name", i);
      }
      tokens_[i].push_back(static_cast<char>(byte[0]));
    }
  }
  return {};
}

Result<> Kallsyms::read_offsets(const GuestKernel& kernel, const KallsymsTables& tables) {
  offsets_begin_ = tables.offsets;
  offsets_.resize(tables.count);
  return kernel.read_exactly(offsets_begin_, std::as_writable_bytes(std::span(offsets_)));
}

Result<> Kallsyms::read_names(const GuestKernel& kernel, const KallsymsTables& tables) {
  // The token table follows in all releases (scripts/kallsyms.c, write_src()), with at most 3 bytes
  // a symbol between: room for that is little more than needed, where growing takes twice of it.
  if (tables.token_table > tables.names && tables.token_table - tables.names <= kMaxSymbolNames) {
    names_.reserve(tables.token_table - tables.names);
  }
  ReadWindow window(kernel, tables.names, kMaxSymbolNames);
  for (std::uint64_t i = 0; i < tables.count; ++i) {
    if (i % kNamesPerMarker == 0) {
      markers_.push_back(static_cast<std::uint32_t>(names_.size()));
    }
    // The byte after the length is always there: every name has at least its type.
    TRY_ASSIGN(const auto head, window.bytes(names_.size(), 2));
    const std::array<std::uint8_t, 2> head_bytes{static_cast<std::uint8_t>(head[0]),
                                                 static_cast<std::uint8_t>(head[1])};
    const auto name = packed_name(head_bytes);
    if (!name || name->size == 0 || name->size > kMaxSymbolBytes) {
      return fail(Errc::malformed, "kallsyms: name {} has no plausible length", i);
    }
    const std::size_t begin = names_.size();
    TRY_ASSIGN(const auto bytes, window.bytes(begin, name->header + name->size));
    names_.resize(begin + bytes.size());
    std::memcpy(names_.data() + begin, bytes.data(), bytes.size());
  }
  return check_markers(kernel, tables.names + names_.size());
}

// They follow the names in all releases (scripts/kallsyms.c, write_src()), aligned.
Result<> Kallsyms::check_markers(const GuestKernel& kernel, VirtAddr names_end) const {
  std::vector<std::uint32_t> stored(markers_.size());
  for (const std::uint64_t align : {4U, 8U}) {
    const VirtAddr at{(names_end.value + align - 1) & ~(align - 1)};
    TRY(kernel.read_exactly(at, std::as_writable_bytes(std::span(stored))));
    if (stored == markers_) {
      return {};
    }
  }
  return fail(Errc::malformed, "kallsyms: the names do not have the lengths that the markers tell");
}

Result<> Kallsyms::choose_encoding(const GuestKernel& kernel, const KallsymsTables& tables) {
  const auto stext = kernel.info().symbol("_stext");
  std::vector<Encoding> candidates{Encoding::place_relative};
  if (tables.relative_base) {
    TRY_ASSIGN(relative_base_, kernel.read_value<std::uint64_t>(*tables.relative_base));
    candidates = {Encoding::absolute_percpu, Encoding::relative, Encoding::place_relative};
  }
  // One before all other code, and one among the data.
  constexpr std::array<std::string_view, 2> kNames{"_stext", "init_uts_ns"};
  const auto places = find_places(kNames);
  if (!stext || !places[0]) {
    return fail(Errc::malformed, "kallsyms: no _stext");
  }
  const auto agrees = [&](std::size_t i, Encoding encoding) {
    const auto told = kernel.info().symbol(kNames[i]);
    return !told || !places[i] || address(*places[i], encoding) == *told;
  };
  for (const Encoding candidate : candidates) {
    if (agrees(0, candidate)) {
      encoding_ = candidate;
      return agrees(1, candidate)
                 ? check_order()
                 : fail(Errc::malformed, "kallsyms: init_uts_ns is not where VMCOREINFO says");
    }
  }
  return fail(Errc::malformed, "kallsyms: _stext is not where VMCOREINFO says");
}

Result<> Kallsyms::check_order() const {
  for (std::uint64_t i = 1; i < offsets_.size(); ++i) {
    if (address(i, encoding_) < address(i - 1, encoding_)) {
      return fail(Errc::malformed, "kallsyms: symbol {} is not in order", i);
    }
  }
  return {};
}

VirtAddr Kallsyms::address(std::uint64_t index, Encoding encoding) const {
  const std::int32_t offset = offsets_[index];
  const auto extended = static_cast<std::uint64_t>(std::int64_t{offset});
  switch (encoding) {
    case Encoding::absolute_percpu:
      return {offset >= 0 ? extended : relative_base_ - 1 - extended};
    case Encoding::relative:
      return {relative_base_ + static_cast<std::uint32_t>(offset)};
    case Encoding::place_relative:
      break;
  }
  return {offsets_begin_.value + index * sizeof(offset) + extended};
}

std::vector<std::optional<VirtAddr>> Kallsyms::find(
    std::initializer_list<std::string_view> names) const {
  const std::scoped_lock lock(known_->mutex);
  std::vector<std::string_view> news;
  std::ranges::copy_if(names, std::back_inserter(news),
                       [&](std::string_view name) { return !known_->symbols.contains(name); });
  const auto places = find_places(news);
  for (std::size_t i = 0; i < news.size(); ++i) {
    known_->symbols.emplace(
        news[i], places[i] ? std::optional(address(*places[i], encoding_)) : std::nullopt);
  }
  std::vector<std::optional<VirtAddr>> found;
  for (const std::string_view name : names) {
    found.push_back(known_->symbols.find(name)->second);
  }
  return found;
}

// Only names of a length that is looked for are put together: a pass over the 200,000 symbols of a
// kernel is made while a guest waits.
std::vector<std::optional<std::uint64_t>> Kallsyms::find_places(
    std::span<const std::string_view> names) const {
  std::vector<std::optional<std::uint64_t>> places(names.size());
  std::size_t missing = names.size();
  std::string text;  // the type's letter, then the name
  std::span<const std::uint8_t> rest = names_;
  for (std::uint64_t place = 0; place < offsets_.size() && missing != 0; ++place) {
    const auto name = packed_name(rest);
    if (!name || rest.size() < name->header + name->size) {
      break;
    }
    const auto tokens = rest.subspan(name->header, name->size);
    rest = rest.subspan(name->header + name->size);
    std::size_t length = 0;
    for (const std::uint8_t token : tokens) {
      length += tokens_[token].size();
    }
    const auto fits = [&](std::string_view wanted) { return wanted.size() + 1 == length; };
    if (std::ranges::none_of(names, fits)) {
      continue;
    }
    text.clear();
    for (const std::uint8_t token : tokens) {
      text += tokens_[token];
    }
    const auto wanted = std::ranges::find(names, std::string_view(text).substr(1));
    if (wanted != names.end() && !places[static_cast<std::size_t>(wanted - names.begin())]) {
      places[static_cast<std::size_t>(wanted - names.begin())] = place;
      --missing;
    }
  }
  return places;
}

std::uint64_t Kallsyms::count_below(VirtAddr address) const {
  std::uint64_t begin = 0;
  for (std::uint64_t size = offsets_.size(); size != 0;) {
    const std::uint64_t half = size / 2;
    const bool below = this->address(begin + half, encoding_) < address;
    begin = below ? begin + half + 1 : begin;
    size = below ? size - half - 1 : half;
  }
  return begin;
}

bool Kallsyms::is_per_cpu(std::uint64_t index) const {
  return encoding_ == Encoding::absolute_percpu && offsets_[index] >= 0;
}

Symbol Kallsyms::symbol(std::uint64_t index) const {
  auto rest = std::span(names_).subspan(markers_[index / kNamesPerMarker]);
  auto name = *packed_name(rest);  // read_names() has seen them all
  for (std::uint64_t i = 0; i < index % kNamesPerMarker; ++i) {
    rest = rest.subspan(name.header + name.size);
    name = *packed_name(rest);
  }
  Symbol symbol;
  for (const std::uint8_t token : rest.subspan(name.header, name.size)) {
    symbol.name += tokens_[token];
  }
  if (!symbol.name.empty()) {
    symbol.type = symbol.name.front();
    symbol.name.erase(0, 1);
  }
  symbol.address = address(index, encoding_);
  const std::uint64_t next = count_below(symbol.address + 1);
  if (next < offsets_.size() && address(next, encoding_) > symbol.address) {
    symbol.size = address(next, encoding_) - symbol.address;
  }
  return symbol;
}

std::optional<Symbol> Kallsyms::at(VirtAddr address) const {
  const std::uint64_t behind = count_below(address + 1);
  if (behind == 0 || behind == offsets_.size() || is_per_cpu(behind - 1)) {
    return std::nullopt;
  }
  return symbol(count_below(this->address(behind - 1, encoding_)));
}

void Kallsyms::for_each(VirtAddr begin, VirtAddr end,
                        const std::function<bool(const Symbol&)>& each) const {
  for (std::uint64_t i = count_below(begin); i < offsets_.size(); ++i) {
    if (address(i, encoding_) >= end || !each(symbol(i))) {
      return;
    }
  }
}

}  // namespace vmcore::kernel
