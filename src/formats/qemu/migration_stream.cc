// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/qemu/migration_stream.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "src/base/address.h"
#include "src/formats/qemu/migration_cursor.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

constexpr std::uint32_t kMagic = 0x5145564d;  // "QEVM"
constexpr std::uint32_t kVersion = 3;
constexpr std::uint32_t kRamVersion = 4;
constexpr std::uint32_t kMaxMachineName = 1024;

// Kinds of sections (QEMU migration/savevm.h).
enum Section : std::uint8_t {
  kEof = 0x00,
  kStart = 0x01,
  kPart = 0x02,
  kEnd = 0x03,
  kFull = 0x04,
  kConfiguration = 0x07,
  kFooter = 0x7e,
};

// The low bits of a page's address (QEMU migration/ram.c, RAM_SAVE_FLAG_*).
constexpr std::uint64_t kFill = 0x02;  // a page of one byte, which is zero
constexpr std::uint64_t kMemSize = 0x04;
constexpr std::uint64_t kPage = 0x08;
constexpr std::uint64_t kEndOfSection = 0x10;
constexpr std::uint64_t kContinue = 0x20;  // of the block that was named last
constexpr std::uint64_t kFlags = kPageSize - 1;

class StreamReader {
 public:
  StreamReader(const ByteSource& source, PageSink& sink)
      : source_(source), sink_(sink), in_(source, sink) {}

  Result<std::vector<std::byte>> read() {
    TRY(read_header());
    while (true) {
      TRY_ASSIGN(const auto kind, in_.peek());
      if (kind == kFull || kind == kEof) {
        return read_rest();
      }
      TRY(read_section());
    }
  }

 private:
  Result<> read_header();
  Result<> read_section();
  Result<> read_configuration();
  Result<> begin_ram();
  Result<> go_on_with_ram();
  Result<> read_pages();
  Result<> read_blocks(std::uint64_t total);
  Result<> read_page(std::uint64_t word);
  Result<> read_footer();
  Result<std::vector<std::byte>> read_rest();

  const ByteSource& source_;
  PageSink& sink_;
  MigrationCursor in_;
  std::optional<std::uint64_t> ram_;  // the number of RAM's section
  std::vector<StreamBlock> blocks_;
  std::map<std::string, std::size_t, std::less<>> numbers_;  // of the blocks
  std::optional<std::size_t> block_;                         // that was named last
};

Result<> StreamReader::read_header() {
  TRY_ASSIGN(const std::uint64_t magic, in_.number(4));
  if (magic != kMagic) {
    return fail(Errc::not_recognised, "not a migration stream of QEMU");
  }
  TRY_ASSIGN(const std::uint64_t version, in_.number(4));
  if (version != kVersion) {
    return fail(Errc::unsupported, "a migration stream of version {}; only version {} is supported",
                version, kVersion);
  }
  return {};
}

Result<> StreamReader::read_section() {
  const std::uint64_t where = in_.offset();
  TRY_ASSIGN(const std::uint64_t kind, in_.number(1));
  switch (kind) {
    case kConfiguration:
      return read_configuration();
    case kStart:
      return begin_ram();
    case kPart:
    case kEnd:
      return go_on_with_ram();
    default:
      return fail(Errc::unsupported,
                  "the migration stream has a section of unknown kind {:#04x} at {}", kind, where);
  }
}

// The machine's name. What may follow it belongs to capabilities, and is refused as a section.
Result<> StreamReader::read_configuration() {
  TRY_ASSIGN(const std::uint64_t size, in_.number(4));
  if (size > kMaxMachineName) {
    return fail(Errc::malformed, "the migration stream names a machine of {} bytes", size);
  }
  TRY(in_.take(size));
  return {};
}

Result<> StreamReader::begin_ram() {
  TRY_ASSIGN(const std::uint64_t number, in_.number(4));
  TRY_ASSIGN(const std::string name, in_.text());
  TRY(in_.number(4));  // the instance
  TRY_ASSIGN(const std::uint64_t version, in_.number(4));
  if (name != "ram" || version != kRamVersion || ram_) {
    return fail(Errc::unsupported,
                "the migration stream has an unknown section {} of version {} before the devices",
                name, version);
  }
  ram_ = number;
  return read_pages();
}

Result<> StreamReader::go_on_with_ram() {
  const std::uint64_t where = in_.offset();
  TRY_ASSIGN(const std::uint64_t number, in_.number(4));
  if (number != ram_) {
    return fail(Errc::malformed,
                "the migration stream continues section {} at {}, which did not begin", number,
                where);
  }
  return read_pages();
}

Result<> StreamReader::read_pages() {
  while (true) {
    const std::uint64_t where = in_.offset();
    TRY_ASSIGN(const std::uint64_t word, in_.number(8));
    switch (word & kFlags & ~kContinue) {
      case kMemSize:
        TRY(read_blocks(word & ~kFlags));
        break;
      case kFill:
      case kPage:
        TRY(read_page(word));
        break;
      case kEndOfSection:
        return read_footer();
      default:
        return fail(Errc::unsupported,
                    "the migration stream has a page with unknown flags {:#x} at {}", word & kFlags,
                    where);
    }
  }
}

Result<> StreamReader::read_blocks(std::uint64_t total) {
  if (!blocks_.empty()) {
    return fail(Errc::malformed, "the migration stream lists its blocks of RAM twice");
  }
  for (std::uint64_t sum = 0; sum < total;) {
    TRY_ASSIGN(std::string name, in_.text());
    TRY_ASSIGN(const std::uint64_t size, in_.number(8));
    if (size == 0 || size % kPageSize != 0 || size > total - sum || total > kMaxPhysAddr) {
      return fail(Errc::malformed,
                  "the migration stream has an implausible block of {} bytes of RAM, of {} in all",
                  size, total);
    }
    if (blocks_.size() == kMaxStreamBlocks) {
      return fail(Errc::limit, "the migration stream has more than {} blocks of RAM",
                  kMaxStreamBlocks);
    }
    if (!numbers_.emplace(name, blocks_.size()).second) {
      return fail(Errc::malformed, "the migration stream has two blocks of RAM with the name {}",
                  name);
    }
    blocks_.push_back({std::move(name), size});
    sum += size;
  }
  return sink_.blocks(blocks_);
}

Result<> StreamReader::read_page(std::uint64_t word) {
  const std::uint64_t where = in_.offset();
  if ((word & kContinue) == 0) {
    TRY_ASSIGN(const std::string name, in_.text());
    const auto found = numbers_.find(name);
    if (found == numbers_.end()) {
      return fail(Errc::malformed, "the migration stream has a page of the unknown block {} at {}",
                  name, where);
    }
    block_ = found->second;
  }
  const std::uint64_t offset = word & ~kFlags;
  if (!block_ || offset >= blocks_[*block_].size) {
    return fail(Errc::malformed, "the migration stream has a page outside of any block at {}",
                where);
  }
  if ((word & kPage) != 0) {
    TRY_ASSIGN(const auto page, in_.take(kPageSize));
    return sink_.page(*block_, offset, page);
  }
  TRY_ASSIGN(const std::uint64_t fill, in_.number(1));
  if (fill == 0) {
    return sink_.page(*block_, offset, {});
  }
  std::array<std::byte, kPageSize> page;
  page.fill(static_cast<std::byte>(fill));
  return sink_.page(*block_, offset, page);
}

// Machines may go without (QEMU's send-section-footer).
Result<> StreamReader::read_footer() {
  TRY_ASSIGN(const auto next, in_.peek());
  if (next != kFooter) {
    return {};
  }
  TRY(in_.number(1));
  TRY_ASSIGN(const std::uint64_t number, in_.number(4));
  if (number != ram_) {
    return fail(Errc::malformed, "the migration stream ends section {} instead of {}", number,
                *ram_);
  }
  return {};
}

Result<std::vector<std::byte>> StreamReader::read_rest() {
  if (blocks_.empty()) {
    return fail(Errc::malformed, "the migration stream has no RAM");
  }
  const std::uint64_t size = source_.size() - in_.offset();
  if (size > kMaxDeviceState) {
    return fail(Errc::limit, "the migration stream has an implausible {} bytes of devices", size);
  }
  return read_block(source_, in_.offset(), size, "the devices of the migration stream");
}

}  // namespace

Result<std::vector<std::byte>> read_migration_stream(const ByteSource& source, PageSink& sink) {
  return StreamReader(source, sink).read();
}

}  // namespace vmcore::formats
