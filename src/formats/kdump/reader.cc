// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/kdump/reader.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "src/formats/codec.h"
#include "src/formats/elf/notes.h"
#include "src/formats/incomplete.h"
#include "src/formats/kdump/headers.h"
#include "src/formats/kdump/layout.h"
#include "src/formats/kdump/memory.h"
#include "src/formats/kdump/table.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

// Calls visit(pfn, bits) for each 64 pages of the bitmap that are not a hole of the file.
template <class Visit>
Result<> read_bitmap(const ByteSource& source, std::uint64_t offset, std::uint64_t max_mapnr,
                     Visit visit) {
  std::vector<std::byte> buffer;
  const std::uint64_t size = ceil_div(max_mapnr, 8);
  for (std::uint64_t at = 0; at < size;) {
    if (const FileRun run = source.run(offset + at); run.hole && run.size >= 8) {
      at += run.size / 8 * 8;
      continue;
    }
    const std::uint64_t chunk = std::min<std::uint64_t>(1U << 20, size - at);
    TRY_ASSIGN(buffer, read_block(source, offset + at, chunk, "kdump bitmap"));
    buffer.resize(ceil_div(chunk, 8) * 8);
    for (std::uint64_t i = 0; i < chunk; i += 8) {
      const std::uint64_t first = (at + i) * 8;
      std::uint64_t word = *load<ul64>(buffer, i);
      if (max_mapnr - first < 64) {
        word &= (1ULL << (max_mapnr - first)) - 1;
      }
      visit(Pfn{first}, word);
    }
    at += chunk;
  }
  return {};
}

struct Bitmaps {
  PageSet ram;
  PageSet kept;
  std::uint64_t stray = 0;  // kept pages that the first bitmap does not call RAM
};

// A page in the file is RAM, whatever the first bitmap says.
Result<Bitmaps> read_bitmaps(const ByteSource& source, const KdumpReading& layout) {
  Bitmaps bitmaps;
  TRY(read_bitmap(source, layout.bitmaps, layout.max_mapnr,
                  [&](Pfn pfn, std::uint64_t word) { bitmaps.ram.insert_word(pfn, word); }));
  TRY(read_bitmap(source, layout.bitmaps + layout.bitmap_size, layout.max_mapnr,
                  [&](Pfn pfn, std::uint64_t word) {
                    const std::uint64_t stray = word & ~bitmaps.ram.word(pfn);
                    bitmaps.stray += static_cast<std::uint64_t>(std::popcount(stray));
                    bitmaps.ram.insert_word(pfn, word);
                    bitmaps.kept.insert_word(pfn, word);
                  }));
  return bitmaps;
}

// The file by one reading of its headers.
struct Contents {
  KdumpReading layout;
  Bitmaps bitmaps;
  KdumpTable table;
};

Result<Contents> read_contents(const ByteSource& source, const KdumpHeaders& headers,
                               const KdumpReading& layout) {
  Contents contents{layout, {}, {}};
  TRY_ASSIGN(contents.bitmaps, read_bitmaps(source, layout));
  TRY_ASSIGN(contents.table,
             read_table(source, headers.main, contents.bitmaps.kept, layout.descs()));
  return contents;
}

// By the first reading whose bitmap and descriptors agree, where there is one.
Result<Contents> find_contents(const ByteSource& source, const KdumpHeaders& headers) {
  TRY_ASSIGN(const std::vector<KdumpReading> readings, kdump_readings(headers, source.size()));
  TRY_ASSIGN(Contents first, read_contents(source, headers, readings.front()));
  for (std::size_t i = 1; i < readings.size() && !first.table.whole(); ++i) {
    auto other = read_contents(source, headers, readings[i]);
    if (other && other->table.whole()) {
      return *std::move(other);
    }
  }
  return first;
}

std::string name_of(const KdumpHeaders& headers, const ByteSource& source) {
  const auto codec = codec_from_flags(headers.main.status & kKdumpCodecs);
  const std::string_view name = !codec                  ? "several codecs"
                                : *codec == Codec::none ? "uncompressed"
                                                        : codec_name(*codec);
  return fmt::format("kdump-compressed v{} ({}){}", headers.version, name, source.wrapping());
}

void set_facts(MemoryImage& image, const KdumpHeaders& headers, const ByteSource& source) {
  image.machine.arch = headers.arch;
  image.file.format = name_of(headers, source);
  image.file.dump_level = headers.sub.dump_level;
  if (const std::int64_t seconds = headers.main.seconds; seconds > 0) {
    image.file.crash_time = static_cast<std::uint64_t>(seconds);
  }
  tell_incomplete((headers.main.status & kKdumpIncomplete) != 0, source, image);
}

std::string lost_text(const KdumpTable& table, std::uint64_t kept, std::uint64_t file_size) {
  const std::uint64_t lost = table.lost.count();
  std::string text = fmt::format("{} of {} pages are lost", lost, kept);
  if (table.cut_off != 0) {
    text += fmt::format("; the file ends at {} bytes, before {} of them", file_size, table.cut_off);
  }
  if (table.missing != 0) {
    text += fmt::format("; {} were never written: was the dump cut off or its writer killed?",
                        table.missing);
  }
  if (const std::uint64_t others = lost - table.cut_off - table.missing; others != 0) {
    text += fmt::format("; {} have an invalid descriptor", others);
  }
  return text;
}

void tell_contents(const Contents& contents, std::uint64_t file_size, MemoryImage& image) {
  const KdumpTable& table = contents.table;
  const auto remark = [&](Errc code, std::string text) {
    image.remarks.push_back({code, std::move(text)});
  };
  if (!contents.layout.doubted.empty()) {
    remark(Errc::malformed,
           fmt::format("kdump header: {} contradicts the rest of the file, and is ignored",
                       contents.layout.doubted));
  }
  if (contents.bitmaps.stray != 0) {
    remark(Errc::malformed,
           fmt::format("the first bitmap does not mark {} pages as RAM that are in the file",
                       contents.bitmaps.stray));
  }
  if (table.lost.count() != 0) {
    remark(Errc::truncated, lost_text(table, contents.bitmaps.kept.count(), file_size));
  }
  if (!table.shortfall.empty()) {
    remark(Errc::truncated,
           fmt::format("{}: the file was not written completely", table.shortfall));
  }
  if (!table.doubt.empty()) {
    remark(
        Errc::malformed,
        fmt::format("{}: pages may have the contents of their neighbours, so no page is left out",
                    table.doubt));
  }
  image.file.doubted = !table.doubt.empty();
  image.file.incomplete = image.file.incomplete || !table.whole();
}

}  // namespace

bool is_kdump(std::span<const std::byte> start) {
  return start.size() >= kKdumpSignature.size() &&
         std::memcmp(start.data(), kKdumpSignature.data(), kKdumpSignature.size()) == 0;
}

Result<MemoryImage> open_kdump(std::unique_ptr<ByteSource> source) {
  MemoryImage image;
  TRY_ASSIGN(KdumpHeaders headers, read_kdump_headers(*source, image.remarks));
  TRY_ASSIGN(Contents contents, find_contents(*source, headers));
  image.notes = std::move(headers.notes);
  set_facts(image, headers, *source);
  image.cpus = read_cpus(image.notes, image.remarks);
  tell_contents(contents, source->size(), image);
  Bitmaps& bitmaps = contents.bitmaps;
  image.memory = std::make_unique<KdumpMemory>(
      std::move(source), std::move(bitmaps.ram), std::move(bitmaps.kept),
      std::move(contents.table.lost), contents.layout.descs());
  return image;
}

}  // namespace vmcore::formats
