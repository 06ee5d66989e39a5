// SPDX-License-Identifier: GPL-2.0-or-later
// ProcessMemory: guest RAM read in place, in the process that runs the guest and in the files that
// it maps: by descriptors that were opened for us, and by a reader.
//
// A page that was never touched is never read: reading a page that a mapping does not have yet
// would make the host allocate it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/formats/byte_source.h"
#include "src/image/memory.h"
#include "src/image/source.h"
#include "src/sources/copier.h"
#include "src/sources/process_reader.h"
#include "src/sources/recent_blocks.h"

namespace vmcore::sources {

enum class GuestIs : std::uint8_t { running, still };

class ProcessMemory : public PhysicalMemory {
 public:
  // `reader` and `copier` (borrowed; the copier may be null) know the process. Errc::malformed
  // where the pieces overlap or name files that are not there.
  static Result<std::unique_ptr<ProcessMemory>> make(ImageSource source,
                                                     const ProcessReader& reader, GuestIs guest,
                                                     const Copier* copier = nullptr);

  // `zero` is reported only for runs of 2 MiB and more, so that a sparsely used guest is not walked
  // page by page.
  Extent extent(PhysAddr address) const override;
  // Neither tells of `zero`.
  Extent outline(PhysAddr address) const override;
  Presence presence(PhysAddr address) const override;
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override;
  // What the process itself has and goes into the copier's room, that copies.
  Result<> read_parts(std::span<ReadPart> parts, unsigned threads) const override;

 private:
  ProcessMemory(const ProcessReader& reader, Fd pagemap, std::vector<Piece> pieces, GuestIs guest,
                const Copier* copier)
      : reader_(reader),
        pagemap_(std::move(pagemap)),
        pieces_(std::move(pieces)),
        copier_(copier),
        recent_(guest == GuestIs::still ? std::chrono::hours(1) : std::chrono::milliseconds(10)) {}

  // The first piece that ends behind the address, or the end.
  std::vector<Piece>::const_iterator piece_at(PhysAddr address) const;
  // Where the process has the part, if the copier may copy it: whether all of its pages are there
  // is not asked.
  std::optional<std::uint64_t> address_for_copier(const ReadPart& part) const;
  // Where those of the parts end that follow the first one, at `begin`, within a block.
  std::uint64_t end_of_near(std::uint64_t begin, std::span<const ReadPart> parts) const;
  // Sets those to 1.
  void find_what_is_for_copier(std::span<const ReadPart> parts,
                               std::span<unsigned char> is_for) const;
  // Returns how many there are.
  std::size_t put_first_what_is_for_copier(std::span<ReadPart> parts, unsigned threads) const;
  Extent file_extent(const Piece& piece, PhysAddr address) const;
  Extent anonymous_extent(const Piece& piece, PhysAddr address) const;

  // Both: bytes of one piece, from `skip` bytes behind its start. The good prefix.
  Result<std::size_t> read_piece(const Piece& piece, std::uint64_t skip,
                                 std::span<std::byte> out) const;
  Result<std::size_t> read_private(const Piece& piece, std::uint64_t skip,
                                   std::span<std::byte> out) const;
  // From a block that was read lately, or is now: all of its pages are the process's own. False
  // where there is none, and nothing was read.
  bool read_recent(const Piece& piece, std::uint64_t skip, std::span<std::byte> out) const;
  // Pages that a private mapping does not have itself.
  std::size_t read_behind(const Piece& piece, std::uint64_t skip, std::span<std::byte> out) const;
  bool in_huge_pages(const Piece& piece) const;

  struct File {
    std::unique_ptr<formats::ByteSource> bytes;
    bool huge_pages;
  };

  const ProcessReader& reader_;
  Fd pagemap_;
  std::vector<Piece> pieces_;
  std::vector<File> files_;
  const Copier* copier_;
  mutable RecentBlocks recent_;
};

}  // namespace vmcore::sources
