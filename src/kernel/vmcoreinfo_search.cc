// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/vmcoreinfo_search.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>
#include <unordered_set>

#include "src/base/little_endian.h"
#include "src/image/page.h"
#include "src/kernel/address_layout.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/memory_chunks.h"

namespace vmcore::kernel {
namespace {

constexpr std::size_t kMaxTextBytes = 16 << 10;  // VMCOREINFO_BYTES is a page up to v7.1
constexpr std::string_view kBeginning = "OSRELEASE=";

// Images are some 30 to 60 MiB; one with everything built in is below 300.
constexpr std::uint64_t kMaxImageBytes = 512ULL << 20;
// A kernel image has a few thousand distinct pointers to the beginning of a page.
constexpr std::size_t kMaxPointers = 1 << 18;

bool begins_text(std::span<const std::byte> bytes) {
  return bytes.size() >= kBeginning.size() &&
         std::memcmp(bytes.data(), kBeginning.data(), kBeginning.size()) == 0;
}

// Collects texts, each once.
class Texts {
 public:
  explicit Texts(const PhysicalMemory& memory) : memory_(&memory) {}

  bool full() const { return found_.size() >= kMaxFoundTexts; }

  // Takes what begins at `address`; it ends with the first NUL. True where it is a new one.
  Result<bool> add(PhysAddr address) {
    TRY_ASSIGN(auto info, vmcoreinfo_at(*memory_, address));
    if (!info || full() || !seen_.insert(info->text()).second) {
      return false;
    }
    found_.push_back({*std::move(info), address});
    return true;
  }

  const Vmcoreinfo& last() const { return found_.back().info; }
  std::vector<FoundText> take() { return std::move(found_); }

 private:
  const PhysicalMemory* memory_;
  std::vector<FoundText> found_;
  std::unordered_set<std::string> seen_;
};

// Looks at each aligned word of a kernel image.
class ImageScan {
 public:
  ImageScan(const PhysicalMemory& memory, const PageTables& tables)
      : texts_(memory), tables_(tables) {}

  Result<> take(PhysAddr at, std::span<const std::byte> bytes) {
    constexpr std::size_t kWord = sizeof(std::uint64_t);
    for (std::size_t offset = 0; offset + kWord <= bytes.size(); offset += kWord) {
      if (begins_text(bytes.subspan(offset))) {
        TRY(texts_.add(at + offset));
      }
      const VirtAddr pointer{load<std::uint64_t>(bytes, offset).value_or(0)};
      if (!is_candidate(pointer) || pointers_.size() >= kMaxPointers ||
          !pointers_.insert(pointer.value).second) {
        continue;
      }
      if (const auto mapping = tables_.translate(pointer)) {
        TRY(texts_.add(mapping->address));
      }
    }
    return {};
  }

  Texts& texts() { return texts_; }

 private:
  bool is_candidate(VirtAddr pointer) const {
    const Architecture& arch = tables_.arch();
    return pointer.value % kPageSize == 0 && pointer >= arch.kernel_half &&
           pointer < arch.kernel_map;
  }

  Texts texts_;
  PageTables tables_;
  std::unordered_set<std::uint64_t> pointers_;
};

}  // namespace

Result<std::vector<FoundText>> search_kernel_image(const PhysicalMemory& memory,
                                                   const KernelAnchor& anchor) {
  const std::uint64_t size =
      std::min(kMaxImageBytes, linear_size(anchor.tables, anchor.phys_base, anchor.image));
  ImageScan scan(memory, anchor.tables);
  const PhysRange range{anchor.tables.arch().image_to_physical(anchor.image, anchor.phys_base),
                        size};
  const auto look_at = [&](PhysAddr at, std::span<const std::byte> bytes) -> Result<bool> {
    TRY(scan.take(at, bytes));
    return false;
  };
  TRY(for_each_chunk(memory, range, look_at));
  return scan.texts().take();
}

Result<std::optional<Vmcoreinfo>> vmcoreinfo_at(const PhysicalMemory& memory, PhysAddr address) {
  std::vector<std::byte> text(kMaxTextBytes);
  TRY_ASSIGN(const ReadExtent got, memory.read(address, text));
  text.resize(got.good);
  if (!begins_text(text)) {
    return std::nullopt;
  }
  auto info = Vmcoreinfo::parse(text);
  return info ? std::optional(*std::move(info)) : std::nullopt;
}

Result<> search_memory(const PhysicalMemory& memory,
                       const std::function<bool(const Vmcoreinfo&, PhysAddr)>& take) {
  Texts texts(memory);
  const auto look_at = [&](PhysAddr at, std::span<const std::byte> bytes) -> Result<bool> {
    for (std::size_t page = 0; page < bytes.size(); page += kPageSize) {
      if (begins_text(bytes.subspan(page))) {
        TRY_ASSIGN(const bool is_new, texts.add(at + page));
        if (is_new && take(texts.last(), at + page)) {
          return true;
        }
      }
    }
    return texts.full();
  };
  TRY(for_each_data_chunk(memory, {{0}, kMaxPhysAddr}, look_at));
  return {};
}

}  // namespace vmcore::kernel
