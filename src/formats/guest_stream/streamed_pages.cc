// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/guest_stream/streamed_pages.h"

#include <algorithm>

#include "src/image/page.h"

namespace vmcore::formats {

Result<std::span<const std::byte>> StreamedPages::unpack(std::span<const std::byte> data,
                                                         std::uint32_t codec, std::size_t size) {
  if (codec == codec_flag(Codec::none)) {
    if (data.size() != size) {
      return fail(Errc::malformed, "a block has {} bytes instead of {}", data.size(), size);
    }
    return data;
  }
  if (codec != codec_flag(Codec::zstd)) {
    return fail(Errc::malformed, "a block has an unknown codec ({:#x})", codec);
  }
  if (decompressor_ == nullptr) {
    TRY_ASSIGN(decompressor_, make_decompressor(Codec::zstd));
  }
  unpacked_.resize(size);
  TRY(decompressor_->decompress(data, unpacked_));
  return std::span<const std::byte>(unpacked_);
}

Result<> StreamedPages::take_map(std::span<const std::byte> payload) {
  const auto header = load<MapHeader>(payload, 0);
  if (!header) {
    return fail(Errc::malformed, "a map cannot have {} bytes", payload.size());
  }
  const std::uint64_t first = header->first;
  const std::uint64_t pages = header->pages;
  if (pages == 0 || pages > kMaxMapPages || (first | pages) % 64 != 0 || first < mapped_.value ||
      first > kMaxPhysAddr / kPageSize - pages) {
    return fail(Errc::malformed, "a map of {} pages at page frame {:#x} is not possible", pages,
                first);
  }
  const auto data = payload.subspan(sizeof(MapHeader));
  const bool raw = data.size() == pages / 8;
  TRY_ASSIGN(const auto bitmap,
             unpack(data, codec_flag(raw ? Codec::none : Codec::zstd), pages / 8));
  for (std::uint64_t word = 0; word < pages / 64; ++word) {
    TRY(add_word({first + word * 64}, *load<ul64>(bitmap, word * sizeof(ul64))));
  }
  mapped_ = {first + pages};
  return {};
}

Result<> StreamedPages::add_word(Pfn at, std::uint64_t bits) {
  if (bits == 0) {
    return {};
  }
  if ((bits & ~stream_.ram.word(at)) != 0) {
    return fail(Errc::malformed, "pages at page frame {:#x} are outside of the announced RAM",
                at.value);
  }
  stream_.kept.insert_word(at, bits);
  return {};
}

Result<> StreamedPages::check_run(PfnRange run) const {
  const std::uint64_t end = kMaxPhysAddr / kPageSize;
  if (run.count == 0 || run.count > kMaxFramePages || run.first.value > end - run.count) {
    return fail(Errc::malformed, "a run of {} pages at page frame {:#x} is not possible", run.count,
                run.first.value);
  }
  if (stream_.kept.next_run(run.first, run.end()) != run) {
    return fail(Errc::malformed, "pages at page frame {:#x} were not announced", run.first.value);
  }
  if (stream_.had.next_run(run.first, run.end(), 1).count != 0) {
    return fail(Errc::malformed, "pages at page frame {:#x} arrived before", run.first.value);
  }
  return {};
}

Result<> StreamedPages::keep(PfnRange run, std::span<const std::byte> bytes) {
  if (run.count != 0) {
    TRY(take_(run.first, bytes.first(run.count * kPageSize)));
    stream_.had.insert(run);
    pages_ += run.count;
  }
  return {};
}

Result<> StreamedPages::take_pages(std::span<const std::byte> payload) {
  const auto header = load<PagesHeader>(payload, 0);
  if (!header || header->runs == 0 || header->runs > kMaxFramePages) {
    return fail(Errc::malformed, "a frame of pages has no valid header");
  }
  const std::uint64_t table = sizeof(PagesHeader) + header->runs * sizeof(PageFrameRun);
  std::vector<PfnRange> runs;
  std::uint64_t pages = 0;
  for (std::uint64_t at = sizeof(PagesHeader); at < table; at += sizeof(PageFrameRun)) {
    const auto entry = load<PageFrameRun>(payload, at);
    if (!entry) {
      return fail(Errc::malformed, "a frame of pages is too short");
    }
    runs.push_back({{entry->first}, entry->count});
    TRY(check_run(runs.back()));
    pages += runs.back().count;
  }
  if (pages > kMaxFramePages) {
    return fail(Errc::malformed, "a frame cannot have {} pages", pages);
  }
  TRY_ASSIGN(auto bytes, unpack(payload.subspan(table), header->codec, pages * kPageSize));
  for (const PfnRange& run : runs) {
    if (stream_.had.next_run(run.first, run.end(), 1).count != 0) {
      return fail(Errc::malformed, "a frame has the pages at page frame {:#x} twice",
                  run.first.value);
    }
    TRY(keep({run.first, std::min(run.count, most_ / kPageSize - pages_)}, bytes));
    if (stream_.had.next_run(run.first, run.end()) != run) {
      return fail(Errc::limit,
                  "the stream has more pages than fit into the available room ({} MiB)",
                  most_ >> 20);
    }
    bytes = bytes.subspan(run.count * kPageSize);
  }
  return {};
}

}  // namespace vmcore::formats
