// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/kernel_fuzz.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/builders/kernel_builder.h"

namespace vmcore::testing {
namespace {

struct ChangedWord {
  PhysAddr place;
  std::uint64_t value;
};

// The memory of another image with some words changed.
class ChangedMemory : public PhysicalMemory {
 public:
  ChangedMemory(const PhysicalMemory& base, std::vector<ChangedWord> words)
      : base_(&base), words_(std::move(words)) {}

  Extent extent(PhysAddr address) const override { return base_->extent(address); }

  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    auto result = base_->read(address, out);
    if (result) {
      for (const ChangedWord& word : words_) {
        apply(word, address, out.first(result->good));
      }
    }
    return result;
  }

 private:
  static void apply(const ChangedWord& word, PhysAddr begin, std::span<std::byte> out) {
    const auto* const bytes = reinterpret_cast<const std::byte*>(&word.value);
    for (std::size_t i = 0; i < sizeof(word.value); ++i) {
      const PhysAddr at = word.place + i;
      if (at >= begin && at - begin < out.size()) {
        out[at - begin] = bytes[i];
      }
    }
  }

  const PhysicalMemory* base_;
  std::vector<ChangedWord> words_;
};

struct Base {
  MemoryImage image;
  PhysAddr lists;         // of freed pages
  PhysAddr struct_pages;  // of those that are on lists
};

Base build(const char* layout) {
  GuestBuilder guest(layout);
  guest.ram(32).log(1, "first").log(2, "second line\nand more").log(3, "").log(4, "x");
  guest.pages("100 free 3\n200 anon\n");
  guest.listed(0, 0, {{0x300}, {0x302}}).listed(1, 1, {{0x301}});
  MemoryImage image = guest.build();
  static_cast<SparseMemory&>(*image.memory).tell_zero_pages();
  return {std::move(image), guest.lists_of(0), guest.struct_page_at({0x300})};
}

const Base& base_of(unsigned number) {
  static const std::array kImages{build("6.1"), build("5.4"), build("7.1")};
  return kImages[number % kImages.size()];
}

// Words of the kernel image and of the pages behind it: page tables, mem_section, the text. The
// last 4096 are those of per-CPU lists and of struct pages.
PhysAddr place_of(const Base& base, std::uint16_t number) {
  constexpr std::uint64_t kImage = 16ULL << 20;
  constexpr std::uint64_t kPool = 20ULL << 20;
  constexpr std::uint16_t kOthers = 0xf000;
  if (number >= kOthers) {
    const bool lists = (number & 0x800) != 0;
    return (lists ? base.lists : base.struct_pages) + (number & (lists ? 0x1ffU : 0x3fU)) * 8ULL;
  }
  return {((number & 0x8000) != 0 ? kPool : kImage) + (number & 0x7fffU) * 8ULL};
}

}  // namespace

MemoryImage fuzzed_image(std::span<const std::uint8_t> input) {
  constexpr std::size_t kWordBytes = 10;
  if (input.size() < 2) {
    input = {};
  }
  const Base& from = base_of(input.empty() ? 0 : input[0]);
  const MemoryImage& base = from.image;
  std::size_t count = input.empty() ? 0 : input[1];
  input = input.subspan(std::min<std::size_t>(2, input.size()));
  std::vector<ChangedWord> words;
  for (; count > 0 && input.size() >= kWordBytes; --count, input = input.subspan(kWordBytes)) {
    std::uint16_t place = 0;
    ChangedWord word{};
    std::memcpy(&place, input.data(), sizeof(place));
    std::memcpy(&word.value, input.data() + sizeof(place), sizeof(word.value));
    word.place = place_of(from, place);
    words.push_back(word);
  }
  MemoryImage image;
  image.machine = base.machine;
  image.cpus = base.cpus;
  image.notes = base.notes;
  const auto lines = std::as_bytes(input);
  image.notes[0].desc.insert(image.notes[0].desc.end(), lines.begin(), lines.end());
  image.memory = std::make_unique<ChangedMemory>(*base.memory, std::move(words));
  return image;
}

}  // namespace vmcore::testing
