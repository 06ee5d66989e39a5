// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/process_input.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "src/base/range_set.h"
#include "src/base/sys.h"
#include "src/formats/dump_format.h"
#include "src/formats/elf/reader.h"
#include "src/sources/process_memory.h"

namespace vmcore::worker {
namespace {

using formats::ElfBlock;
using sandbox::Channel;

// Below it lie ROM and RAM in places that only QEMU knows.
constexpr std::uint64_t kFirstMiB = 1U << 20;
// 4096 vCPUs have 3 MiB of notes, and the largest VMCOREINFO that QEMU accepts 1 MiB.
constexpr std::uint64_t kMostHeaders = 16U << 20;

// What of a dump was read from its pipe so far.
class Beginning {
 public:
  static Result<Beginning> open(int pipe) {
    TRY_ASSIGN(Fd file, make_memory_file("beginning"));
    return Beginning(pipe, std::move(file));
  }

  // Reads as far as headers and notes go.
  Result<> read_headers();
  // Reads as far as that offset of the dump.
  Result<> read_to(std::uint64_t offset);

  int file() const { return file_.get(); }
  std::uint64_t length() const { return length_; }

 private:
  Beginning(int pipe, Fd file) : pipe_(pipe), file_(std::move(file)) {}
  Result<> read_portion();

  static constexpr std::size_t kPortion = 64 << 10;

  int pipe_;
  Fd file_;
  std::uint64_t length_ = 0;
  std::vector<std::byte> portion_ = std::vector<std::byte>(kPortion);
};

Result<> Beginning::read_portion() {
  TRY_ASSIGN(const std::size_t got, sys::read_full(pipe_, portion_));
  if (got == 0) {
    return fail(Errc::truncated, "QEMU's dump ended after {} bytes, inside its headers", length_);
  }
  TRY(sys::pwrite_full(file_.get(), std::span(portion_).first(got), length_));
  length_ += got;
  return {};
}

Result<> Beginning::read_headers() {
  while (length_ < kMostHeaders) {
    TRY(read_portion());
    TRY_ASSIGN(Fd again, duplicate(file_.get()));
    const auto image = open_headers(std::move(again));
    if (image) {
      return {};
    }
    if (image.error().code != Errc::truncated) {
      return tl::unexpected(image.error());
    }
  }
  return fail(Errc::limit, "QEMU's dump has more than {} MiB of headers", kMostHeaders >> 20);
}

Result<> Beginning::read_to(std::uint64_t offset) {
  if (offset > kMostHeaders + kFirstMiB) {
    return fail(Errc::unsupported, "QEMU's dump does not begin with the guest's first MiB");
  }
  while (length_ < offset) {
    TRY(read_portion());
  }
  return {};
}

// Asks the program that started us where the blocks of RAM lie.
Result<ImageSource> locate(const Channel& channel, const std::vector<ElfBlock>& blocks) {
  if (blocks.size() > sandbox::kMaxPieces) {
    return fail(Errc::unsupported,
                "the guest's memory is in {} blocks, which is too many for method direct: give "
                "another --method",
                blocks.size());
  }
  sandbox::Locate question;
  for (const ElfBlock& block : blocks) {
    question.blocks.push_back(block.memory);
  }
  TRY(channel.send(encode(sandbox::Event(std::move(question)))));
  TRY_ASSIGN(sandbox::Packet packet, channel.receive());
  TRY_ASSIGN(sandbox::Located located, sandbox::decode_located(packet.text));
  if (located.error) {
    return tl::unexpected(*std::move(located.error));
  }
  if (packet.fds.empty()) {
    return fail(Errc::malformed, "worker protocol: a place without descriptors");
  }
  return ImageSource{.memory = {},
                     .pagemap = std::move(packet.fds[0]),
                     .files = {std::make_move_iterator(packet.fds.begin() + 1),
                               std::make_move_iterator(packet.fds.end())},
                     .pieces = std::move(located.pieces),
                     .cpus = std::move(located.cpus)};
}

// The parts of the block that none of the pieces has.
std::vector<PhysRange> gaps(const PhysRange& block, const std::vector<Piece>& pieces) {
  std::vector<PhysRange> found;
  PhysAddr at = block.begin;
  for (const Piece& piece : pieces) {
    if (piece.range.end() <= at || piece.range.begin >= block.end()) {
      continue;
    }
    if (piece.range.begin > at) {
      found.push_back({at, piece.range.begin - at});
    }
    at = piece.range.end();
  }
  if (at < block.end()) {
    found.push_back({at, block.end() - at});
  }
  return found;
}

// Takes what is missing of the first MiB from the dump's beginning; the ranges that stay missing.
Result<RangeSet> fill_gaps(const std::vector<ElfBlock>& blocks, Beginning& beginning,
                           ImageSource& source) {
  RangeSet missing;
  std::vector<Piece> more;
  for (const ElfBlock& block : blocks) {
    for (const PhysRange& gap : gaps(block.memory, source.pieces)) {
      if (gap.end().value > kFirstMiB) {
        missing.add(gap);
        continue;
      }
      const std::uint64_t offset = block.offset + (gap.begin - block.memory.begin);
      TRY(beginning.read_to(offset + gap.size));
      more.push_back({.range = gap,
                      .address = {},
                      .file = FilePlace{static_cast<unsigned>(source.files.size()), offset}});
    }
  }
  if (!more.empty()) {
    TRY_ASSIGN(Fd file, duplicate(beginning.file()));
    source.files.push_back(std::move(file));
    source.pieces.insert(source.pieces.end(), more.begin(), more.end());
    std::ranges::sort(source.pieces, {}, [](const Piece& piece) { return piece.range.begin; });
  }
  return missing;
}

// Compares what the dump begins with and what was found: the guest stands still.
Result<> check_same(const PhysicalMemory& memory, const std::vector<ElfBlock>& blocks,
                    const Beginning& beginning) {
  for (const ElfBlock& block : blocks) {
    if (block.offset >= beginning.length() ||
        memory.presence(block.memory.begin) == Presence::absent) {
      continue;
    }
    const std::uint64_t size =
        std::min({block.memory.size, beginning.length() - block.offset, kFirstMiB});
    std::vector<std::byte> dumped(size);
    std::vector<std::byte> found(size);
    TRY(sys::pread_full(beginning.file(), dumped, block.offset));
    TRY_ASSIGN(const ReadExtent got, memory.read(block.memory.begin, found));
    // Of the first MiB some may not have been found; a page that is poisoned fails here.
    const std::size_t whole =
        memory.presence(block.memory.begin + (size - 1)) == Presence::absent ? got.good : size;
    if (got.good == 0 || got.good < whole ||
        std::memcmp(dumped.data(), found.data(), got.good) != 0) {
      return fail(Errc::unsupported,
                  "the memory that was found at {:#x} is not the guest's: give another --method",
                  block.memory.begin.value);
    }
  }
  return {};
}

Result<std::unique_ptr<PhysicalMemory>> memory_of(ImageSource source, bool torn,
                                                  const Reach& reach) {
  const auto guest = torn ? sources::GuestIs::running : sources::GuestIs::still;
  return sources::ProcessMemory::make(std::move(source), *reach.reader, guest, reach.copier);
}

Remark not_located(const RangeSet& missing) {
  std::string list;
  for (const PhysRange& range : missing.ranges()) {
    list += fmt::format("{}{:#x}-{:#x}", list.empty() ? "" : ", ", range.begin.value,
                        range.end().value - 1);
  }
  return {Errc::not_found,
          "memory of devices or firmware was not found in QEMU and is left out: " + list,
          Severity::fact};
}

Remark torn_remark() {
  return {Errc::guest_state,
          "torn: the guest ran while its memory was read, so this shows no single moment",
          Severity::fact};
}

Remark not_checked() {
  return {Errc::guest_state,
          "the kernel was not checked against the vCPUs, whose registers cannot be read without a "
          "pause: the result may be from an earlier boot (--pause checks it)"};
}

}  // namespace

Result<Input> open_process(const Channel& channel, const sandbox::Ready& ready, bool torn,
                           const Reach& reach) {
  TRY_ASSIGN(Fd pipe, ask(channel, ready));
  TRY_ASSIGN(Beginning beginning, Beginning::open(pipe.get()));
  TRY(beginning.read_headers());
  TRY_ASSIGN(Fd headers, duplicate(beginning.file()));
  TRY_ASSIGN(const auto file, formats::open_plain(std::move(headers)));
  TRY_ASSIGN(const std::vector<ElfBlock> blocks, formats::read_elf_blocks(*file));
  TRY_ASSIGN(ImageSource source, locate(channel, blocks));
  TRY_ASSIGN(const RangeSet missing, fill_gaps(blocks, beginning, source));

  Input input;
  TRY_ASSIGN(headers, duplicate(beginning.file()));
  TRY_ASSIGN(input.image, open_headers(std::move(headers)));
  TRY_ASSIGN(input.image.memory, memory_of(std::move(source), torn, reach));
  TRY(check_same(*input.image.memory, blocks, beginning));
  if (!missing.empty()) {
    input.image.remarks.push_back(not_located(missing));
  }
  input.held = std::move(pipe);
  if (torn) {
    input.image.remarks.push_back(torn_remark());
    input.let_go(channel);
  }
  return input;
}

Result<Input> open_live(const Channel& channel, bool torn, const Reach& reach) {
  TRY_ASSIGN(ImageSource source, locate(channel, {}));
  Input input;
  input.image.cpus = std::move(source.cpus);
  if (input.image.cpus.empty()) {
    input.image.remarks.push_back(not_checked());
  }
  TRY_ASSIGN(input.image.memory, memory_of(std::move(source), torn, reach));
  input.image.machine.arch = kHostArch;
  input.image.file.format = "memory of a guest";
  if (torn) {
    input.image.remarks.push_back(torn_remark());
  }
  return input;
}

}  // namespace vmcore::worker
