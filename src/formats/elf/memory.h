// SPDX-License-Identifier: GPL-2.0-or-later
// The memory of an ELF dump: an index of its PT_LOADs over the file.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "src/formats/byte_source.h"
#include "src/formats/interval_map.h"
#include "src/image/memory.h"

namespace vmcore::formats {

// A PT_LOAD. file_size <= physical.size; physical ends at or below kMaxPhysAddr.
struct LoadSegment {
  PhysRange physical;
  std::uint64_t file_size = 0;
  std::uint64_t file_offset = 0;
};

class ElfMemory final : public PhysicalMemory {
 public:
  ElfMemory(std::unique_ptr<ByteSource> source, std::span<const LoadSegment> segments);

  Extent extent(PhysAddr address) const override;
  Presence presence(PhysAddr address) const override;
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override;

  // Memory that should lie in the file behind its end; whole pages.
  std::uint64_t lost_bytes() const;
  // Memory that has no data in the file and is taken for zeros; whole pages.
  std::uint64_t tail_bytes() const;

 private:
  // What lies at an address, the better kind first where segments overlap.
  enum Kind : std::uint32_t {
    kTorn,  // a whole page of which a part is lost
    kData,
    kLost,     // behind the end of the file
    kPadding,  // the rest of a page that a segment covers in part; zeros
    kTail,     // p_memsz > p_filesz; whole pages
  };

  void add_segment(const LoadSegment& segment, std::uint32_t order,
                   std::vector<Mapping>& out) const;
  // The run at `address` within one mapping. It begins there.
  Extent mapped_run(PhysAddr address) const;
  // Makes whole pages of what is lost.
  void round_losses();
  // The run of the file, asked for once: a file system may look through all of the file for it.
  FileRun file_run(std::uint64_t offset) const;
  Extent data_run(PhysAddr address, const Mapping& mapping) const;

  std::unique_ptr<ByteSource> source_;
  IntervalMap map_;
  Presence tail_ = Presence::zero;
  mutable std::mutex mutex_;
  mutable std::uint64_t known_at_ = 0;  // offset in the file of known_
  mutable FileRun known_;
};

}  // namespace vmcore::formats
