// SPDX-License-Identifier: GPL-2.0-or-later
// The memory of a kdump-compressed dump. Descriptors are found by rank in the second bitmap and
// read in batches, as are the data of pages that lie one behind the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "src/formats/byte_source.h"
#include "src/formats/kdump/layout.h"
#include "src/formats/kdump/table.h"
#include "src/image/memory.h"
#include "src/image/page_set.h"

namespace vmcore::formats {

class KdumpMemory final : public PhysicalMemory {
 public:
  // `kept` is a subset of `ram`, `lost` one of `kept`. The descriptors of the kept pages begin at
  // `descs` of the source.
  KdumpMemory(std::unique_ptr<ByteSource> source, PageSet ram, PageSet kept, PageSet lost,
              std::uint64_t descs);
  ~KdumpMemory() override;

  Extent extent(PhysAddr address) const override;
  Presence presence(PhysAddr address) const override;
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override;

 private:
  struct Context;
  class Loan;

  std::unique_ptr<Context> borrow() const;
  void give_back(std::unique_ptr<Context> context) const;

  // The first page frame behind `pfn`, an excluded one, that is not excluded.
  Pfn excluded_end(Pfn pfn) const;
  // The descriptors from number `rank` on; those that lie behind the end of the file are zeros.
  Result<> read_descs(std::uint64_t rank, std::span<PageDesc> descs) const;
  bool unpack(Context& context, const PageDesc& desc, std::span<const std::byte> data,
              std::span<std::byte> page) const;
  // Both fill whole pages and return how many of them are good.
  Result<std::size_t> read_pages(Context& context, Pfn first, std::span<std::byte> out) const;
  Result<std::size_t> read_adjacent(Context& context, std::span<const PageDesc> descs,
                                    std::uint64_t zero_page, std::span<std::byte> out) const;
  // A whole page for somebody who wants a part of it; empty where it is bad.
  Result<std::span<const std::byte>> cached_page(Context& context, Pfn pfn) const;

  std::unique_ptr<ByteSource> source_;
  PageSet ram_;
  PageSet kept_;
  PageSet lost_;
  KdumpPlaces places_;
  // Where the shared page of zeros lies in the file; 0 until it was met.
  mutable std::atomic<std::uint64_t> zero_page_ = 0;
  // Decompressors and buffers of threads that are not reading now.
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Context>> idle_;
};

}  // namespace vmcore::formats
