// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/first_pages.h"

#include <algorithm>
#include <memory>

#include "src/convert/shards.h"
#include "src/image/page.h"
#include "src/kernel/memmap.h"
#include "src/kernel/printk_log.h"

namespace vmcore::convert {
namespace {

// Another memory, whose pages that were read are kept in mind. By one thread.
class WatchedMemory final : public PhysicalMemory {
 public:
  WatchedMemory(const PhysicalMemory& memory, const PageSet* only, PageSet& read)
      : memory_(memory), only_(only), read_(read) {}

  Extent extent(PhysAddr address) const override { return memory_.extent(address); }
  Extent outline(PhysAddr address) const override { return memory_.outline(address); }
  Presence presence(PhysAddr address) const override { return memory_.presence(address); }

  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    const Pfn first = pfn_of(address);
    const Pfn end{ceil_div(address.value + out.size(), kPageSize)};
    for (Pfn pfn = first; only_ != nullptr && pfn < end; pfn = pfn + 1) {
      if (!only_->contains(pfn)) {
        const PhysAddr bad{std::max(address_of(pfn).value, address.value)};
        return ReadExtent{0, bad};
      }
    }
    read_.insert({first, end - first});
    return memory_.read(address, out);
  }

 private:
  const PhysicalMemory& memory_;
  const PageSet* only_;
  PageSet& read_;
};

PageSet pages_of_image(const kernel::GuestKernel& kernel) {
  PageSet pages;
  const auto image = kernel.image_range();
  const auto begin = kernel.page_tables().translate(image.begin);
  if (begin && image.size <= kMaxPhysAddr && begin->address.value <= kMaxPhysAddr - image.size) {
    pages.insert({pfn_of(begin->address), image.size / kPageSize});
  }
  return pages;
}

}  // namespace

FirstPages first_pages(const MemoryImage& image, const kernel::FoundKernels& found,
                       const std::vector<Note>& notes, const PageSet* only) {
  FirstPages first;
  MemoryImage watched;
  watched.machine = image.machine;
  watched.cpus = image.cpus;
  watched.notes = notes;
  watched.memory = std::make_unique<WatchedMemory>(*image.memory, only, first.log);
  const auto again = kernel::find_kernels(watched, kernel::Search::registers, &found);
  if (!again || again->kernels.empty()) {
    return first;
  }
  const kernel::GuestKernel& kernel = again->kernels.front();
  static_cast<void>(kernel::read_printk_log(kernel, [](const auto&) { return true; }));
  static_cast<void>(kernel::read_memmap(kernel));  // without it makedumpfile reads no log
  first.kernel = pages_of_image(kernel);
  return first;
}

}  // namespace vmcore::convert
