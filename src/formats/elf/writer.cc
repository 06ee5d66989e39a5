// SPDX-License-Identifier: GPL-2.0-or-later
#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "src/base/all_zero.h"
#include "src/base/elf_core.h"
#include "src/base/little_endian.h"
#include "src/base/range_set.h"
#include "src/base/sys.h"
#include "src/formats/dump_writer.h"
#include "src/formats/elf/notes.h"
#include "src/formats/elf/reader.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

// Above this many segments, readers that search them one by one get slow.
constexpr std::uint64_t kManySegments = 10'000;

// One PT_LOAD of kept pages.
struct Load {
  PfnRange pages;
  std::uint64_t virtual_begin = 0;
};

// A segment of the header, widened to whole pages.
struct PageSegment {
  PfnRange pages;
  std::uint64_t virtual_begin = 0;
};

PageSegment whole_pages(const VirtSegment& segment) {
  const std::uint64_t begin = page_floor(segment.physical.begin.value);
  const std::uint64_t end = page_ceil(segment.physical.end().value);
  const std::uint64_t before = segment.physical.begin.value - begin;
  return {{{begin / kPageSize}, (end - begin) / kPageSize}, segment.virtual_begin.value - before};
}

// The page frames below `end` that are in no segment.
std::vector<PfnRange> gaps_between(const std::vector<PageSegment>& segments, Pfn end) {
  RangeSet covered;
  for (const PageSegment& segment : segments) {
    covered.add({address_of(segment.pages.first), segment.pages.count * kPageSize});
  }
  std::vector<PfnRange> gaps;
  Pfn from{0};
  for (const PhysRange& range : covered.ranges()) {
    const Pfn first = pfn_of(range.begin);
    if (first >= end) {
      break;
    }
    gaps.push_back({from, first - from});
    from = pfn_of(range.end());
  }
  if (from < end) {
    gaps.push_back({from, end - from});
  }
  return gaps;
}

// Calls visit(run) for each run of kept pages in the range; visit returns a Result.
template <class Visit>
Result<> for_each_run(const PageSet& kept, PfnRange range, Visit visit) {
  for (PfnRange run = kept.next_run(range.first, range.end()); run.count != 0;
       run = kept.next_run(run.end(), range.end())) {
    TRY(visit(run));
  }
  return {};
}

// Writes structures one behind the other, in large blocks.
class BlockWriter {
 public:
  BlockWriter(int file, std::uint64_t offset) : file_(file), offset_(offset) {}
  Result<> append(std::span<const std::byte> bytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return buffer_.size() < (1U << 20) ? Result<>{} : flush();
  }
  Result<> flush() {
    TRY(sys::pwrite_full(file_, buffer_, offset_));
    offset_ += buffer_.size();
    buffer_.clear();
    return {};
  }

 private:
  int file_;
  std::uint64_t offset_;
  std::vector<std::byte> buffer_;
};

class ElfEncoder final : public ShardEncoder {
 public:
  ElfEncoder(int file, std::uint64_t data, const PageSet& kept)
      : file_(file), data_(data), kept_(kept) {}

  Result<> write(std::span<const PageRun> runs) override {
    for (const PageRun& run : runs) {
      TRY_ASSIGN(const std::uint64_t rank, rank_of_run(kept_, run));
      TRY(write_run(run.bytes, data_ + rank * kPageSize));
    }
    return {};
  }

 private:
  // Pages of zeros are left out: holes of the file.
  Result<> write_run(std::span<const std::byte> bytes, std::uint64_t offset) const {
    const auto is_zero = [&](std::size_t at) { return all_zero(bytes.subspan(at, kPageSize)); };
    std::size_t at = 0;
    while (at < bytes.size()) {
      if (is_zero(at)) {
        at += kPageSize;
        continue;
      }
      std::size_t end = at + kPageSize;
      while (end < bytes.size() && !is_zero(end)) {
        end += kPageSize;
      }
      TRY(sys::pwrite_full(file_, bytes.subspan(at, end - at), offset + at));
      at = end;
    }
    return {};
  }

  int file_;
  std::uint64_t data_;
  const PageSet& kept_;
};

class ElfWriter final : public DumpWriter {
 public:
  explicit ElfWriter(int file) : file_(file) {}

  Result<> begin(const DumpHeader& header) override {
    if (header.machine.arch == Arch::unknown || header.machine.page_size != kPageSize) {
      return fail(Errc::unsupported, "ELF dumps can be written only for x86-64 guests");
    }
    for (const VirtSegment& segment : header.segments) {
      if (segment.physical.begin.value > kMaxPhysAddr ||
          segment.physical.size > kMaxPhysAddr - segment.physical.begin.value) {
        return fail(Errc::invalid, "a virtual segment of {:#x} bytes at {:#x} is beyond {:#x}",
                    segment.physical.size, segment.physical.begin.value, kMaxPhysAddr);
      }
      segments_.push_back(whole_pages(segment));
    }
    machine_ = header.machine;
    notes_ = header.notes;
    notes_size_ = serialise_notes(notes_).bytes.size();
    if (notes_size_ > kMaxNotesSize) {
      return fail(Errc::limit, "notes of {} bytes, more than {}", notes_size_, kMaxNotesSize);
    }
    return {};
  }

  Result<> plan(const PageSet&, const PageSet& kept) override {
    if (kept_ != nullptr) {
      return fail(Errc::unsupported,
                  "an ELF dump cannot be planned in windows, because its program headers name all "
                  "kept pages: use --format kdump");
    }
    kept_ = &kept;
    loads_ = 0;
    TRY(for_each_load([&](const Load&) -> Result<> {
      ++loads_;
      return {};
    }));
    const std::uint64_t count = loads_ + 1;
    if (count > kMaxProgramHeaders) {
      return fail(
          Errc::limit,
          "an ELF dump of these pages needs {} program headers, more than {}: use --format kdump",
          count, kMaxProgramHeaders);
    }
    const bool extended = count >= PN_XNUM;
    const std::uint64_t headers_end = sizeof(Elf64_Ehdr) + count * sizeof(Elf64_Phdr);
    notes_at_ = headers_end + (extended ? sizeof(Elf64_Shdr) : 0);
    data_ = page_ceil(notes_at_ + notes_size_);

    TRY(write_header(count, extended ? headers_end : 0));
    TRY(write_program_headers());
    TRY(write_notes());
    return sys::truncate(file_, data_ + kept.count() * kPageSize);
  }

  Result<std::unique_ptr<ShardEncoder>> encoder() override {
    return std::make_unique<ElfEncoder>(file_, data_, *kept_);
  }

  Result<> finish(bool incomplete) override {
    if (incomplete) {
      return {};
    }
    return sys::pwrite_full(file_, as_bytes(Elf64_Word{0}), offsetof(Elf64_Ehdr, e_flags));
  }

  Result<> replace_note(const Note& note) override {
    TRY(formats::replace_note(notes_, note));
    return write_notes();
  }

  std::vector<Remark> remarks() const override {
    if (loads_ <= kManySegments) {
      return {};
    }
    return {{Errc::limit,
             fmt::format("the ELF file has {} segments; some readers open it slowly", loads_),
             Severity::fact}};
  }

 private:
  // First the pages of each segment in turn, then those that are in no segment.
  template <class Visit>
  Result<> for_each_load(Visit visit) const {
    for (const PageSegment& segment : segments_) {
      TRY(for_each_run(*kept_, segment.pages, [&](PfnRange run) {
        const std::uint64_t ahead = (run.first - segment.pages.first) * kPageSize;
        return visit(Load{run, segment.virtual_begin + ahead});
      }));
    }
    for (const PfnRange& gap : gaps_between(segments_, kept_->end())) {
      TRY(for_each_run(*kept_, gap, [&](PfnRange run) { return visit(Load{run, 0}); }));
    }
    return {};
  }

  // Marked as incomplete until finish().
  Result<> write_header(std::uint64_t count, std::uint64_t section_at) const {
    Elf64_Ehdr header =
        elf_core_header(names_of(machine_.arch).elf_machine,
                        static_cast<Elf64_Half>(std::min<std::uint64_t>(count, PN_XNUM)));
    header.e_flags = kElfIncomplete;
    if (section_at != 0) {
      header.e_shoff = section_at;
      header.e_shentsize = sizeof(Elf64_Shdr);
      header.e_shnum = 1;
      Elf64_Shdr section{};
      section.sh_size = header.e_shnum;
      section.sh_info = static_cast<Elf64_Word>(count);
      TRY(sys::pwrite_full(file_, as_bytes(section), section_at));
    }
    return sys::pwrite_full(file_, as_bytes(header), 0);
  }

  Result<> write_notes() const {
    return sys::pwrite_full(file_, serialise_notes(notes_).bytes, notes_at_);
  }

  Result<> write_program_headers() const {
    BlockWriter out(file_, sizeof(Elf64_Ehdr));
    Elf64_Phdr note{};
    note.p_type = PT_NOTE;
    note.p_offset = notes_at_;
    note.p_filesz = notes_size_;
    note.p_memsz = note.p_filesz;
    TRY(out.append(as_bytes(note)));
    TRY(for_each_load([&](const Load& load) {
      Elf64_Phdr header{};
      header.p_type = PT_LOAD;
      header.p_flags = PF_R | PF_W | PF_X;
      header.p_offset = data_ + kept_->rank(load.pages.first) * kPageSize;
      header.p_vaddr = load.virtual_begin;
      header.p_paddr = address_of(load.pages.first).value;
      header.p_filesz = load.pages.count * kPageSize;
      header.p_memsz = header.p_filesz;
      return out.append(as_bytes(header));
    }));
    return out.flush();
  }

  int file_;
  Machine machine_;
  std::vector<PageSegment> segments_;
  std::vector<Note> notes_;
  std::uint64_t notes_size_ = 0;  // bytes in the file
  std::uint64_t notes_at_ = 0;
  const PageSet* kept_ = nullptr;
  std::uint64_t data_ = 0;   // where the data begin
  std::uint64_t loads_ = 0;  // PT_LOADs
};

}  // namespace

Result<std::unique_ptr<DumpWriter>> make_elf_writer(int file) {
  return std::make_unique<ElfWriter>(file);
}

}  // namespace vmcore::formats
