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

struct Format {
  bool (*recognises)(std::span<const std::byte> start);
  Result<MemoryImage> (*open)(std::unique_ptr<ByteSource> source);
};

constexpr std::array kFormats{
    Format{is_elf, open_elf},
    Format{is_kdump, open_kdump},
};

// What is often given instead of a dump, by its first bytes.
struct Stranger {
  std::string_view start;
  std::string_view what;
};

constexpr std::array kStrangers{
    Stranger{"QEVM",
             "a QEMU migration stream, not a memory dump: take it with virsh dump --memory-only"},
    Stranger{"LibvirtQemudSave",
             "a libvirt save image, not a memory dump: take it with virsh dump --memory-only"},
    Stranger{"LibvirtQemudPart", "an unfinished libvirt save image, not a memory dump"},
    Stranger{"DISKDUMP", "a diskdump file of Linux 2.4; only kdump files are read"},
    Stranger{"\xf1vmcore\x1c",
             "what a guest's own capture kernel sends, not a dump yet: vmcorectl receive FILE"},
    Stranger{"EMiL", "a LiME memory image, which is not read"},
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

}  // namespace

Result<MemoryImage> open_dump(Fd file) {
  TRY_ASSIGN(std::unique_ptr<ByteSource> source, open_plain(std::move(file)));
  Start buffer;
  TRY_ASSIGN(std::span<const std::byte> start, read_start(*source, buffer));
  if (is_flattened(start)) {
    TRY_ASSIGN(source, open_flattened(std::move(source)));
    TRY_ASSIGN(start, read_start(*source, buffer));
  }
  for (const Format& format : kFormats) {
    if (format.recognises(start)) {
      return format.open(std::move(source));
    }
  }
  return not_recognised(start);
}

}  // namespace vmcore::formats
