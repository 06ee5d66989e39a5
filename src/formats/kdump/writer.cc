// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/all_zero.h"
#include "src/base/sys.h"
#include "src/formats/dump_writer.h"
#include "src/formats/elf/notes.h"
#include "src/formats/kdump/layout.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

// Compressed pages are collected up to this much before they are written.
constexpr std::size_t kFlushSize = 1U << 20;

ul32 cut_to_32(std::uint64_t value) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

template <std::size_t size>
void set_text(char (&field)[size], std::string_view text) {
  std::memcpy(field, text.data(), std::min(size - 1, text.size()));
}

// libkdumpfile takes a utsname with an empty release or version for none, and then refuses the
// file.
std::string_view or_unknown(std::string_view text) { return text.empty() ? "unknown" : text; }

// The notes follow the sub-header.
constexpr std::uint64_t kNotesOffset = kPageSize + sizeof(KdumpSubHeader);

// Where everything lies in the file, and the window that is written.
struct Layout {
  std::uint64_t bitmaps = 0;
  std::uint64_t bitmap_size = 0;  // bytes, of each of the two
  std::uint64_t descs = 0;        // of the kept pages, by rank
  std::uint64_t zero_page = 0;    // the data of all pages of zeros
  std::uint64_t kept_before = 0;  // pages of the windows before this one
  const PageSet* kept = nullptr;  // of the window

  Result<std::uint64_t> rank(const PageRun& run) const {
    TRY_ASSIGN(const std::uint64_t in_window, rank_of_run(*kept, run));
    return kept_before + in_window;
  }
};

class KdumpEncoder final : public ShardEncoder {
 public:
  KdumpEncoder(int file, Codec codec, std::unique_ptr<PageCompressor> compressor,
               const Layout& layout, std::atomic<std::uint64_t>& next_data)
      : file_(file),
        codec_(codec),
        compressor_(std::move(compressor)),
        layout_(layout),
        next_data_(next_data),
        data_(kFlushSize + compress_room(kPageSize)) {}

  Result<> write(std::span<const PageRun> runs) override {
    for (const PageRun& run : runs) {
      const std::uint64_t count = run.bytes.size() / kPageSize;
      TRY_ASSIGN(const std::uint64_t rank, layout_.rank(run));
      if (rank != first_rank_ + descs_.size()) {
        TRY(flush());
        first_rank_ = rank;
      }
      for (std::uint64_t i = 0; i < count; ++i) {
        add(run.bytes.subspan(i * kPageSize, kPageSize));
        if (used_ >= kFlushSize) {
          TRY(flush());
        }
      }
    }
    return flush();
  }

 private:
  // Until flush(), the offset of a descriptor counts from the start of data_.
  void add(std::span<const std::byte> page) {
    PageDesc desc;
    if (all_zero(page)) {
      desc.offset = layout_.zero_page;
      desc.size = kPageSize;
      descs_.push_back(desc);
      return;
    }
    const auto room = std::span(data_).subspan(used_);
    std::size_t size = compressor_ ? compressor_->compress(page, room) : 0;
    if (size == 0) {
      std::memcpy(room.data(), page.data(), page.size());
      size = kPageSize;
    } else {
      desc.flags = codec_flag(codec_);
    }
    desc.offset = used_;
    desc.size = static_cast<std::uint32_t>(size);
    used_ += size;
    unplaced_.push_back(descs_.size());
    descs_.push_back(desc);
  }

  Result<> flush() {
    if (descs_.empty()) {
      return {};
    }
    const std::uint64_t place = next_data_.fetch_add(used_, std::memory_order_relaxed);
    for (const std::size_t index : unplaced_) {
      descs_[index].offset = descs_[index].offset + place;
    }
    TRY(sys::pwrite_full(file_, std::span(data_).first(used_), place));
    TRY(sys::pwrite_full(file_, std::as_bytes(std::span(descs_)),
                         layout_.descs + first_rank_ * sizeof(PageDesc)));
    first_rank_ += descs_.size();
    used_ = 0;
    descs_.clear();
    unplaced_.clear();
    return {};
  }

  int file_;
  Codec codec_;
  std::unique_ptr<PageCompressor> compressor_;  // null: pages are stored as they are
  const Layout& layout_;
  std::atomic<std::uint64_t>& next_data_;

  std::vector<std::byte> data_;  // never resized: that would fill it with zeros page by page
  std::size_t used_ = 0;
  std::vector<PageDesc> descs_;        // from first_rank_ on
  std::vector<std::size_t> unplaced_;  // those of descs_ whose data are in data_
  std::uint64_t first_rank_ = 0;
};

class KdumpWriter final : public DumpWriter {
 public:
  KdumpWriter(int file, Codec codec, std::optional<int> level)
      : file_(file), codec_(codec), level_(level) {}

  Result<> begin(const DumpHeader& header) override {
    if (header.machine.arch == Arch::unknown || header.machine.page_size != kPageSize) {
      return fail(Errc::unsupported, "kdump files can be written only for x86-64 guests");
    }
    header_ = header;
    const NotesBlock notes = serialise_notes(header_.notes);
    if (notes.bytes.size() > kMaxNotesSize) {
      return fail(Errc::limit, "notes of {} bytes, more than {}", notes.bytes.size(),
                  kMaxNotesSize);
    }
    const KdumpHeader main = make_header(notes);
    layout_.bitmaps = (1 + std::uint64_t{main.sub_header_blocks}) * kPageSize;
    layout_.bitmap_size = std::uint64_t{main.bitmap_blocks} / 2 * kPageSize;
    layout_.descs = layout_.bitmaps + 2 * layout_.bitmap_size;
    layout_.zero_page = page_ceil(layout_.descs + header_.kept_pages * sizeof(PageDesc));
    next_data_ = layout_.zero_page + kPageSize;
    status_ = main.status & ~kKdumpIncomplete;

    TRY(sys::pwrite_full(file_, as_bytes(main), 0));
    TRY(sys::pwrite_full(file_, as_bytes(make_sub_header(notes)), kPageSize));
    TRY(sys::pwrite_full(file_, notes.bytes, kNotesOffset));
    // The bitmaps and what is planned of the descriptors are holes until they are written.
    const std::vector<std::byte> zero_page(kPageSize);
    return sys::pwrite_full(file_, zero_page, layout_.zero_page);
  }

  Result<> plan(const PageSet& ram, const PageSet& kept) override {
    layout_.kept_before = planned_;
    layout_.kept = &kept;
    planned_ += kept.count();
    if (planned_ > header_.kept_pages || std::max(ram.end(), kept.end()) > header_.ram_end) {
      return fail(
          Errc::invalid,
          "{} pages up to page frame {:#x} are planned, but the header announced {} up to {:#x}",
          planned_, std::max(ram.end(), kept.end()).value, header_.kept_pages,
          header_.ram_end.value);
    }
    TRY(write_bitmap(ram, layout_.bitmaps));
    return write_bitmap(kept, layout_.bitmaps + layout_.bitmap_size);
  }

  Result<std::unique_ptr<ShardEncoder>> encoder() override {
    std::unique_ptr<PageCompressor> compressor;
    if (codec_ != Codec::none) {
      TRY_ASSIGN(compressor, make_compressor(codec_, level_));
    }
    return std::make_unique<KdumpEncoder>(file_, codec_, std::move(compressor), layout_,
                                          next_data_);
  }

  Result<> finish(bool incomplete) override {
    if (incomplete) {
      return {};
    }
    return sys::pwrite_full(file_, as_bytes(status_), offsetof(KdumpHeader, status));
  }

  Result<> replace_note(const Note& note) override {
    TRY(formats::replace_note(header_.notes, note));
    return sys::pwrite_full(file_, serialise_notes(header_.notes).bytes, kNotesOffset);
  }

 private:
  KdumpHeader make_header(const NotesBlock& notes) const {
    KdumpHeader header{};
    std::ranges::copy(kKdumpSignature, header.signature);
    header.version = kKdumpVersion;
    set_text(header.sysname, "Linux");
    set_text(header.nodename, header_.node_name);
    set_text(header.release, or_unknown(header_.release));
    set_text(header.version_text, or_unknown(header_.version));
    set_text(header.machine, names_of(header_.machine.arch).name);
    header.seconds = static_cast<std::int64_t>(header_.crash_time.value_or(0));
    header.status = codec_flag(codec_) | kKdumpIncomplete;
    header.block_size = kPageSize;
    header.sub_header_blocks = static_cast<std::uint32_t>(
        ceil_div(sizeof(KdumpSubHeader) + notes.bytes.size(), kPageSize));
    header.bitmap_blocks =
        static_cast<std::uint32_t>(2 * ceil_div(ceil_div(header_.ram_end.value, 8), kPageSize));
    header.max_mapnr = cut_to_32(header_.ram_end.value);
    header.total_ram_blocks = cut_to_32(header_.ram_pages);
    header.written_blocks = cut_to_32(header_.kept_pages);
    header.nr_cpus = header_.cpu_count;
    return header;
  }

  // VMCOREINFO is found inside the notes, as makedumpfile has it.
  KdumpSubHeader make_sub_header(const NotesBlock& notes) const {
    KdumpSubHeader sub{};
    sub.phys_base = header_.phys_base;
    sub.dump_level = header_.level;
    sub.offset_note = kNotesOffset;
    sub.size_note = notes.bytes.size();
    if (notes.vmcoreinfo_size != 0) {
      sub.offset_vmcoreinfo = sub.offset_note + notes.vmcoreinfo_offset;
      sub.size_vmcoreinfo = notes.vmcoreinfo_size;
    }
    sub.max_mapnr_64 = header_.ram_end.value;
    return sub;
  }

  // Parts without a page stay holes of the file.
  Result<> write_bitmap(const PageSet& pages, std::uint64_t offset) const {
    constexpr std::uint64_t kWords = 8192;
    std::vector<ul64> words(kWords);
    const Pfn end = pages.end();
    for (PfnRange run = pages.next_run({0}, end, 1); run.count != 0;
         run = pages.next_run(run.first, end, 1)) {
      const std::uint64_t first_word = run.first.value / 64;
      std::uint64_t count = 0;
      for (; count < kWords && (first_word + count) * 64 < end.value; ++count) {
        words[count] = pages.word({(first_word + count) * 64});
      }
      TRY(sys::pwrite_full(file_, std::as_bytes(std::span(words).first(count)),
                           offset + first_word * sizeof(ul64)));
      run.first = Pfn{(first_word + count) * 64};
    }
    return {};
  }

  int file_;
  Codec codec_;
  std::optional<int> level_;
  DumpHeader header_;
  Layout layout_;
  std::uint64_t planned_ = 0;  // kept pages of the windows so far
  std::atomic<std::uint64_t> next_data_ = 0;
  ul32 status_;
};

}  // namespace

Result<std::unique_ptr<DumpWriter>> make_kdump_writer(int file, Codec codec,
                                                      std::optional<int> compress_level) {
  if (codec != Codec::none) {
    TRY(make_compressor(codec, compress_level));  // refuses a wrong level now, not page by page
  } else if (compress_level) {
    return fail(Errc::invalid, "a dump without compression has no compression level");
  }
  return std::make_unique<KdumpWriter>(file, codec, compress_level);
}

}  // namespace vmcore::formats
