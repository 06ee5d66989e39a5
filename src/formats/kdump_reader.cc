#include "src/formats/kdump_reader.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "src/formats/codec.h"
#include "src/formats/incomplete.h"
#include "src/formats/kdump_layout.h"
#include "src/formats/kdump_memory.h"
#include "src/formats/notes.h"
#include "src/formats/page.h"

namespace vmcore::formats {
namespace {

// The two headers, checked once: every field that is used later is in here.
struct Layout {
  KdumpHeader header;
  KdumpSubHeader sub;  // fields that the version does not have are 0
  std::uint64_t max_mapnr = 0;
  std::uint64_t bitmaps = 0;      // offset of the first one
  std::uint64_t bitmap_size = 0;  // of each, in bytes
  std::uint64_t descs() const { return bitmaps + 2 * bitmap_size; }
};

template <std::size_t size>
std::string text(const char (&field)[size]) {
  return {field, ::strnlen(field, size)};
}

Result<KdumpHeader> read_header(const ByteSource& source) {
  TRY_ASSIGN(const std::vector<std::byte> bytes,
             read_block(source, 0, sizeof(KdumpHeader), "kdump header"));
  const auto header = *load<KdumpHeader>(bytes, 0);
  if (header.version < 1 || header.version > kKdumpVersion) {
    return fail(Errc::unsupported, "kdump header: version {}, only 1 to {} are known",
                std::int32_t{header.version}, kKdumpVersion);
  }
  // QEMU leaves all but the machine empty, others may leave that empty, too.
  if (const std::string machine = text(header.machine); !machine.empty() && machine != "x86_64") {
    return fail(Errc::unsupported, "a kdump file of machine {}; only x86_64 is read", machine);
  }
  if (header.block_size != kPageSize) {
    return fail(Errc::unsupported, "kdump header: blocks of {} bytes; x86_64 has {}",
                std::uint32_t{header.block_size}, kPageSize);
  }
  return header;
}

// Only the bytes of the fields that this version has.
Result<KdumpSubHeader> read_sub_header(const ByteSource& source, std::int32_t version) {
  static constexpr std::size_t kSizes[] = {12, 32, 48, 64, 80, sizeof(KdumpSubHeader)};
  const std::size_t size = kSizes[version - 1];
  TRY_ASSIGN(const std::vector<std::byte> bytes,
             read_block(source, kPageSize, size, "kdump sub-header"));
  KdumpSubHeader sub;
  std::memcpy(&sub, bytes.data(), size);
  return sub;
}

Result<Layout> read_layout(const ByteSource& source) {
  Layout layout;
  TRY_ASSIGN(layout.header, read_header(source));
  TRY_ASSIGN(layout.sub, read_sub_header(source, layout.header.version));
  if (layout.sub.split != 0) {
    return fail(Errc::unsupported,
                "one part of a split dump (page frames {:#x} to {:#x}): join the parts with "
                "makedumpfile --reassemble",
                std::uint64_t{layout.sub.start_pfn}, std::uint64_t{layout.sub.end_pfn});
  }
  layout.max_mapnr = layout.header.version >= 6 ? std::uint64_t{layout.sub.max_mapnr_64}
                                                : std::uint64_t{layout.header.max_mapnr};
  if (layout.max_mapnr > kMaxPhysAddr / kPageSize) {
    return fail(Errc::malformed, "kdump header: {:#x} page frames, more than {:#x}",
                layout.max_mapnr, kMaxPhysAddr / kPageSize);
  }
  layout.bitmaps = (1 + std::uint64_t{layout.header.sub_header_blocks}) * kPageSize;
  layout.bitmap_size = std::uint64_t{layout.header.bitmap_blocks} / 2 * kPageSize;
  if (layout.header.bitmap_blocks % 2 != 0 || layout.bitmap_size * 8 < layout.max_mapnr) {
    return fail(Errc::malformed, "kdump header: two bitmaps in {} blocks cannot hold {:#x} pages",
                std::uint32_t{layout.header.bitmap_blocks}, layout.max_mapnr);
  }
  if (layout.descs() > source.size()) {
    return fail(Errc::truncated, "the file ends at {} bytes, inside its bitmaps (up to {:#x})",
                source.size(), layout.descs());
  }
  return layout;
}

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
};

// A page in the file is RAM, whatever the first bitmap says.
Result<Bitmaps> read_bitmaps(const ByteSource& source, const Layout& layout) {
  Bitmaps bitmaps;
  TRY(read_bitmap(source, layout.bitmaps, layout.max_mapnr,
                  [&](Pfn pfn, std::uint64_t word) { bitmaps.ram.insert_word(pfn, word); }));
  TRY(read_bitmap(source, layout.bitmaps + layout.bitmap_size, layout.max_mapnr,
                  [&](Pfn pfn, std::uint64_t word) {
                    bitmaps.ram.insert_word(pfn, word);
                    bitmaps.kept.insert_word(pfn, word);
                  }));
  return bitmaps;
}

// The notes, and VMCOREINFO from its own place where the notes have none.
Result<std::vector<Note>> read_notes(const ByteSource& source, const KdumpSubHeader& sub) {
  std::vector<Note> notes;
  if (sub.size_note > kMaxNotesSize) {
    return fail(Errc::limit, "kdump sub-header: notes of {} bytes, more than {}",
                std::uint64_t{sub.size_note}, kMaxNotesSize);
  }
  if (sub.size_note != 0) {
    TRY_ASSIGN(const std::vector<std::byte> block,
               read_block(source, sub.offset_note, sub.size_note, "notes"));
    TRY_ASSIGN(notes, parse_notes(block, sub.offset_note));
  }
  const bool have = std::ranges::any_of(
      notes, [](const Note& note) { return note.name == kNoteNameVmcoreinfo && note.type == 0; });
  if (have || sub.size_vmcoreinfo == 0) {
    return notes;
  }
  if (sub.size_vmcoreinfo > kMaxVmcoreinfoSize) {
    return fail(Errc::limit, "kdump sub-header: VMCOREINFO of {} bytes, more than {}",
                std::uint64_t{sub.size_vmcoreinfo}, kMaxVmcoreinfoSize);
  }
  Note note{std::string(kNoteNameVmcoreinfo), 0, {}};
  TRY_ASSIGN(note.desc,
             read_block(source, sub.offset_vmcoreinfo, sub.size_vmcoreinfo, "VMCOREINFO"));
  notes.push_back(std::move(note));
  return notes;
}

std::string format_name(const KdumpHeader& header, const ByteSource& source) {
  const auto codec = codec_from_flags(header.status & kKdumpCodecs);
  const std::string_view name = !codec                  ? "several codecs"
                                : *codec == Codec::none ? "uncompressed"
                                                        : codec_name(*codec);
  return fmt::format("kdump-compressed v{} ({}){}", std::int32_t{header.version}, name,
                     source.wrapping());
}

void set_facts(MemoryImage& image, const Layout& layout, const ByteSource& source) {
  image.machine.arch = Arch::x86_64;
  image.file.format = format_name(layout.header, source);
  image.file.dump_level = layout.sub.dump_level;
  if (const std::int64_t seconds = layout.header.seconds; seconds > 0) {
    image.file.crash_time = static_cast<std::uint64_t>(seconds);
  }
  tell_incomplete((layout.header.status & kKdumpIncomplete) != 0, source, image);
}

}  // namespace

bool is_kdump(std::span<const std::byte> start) {
  return start.size() >= kKdumpSignature.size() &&
         std::memcmp(start.data(), kKdumpSignature.data(), kKdumpSignature.size()) == 0;
}

Result<MemoryImage> open_kdump(std::unique_ptr<ByteSource> source) {
  TRY_ASSIGN(const Layout layout, read_layout(*source));
  MemoryImage image;
  TRY_ASSIGN(image.notes, read_notes(*source, layout.sub));
  TRY_ASSIGN(Bitmaps bitmaps, read_bitmaps(*source, layout));
  set_facts(image, layout, *source);
  image.cpus = read_cpus(image.notes, image.remarks);
  const std::uint64_t file_size = source->size();
  auto memory = std::make_unique<KdumpMemory>(std::move(source), std::move(bitmaps.ram),
                                              std::move(bitmaps.kept), layout.descs());
  TRY_ASSIGN(const std::uint64_t lost, memory->lost_pages());
  if (lost != 0) {
    image.file.incomplete = true;
    image.remarks.push_back(
        {Errc::truncated,
         fmt::format("the file ends at {} bytes; at least {} pages are lost", file_size, lost)});
  }
  image.memory = std::move(memory);
  return image;
}

}  // namespace vmcore::formats
