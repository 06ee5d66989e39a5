// SPDX-License-Identifier: GPL-2.0-or-later
// SpooledPages: the memory of a guest whose pages lie in a file at their guest-physical addresses.
#pragma once

#include <memory>

#include "src/formats/byte_source.h"
#include "src/image/memory.h"
#include "src/image/page_set.h"

namespace vmcore::sources {

class SpooledPages final : public PhysicalMemory {
 public:
  // `had`, the pages in the file, is a subset of `kept`, which is a subset of `ram`. The other
  // pages of `kept` are lost, the other pages of `ram` are excluded. Holes of the file are zeros.
  SpooledPages(std::unique_ptr<formats::ByteSource> file, PageSet ram, PageSet kept, PageSet had);

  Extent extent(PhysAddr address) const override;
  Extent outline(PhysAddr address) const override;
  Presence presence(PhysAddr address) const override;
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override;

 private:
  // The run from `pfn` on, at most up to `limit`, zeros not being told from data.
  struct Run {
    Pfn end;
    Presence presence;
  };
  Run run(Pfn pfn) const;
  // The run of zeros, or of what is none, of pages that are in the file.
  Run file_run(Pfn pfn, Pfn end) const;

  std::unique_ptr<formats::ByteSource> file_;
  PageSet ram_;
  PageSet kept_;
  PageSet had_;
};

}  // namespace vmcore::sources
