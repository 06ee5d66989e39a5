// SPDX-License-Identifier: GPL-2.0-or-later
// QEMU's migration stream ("QEVM" version 3) as a snapshot leaves it in a file: all of RAM, page by
// page, then the state of CPUs and devices, of one moment.
//
// The format is QEMU's migration/savevm.c (sections) and migration/ram.c (pages); a snapshot's
// stream is that of an ordinary migration (v6.0, 8518278a6af5, bg_migration_thread). What belongs
// to a migration capability that a snapshot goes without (XBZRLE, compression, multifd ...), and
// whatever is not known, is Errc::unsupported.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/formats/byte_source.h"

namespace vmcore::formats {

// What follows RAM is held in memory: 14 KiB a CPU and some for the devices.
inline constexpr std::uint64_t kMaxDeviceState = 128U << 20;
// A PC has some ten.
inline constexpr std::size_t kMaxStreamBlocks = 4096;

// A block of RAM, of QEMU's and not of the guest's: where a guest sees it is not in the stream.
struct StreamBlock {
  std::string name;
  std::uint64_t size = 0;  // bytes, of whole pages
};

// What takes the pages. An error ends the reading.
class PageSink {
 public:
  virtual ~PageSink() = default;
  // All blocks. Once, before their pages.
  virtual Result<> blocks(std::span<const StreamBlock> blocks) = 0;
  // A page of that block, at `offset` of it. One that comes again replaces the first. `page` is
  // empty for zeros, and valid only now.
  virtual Result<> page(std::size_t block, std::uint64_t offset,
                        std::span<const std::byte> page) = 0;
  // All before that offset of the stream was read. Called now and then.
  virtual Result<> passed(std::uint64_t offset) = 0;
};

// Reads a whole stream; returns what follows RAM, as it is.
Result<std::vector<std::byte>> read_migration_stream(const ByteSource& source, PageSink& sink);

}  // namespace vmcore::formats
