// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/dump_format.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "src/formats/byte_source.h"
#include "src/formats/elf/reader.h"
#include "src/formats/kdump/flattened.h"
#include "src/formats/kdump/reader.h"

namespace vmcore::formats {
namespace {

// A row has `open`, which makes an image of the file, or `unwrap`, which returns the dump file
// inside (the flattened format).
struct Reader {
  bool (*recognises)(std::span<const std::byte> start);
  Result<MemoryImage> (*open)(std::unique_ptr<ByteSource> source) = nullptr;
  Result<std::unique_ptr<ByteSource>> (*unwrap)(std::unique_ptr<ByteSource> source) = nullptr;
};

constexpr std::array kReaders{
    Reader{.recognises = is_elf, .open = open_elf},
    Reader{.recognises = is_kdump, .open = open_kdump},
    Reader{.recognises = is_flattened, .unwrap = open_flattened},
};

struct Writer {
  DumpFormat format;
  Result<std::unique_ptr<DumpWriter>> (*make)(int file, Codec codec,
                                              std::optional<int> compress_level);
};

constexpr std::array kWriters{
    Writer{DumpFormat::kdump, make_kdump_writer},
    Writer{DumpFormat::elf,
           [](int file, Codec, std::optional<int>) { return make_elf_writer(file); }},
};
static_assert(kWriters.size() == kFormatNames.size());

// What is often given instead of a dump, by its first bytes. QEMU's migration stream is among them
// although it has a reader (qemu/migration_stream.h): the stream alone does not tell the
// guest-physical addresses of its blocks.
struct Stranger {
  std::string_view start;
  std::string_view what;
};

constexpr std::array kStrangers{
    Stranger{"QEVM",
             "a QEMU migration stream, not a memory dump: make one with virsh dump --memory-only"},
    Stranger{"LibvirtQemudSave",
             "a libvirt save image, not a memory dump: make one with virsh dump --memory-only"},
    Stranger{"LibvirtQemudPart", "an unfinished libvirt save image, not a memory dump"},
    Stranger{"DISKDUMP", "a diskdump file of Linux 2.4, which is not supported"},
    Stranger{"\xf1vmcore\x1c",
             "a stream of a guest's own capture kernel, not a dump yet: convert it with vmcorectl "
             "receive FILE"},
    Stranger{"EMiL", "a LiME memory image, which is not supported"},
    Stranger{"QFI\xfb", "a qcow2 disk image, not a memory dump"},
    Stranger{"\x1f\x8b", "a gzip file: decompress it first"},
    Stranger{"\xfd\x37zXZ", "an xz file: decompress it first"},
    Stranger{"\x28\xb5\x2f\xfd", "a zstd file: decompress it first"},
    Stranger{"BZh", "a bzip2 file: decompress it first"},
};

bool starts_with(std::span<const std::byte> bytes, std::string_view start) {
  const auto expected = std::as_bytes(std::span(start.data(), start.size()));
  return bytes.size() >= start.size() && std::ranges::equal(bytes.first(start.size()), expected);
}

tl::unexpected<Error> not_recognised(std::span<const std::byte> start) {
  for (const Stranger& stranger : kStrangers) {
    if (starts_with(start, stranger.start)) {
      return fail(Errc::not_recognised, "{}", stranger.what);
    }
  }
  return fail(Errc::not_recognised, "{}",
              start.empty() ? "an empty file" : "not a memory dump of a known format");
}

// The longest signature is 16 bytes.
using Start = std::array<std::byte, 16>;

Result<std::span<const std::byte>> read_start(const ByteSource& source, Start& buffer) {
  TRY_ASSIGN(const std::size_t got, source.read(0, buffer));
  return std::span<const std::byte>(buffer).first(got);
}

// Null where none recognises it.
const Reader* reader_of(std::span<const std::byte> start) {
  const auto* const found = std::ranges::find_if(
      kReaders, [&](const Reader& reader) { return reader.recognises(start); });
  return found != kReaders.end() ? found : nullptr;
}

}  // namespace

Result<MemoryImage> open_dump(Fd file) {
  TRY_ASSIGN(std::unique_ptr<ByteSource> source, open_plain(std::move(file)));
  Start buffer;
  TRY_ASSIGN(std::span<const std::byte> start, read_start(*source, buffer));
  const Reader* reader = reader_of(start);
  if (reader != nullptr && reader->unwrap != nullptr) {
    TRY_ASSIGN(source, reader->unwrap(std::move(source)));
    TRY_ASSIGN(start, read_start(*source, buffer));
    reader = reader_of(start);
  }
  // No writer wraps a dump twice.
  return reader != nullptr && reader->open != nullptr ? reader->open(std::move(source))
                                                      : not_recognised(start);
}

Result<std::unique_ptr<DumpWriter>> make_writer(DumpFormat format, int file, Codec codec,
                                                std::optional<int> compress_level) {
  const auto* const row = std::ranges::find(kWriters, format, &Writer::format);
  return row->make(file, codec, compress_level);
}

}  // namespace vmcore::formats
