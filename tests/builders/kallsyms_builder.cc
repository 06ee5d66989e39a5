// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/kallsyms_builder.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <string_view>

namespace vmcore::testing {
namespace {

// Codes that no name uses by themselves stand for these; the others stand for nothing.
constexpr unsigned kFirstToken = 0x80;
constexpr std::array<std::string_view, 4> kTokens{"kallsyms_", "__per_cpu_", "_st", "age_"};

std::string compressed(std::string_view name) {
  std::string packed;
  while (!name.empty()) {
    const auto token = std::ranges::find_if(
        kTokens, [&](std::string_view text) { return name.starts_with(text); });
    packed += token == kTokens.end()
                  ? name.front()
                  : static_cast<char>(kFirstToken + static_cast<unsigned>(token - kTokens.begin()));
    name.remove_prefix(token == kTokens.end() ? 1 : token->size());
  }
  return packed;
}

std::string token_text(unsigned code) {
  if (code >= kFirstToken) {
    return code - kFirstToken < kTokens.size() ? std::string(kTokens[code - kFirstToken]) : "";
  }
  return code > ' ' && code <= '~' ? std::string(1, static_cast<char>(code)) : "";
}

class Writer {
 public:
  Writer(KallsymsImage& image, std::size_t align) : image_(&image), align_(align) {}

  // Where the next table begins.
  std::uint64_t begin(const std::string& name) {
    std::vector<std::byte>& bytes = image_->bytes;
    bytes.resize((bytes.size() + align_ - 1) / align_ * align_);
    image_->places[name] = bytes.size();
    return bytes.size();
  }
  template <class T>
  void put(T value) {
    const auto bytes = std::as_bytes(std::span<const T, 1>(&value, 1));
    image_->bytes.insert(image_->bytes.end(), bytes.begin(), bytes.end());
  }
  void put(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    image_->bytes.insert(image_->bytes.end(), bytes.begin(), bytes.end());
  }

 private:
  KallsymsImage* image_;
  std::size_t align_;
};

void write_offsets(Writer& writer, std::span<const KallsymsSymbol> symbols, KallsymsStyle style,
                   VirtAddr at) {
  std::uint64_t place = at.value + writer.begin("kallsyms_offsets");
  std::uint64_t base = std::numeric_limits<std::uint64_t>::max();
  for (const KallsymsSymbol& symbol : symbols) {
    base = symbol.address.value >> 31 != 0 ? std::min(base, symbol.address.value) : base;
  }
  for (const KallsymsSymbol& symbol : symbols) {
    std::uint64_t offset =
        symbol.address.value >> 31 == 0 ? symbol.address.value : base - 1 - symbol.address.value;
    if (style.place_relative) {
      offset = symbol.address.value - place;
    }
    writer.put(static_cast<std::uint32_t>(offset));
    place += sizeof(std::uint32_t);
  }
  if (!style.place_relative) {
    writer.begin("kallsyms_relative_base");
    writer.put(base);
  }
}

void write_names(Writer& writer, KallsymsImage& image, std::span<const KallsymsSymbol> symbols) {
  writer.begin("kallsyms_num_syms");
  writer.put(static_cast<std::uint32_t>(symbols.size()));
  std::vector<std::uint32_t> markers;
  const std::uint64_t begin = writer.begin("kallsyms_names");
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    if (i % 256 == 0) {
      markers.push_back(static_cast<std::uint32_t>(image.bytes.size() - begin));
    }
    const std::string packed = symbols[i].type + compressed(symbols[i].name);
    writer.put(
        static_cast<std::uint8_t>(packed.size() < 128 ? packed.size() : packed.size() % 128 | 128));
    if (packed.size() >= 128) {
      writer.put(static_cast<std::uint8_t>(packed.size() / 128));
    }
    writer.put(std::string_view(packed));
  }
  writer.begin("kallsyms_markers");
  for (const std::uint32_t marker : markers) {
    writer.put(marker);
  }
}

void write_tokens(Writer& writer) {
  std::vector<std::uint16_t> index;
  std::string table;
  for (unsigned code = 0; code < 256; ++code) {
    index.push_back(static_cast<std::uint16_t>(table.size()));
    table += token_text(code) + '\0';
  }
  writer.begin("kallsyms_token_table");
  writer.put(std::string_view(table));
  writer.begin("kallsyms_token_index");
  for (const std::uint16_t offset : index) {
    writer.put(offset);
  }
}

}  // namespace

KallsymsImage build_kallsyms(std::vector<KallsymsSymbol> symbols, KallsymsStyle style,
                             VirtAddr at) {
  std::erase_if(symbols, [&](const KallsymsSymbol& symbol) {
    return !style.long_names && compressed(symbol.name).size() + 1 >= 128;
  });
  std::ranges::stable_sort(symbols, {}, &KallsymsSymbol::address);
  KallsymsImage image;
  Writer writer(image, style.place_relative ? 4 : 8);
  if (style.offsets_first) {
    write_offsets(writer, symbols, style, at);
  }
  write_names(writer, image, symbols);
  write_tokens(writer);
  if (!style.offsets_first) {
    write_offsets(writer, symbols, style, at);
  }
  return image;
}

}  // namespace vmcore::testing
