// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/btf_builder.h"

#include <algorithm>
#include <span>

namespace vmcore::testing {
namespace {

bool has_bits(const std::vector<BtfMember>& members) {
  return std::ranges::any_of(members, [](const BtfMember& each) { return each.bits != 0; });
}

}  // namespace

BtfBuilder BtfBuilder::of_module(const BtfBuilder& base) {
  BtfBuilder module;
  module.first_string_ = base.first_string_ + static_cast<std::uint32_t>(base.strings_.size());
  module.next_ = base.next_;
  module.strings_.clear();
  return module;
}

std::uint32_t BtfBuilder::string(std::string_view text) {
  if (text.empty()) {
    return 0;
  }
  const auto place = first_string_ + static_cast<std::uint32_t>(strings_.size());
  strings_ += text;
  strings_ += '\0';
  return place;
}

std::uint32_t BtfBuilder::add(std::uint32_t kind, std::string_view name, std::uint32_t count,
                              std::uint32_t size_or_type, std::vector<std::uint32_t> words,
                              bool flag) {
  types_.push_back(string(name));
  types_.push_back((flag ? 1U << 31 : 0U) | kind << 24 | count);
  types_.push_back(size_or_type);
  types_.insert(types_.end(), words.begin(), words.end());
  return next_++;
}

std::uint32_t BtfBuilder::integer(std::string_view name, std::uint32_t bytes, unsigned bits) {
  return add(1, name, 0, bytes, {bits == 0 ? bytes * 8 : bits});
}

std::uint32_t BtfBuilder::array(std::uint32_t of, std::uint32_t count) {
  return add(3, "", 0, 0, {of, 0, count});
}

std::vector<std::uint32_t> BtfBuilder::member_words(const std::vector<BtfMember>& members) {
  std::vector<std::uint32_t> words;
  for (const BtfMember& each : members) {
    words.insert(words.end(), {string(each.name), each.type, each.bits << 24 | each.bit_offset});
  }
  return words;
}

std::uint32_t BtfBuilder::structure(std::string_view name, std::uint32_t bytes,
                                    const std::vector<BtfMember>& members) {
  const auto words = member_words(members);
  return add(4, name, static_cast<std::uint32_t>(members.size()), bytes, words, has_bits(members));
}

std::uint32_t BtfBuilder::union_of(std::string_view name, std::uint32_t bytes,
                                   const std::vector<BtfMember>& members) {
  const auto words = member_words(members);
  return add(5, name, static_cast<std::uint32_t>(members.size()), bytes, words, has_bits(members));
}

std::uint32_t BtfBuilder::enumeration(
    std::string_view name, const std::vector<std::pair<std::string, std::int32_t>>& values) {
  std::vector<std::uint32_t> words;
  for (const auto& [text, value] : values) {
    words.insert(words.end(), {string(text), static_cast<std::uint32_t>(value)});
  }
  return add(6, name, static_cast<std::uint32_t>(values.size()), 4, words);
}

std::uint32_t BtfBuilder::enumeration64(
    std::string_view name, const std::vector<std::pair<std::string, std::int64_t>>& values) {
  std::vector<std::uint32_t> words;
  for (const auto& [text, value] : values) {
    words.insert(words.end(), {string(text), static_cast<std::uint32_t>(value),
                               static_cast<std::uint32_t>(value >> 32)});
  }
  return add(19, name, static_cast<std::uint32_t>(values.size()), 8, words);
}

std::uint32_t BtfBuilder::prototype(
    std::uint32_t returns, const std::vector<std::pair<std::string, std::uint32_t>>& parameters) {
  std::vector<std::uint32_t> words;
  for (const auto& [name, type] : parameters) {
    words.insert(words.end(), {string(name), type});
  }
  return add(13, "", static_cast<std::uint32_t>(parameters.size()), returns, words);
}

void BtfBuilder::tell_kind(std::uint32_t kind, std::uint32_t words_each) {
  layout_.resize(std::max<std::size_t>(layout_.size(), kind + 1));
  layout_[kind] = words_each * 4 << 8;  // elem_sz
}

std::vector<std::byte> BtfBuilder::build() const {
  const auto types_size = static_cast<std::uint32_t>(types_.size() * 4);
  const auto layout_size = static_cast<std::uint32_t>(layout_.size() * 4);
  const std::uint32_t header_size = (layout_.empty() ? 24 : 32) + more_header_;
  std::vector<std::uint32_t> words{0x0001'eb9f,
                                   header_size,
                                   0,
                                   types_size,
                                   types_size + layout_size,
                                   static_cast<std::uint32_t>(strings_.size())};
  if (!layout_.empty()) {
    words.insert(words.end(), {types_size, layout_size});
  }
  words.resize(header_size / 4);
  words.insert(words.end(), types_.begin(), types_.end());
  words.insert(words.end(), layout_.begin(), layout_.end());
  const auto bytes = std::as_bytes(std::span(words));
  std::vector<std::byte> built(bytes.begin(), bytes.end());
  const auto text = std::as_bytes(std::span(strings_));
  built.insert(built.end(), text.begin(), text.end());
  return built;
}

}  // namespace vmcore::testing
