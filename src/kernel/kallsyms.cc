// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/kallsyms.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "src/base/little_endian.h"
#include "src/kernel/read_window.h"

namespace vmcore::kernel {
namespace {

// An allyesconfig kernel has less than a million symbols.
constexpr std::uint64_t kMaxSymbols = 4 << 20;
// Tokens are at most KSYM_NAME_LEN (512 since v6.1, b8a94bfb3395).
constexpr std::size_t kMaxNameBytes = 512;
constexpr std::uint64_t kMaxTokenTable = 64 << 10;  // kallsyms_token_index holds 16-bit offsets
constexpr std::uint64_t kMaxNames = 32 << 20;

// One name of the compressed table.
struct PackedName {
  std::size_t header = 0;  // bytes of the length
  std::size_t size = 0;    // tokens that follow it
};

// The length is one byte, or two for the long names of Rust (v6.1, 73bbb94466fd): ULEB128.
std::optional<PackedName> packed_name(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) {
    return std::nullopt;
  }
  if ((bytes[0] & 0x80) == 0) {
    return PackedName{1, bytes[0]};
  }
  if (bytes.size() < 2) {
    return std::nullopt;
  }
  return PackedName{2, (bytes[0] & 0x7fU) | (std::size_t{bytes[1]} << 7)};
}

}  // namespace

Result<Kallsyms> Kallsyms::read(const GuestKernel& kernel) {
  const auto count_at = kernel.info().symbol("kallsyms_num_syms");
  if (!count_at) {
    return fail(Errc::not_found, "kallsyms: VMCOREINFO does not have its addresses");
  }
  TRY_ASSIGN(const std::uint32_t count, kernel.read_value<std::uint32_t>(*count_at));
  if (count == 0 || count > kMaxSymbols) {
    return fail(Errc::limit, "kallsyms: {} is not a plausible number of symbols", count);
  }
  Kallsyms kallsyms;
  TRY(kallsyms.read_tokens(kernel));
  TRY(kallsyms.read_offsets(kernel, count));
  TRY(kallsyms.read_names(kernel, count));
  TRY(kallsyms.choose_encoding(kernel));
  return kallsyms;
}

Result<> Kallsyms::read_tokens(const GuestKernel& kernel) {
  const auto table_at = kernel.info().symbol("kallsyms_token_table");
  const auto index_at = kernel.info().symbol("kallsyms_token_index");
  if (!table_at || !index_at) {
    return fail(Errc::not_found, "kallsyms: no token table in VMCOREINFO");
  }
  std::array<std::uint16_t, 256> index{};
  TRY(kernel.read_exactly(*index_at, std::as_writable_bytes(std::span(index))));
  ReadWindow table(kernel, *table_at, kMaxTokenTable + kMaxNameBytes);
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    // The last token may be the last thing before an unmapped page, so it is read bytewise.
    for (std::size_t at = 0;; ++at) {
      TRY_ASSIGN(const auto byte, table.bytes(index[i] + at, 1));
      if (byte[0] == std::byte{0}) {
        break;
      }
      if (at == kMaxNameBytes) {
        return fail(Errc::malformed, "kallsyms: token {} has no end", i);
      }
      tokens_[i].push_back(static_cast<char>(byte[0]));
    }
  }
  return {};
}

Result<> Kallsyms::read_offsets(const GuestKernel& kernel, std::uint64_t count) {
  const auto offsets_at = kernel.info().symbol("kallsyms_offsets");
  if (!offsets_at) {
    return fail(Errc::not_found, "kallsyms: no offsets in VMCOREINFO");
  }
  offsets_begin_ = *offsets_at;
  offsets_.resize(count);
  return kernel.read_exactly(offsets_begin_, std::as_writable_bytes(std::span(offsets_)));
}

Result<> Kallsyms::read_names(const GuestKernel& kernel, std::uint64_t count) {
  const auto names_at = kernel.info().symbol("kallsyms_names");
  if (!names_at) {
    return fail(Errc::not_found, "kallsyms: no names in VMCOREINFO");
  }
  // The token table follows in all releases (scripts/kallsyms.c, write_src()), with at most 3 bytes
  // a symbol between: room for that is little more than needed, where growing takes twice of it.
  const auto behind = kernel.info().symbol("kallsyms_token_table");
  if (behind && behind->value > names_at->value && behind->value - names_at->value <= kMaxNames) {
    names_.reserve(behind->value - names_at->value);
  }
  ReadWindow window(kernel, *names_at, kMaxNames);
  for (std::uint64_t i = 0; i < count; ++i) {
    // The byte after the length is always there: every name has at least its type.
    TRY_ASSIGN(const auto head, window.bytes(names_.size(), 2));
    const std::array<std::uint8_t, 2> head_bytes{static_cast<std::uint8_t>(head[0]),
                                                 static_cast<std::uint8_t>(head[1])};
    const auto name = packed_name(head_bytes);
    if (!name || name->size == 0 || name->size > kMaxNameBytes) {
      return fail(Errc::malformed, "kallsyms: name {} has no plausible length", i);
    }
    const std::size_t begin = names_.size();
    TRY_ASSIGN(const auto bytes, window.bytes(begin, name->header + name->size));
    names_.resize(begin + bytes.size());
    std::memcpy(names_.data() + begin, bytes.data(), bytes.size());
  }
  return {};
}

Result<> Kallsyms::choose_encoding(const GuestKernel& kernel) {
  const auto stext = kernel.info().symbol("_stext");
  std::vector<Encoding> candidates{Encoding::place_relative};
  if (const auto base_at = kernel.info().symbol("kallsyms_relative_base")) {
    TRY_ASSIGN(relative_base_, kernel.read_value<std::uint64_t>(*base_at));
    candidates = {Encoding::absolute_percpu, Encoding::relative};
  }
  constexpr std::string_view kStext = "_stext";
  const auto found = find_places({&kStext, 1}).front();
  if (!stext || !found) {
    return fail(Errc::malformed, "kallsyms: no _stext");
  }
  for (const Encoding candidate : candidates) {
    if (address(*found, candidate) == *stext) {
      encoding_ = candidate;
      return {};
    }
  }
  return fail(Errc::malformed, "kallsyms: _stext is not where VMCOREINFO says");
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

}  // namespace vmcore::kernel
