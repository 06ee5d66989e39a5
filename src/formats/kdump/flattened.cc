// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/kdump/flattened.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "src/formats/interval_map.h"

namespace vmcore::formats {
namespace {

constexpr std::string_view kSignature = "makedumpfile";
constexpr std::uint64_t kSignatureSize = 16;  // with its NULs
constexpr std::uint64_t kHeaderSize = 4096;
constexpr std::uint64_t kRecordHeaderSize = 16;
constexpr std::uint64_t kEndMark = ~0ULL;
// Far beyond any dump, far below where sums of offsets wrap.
constexpr std::uint64_t kMaxOffset = 1ULL << 60;
// 128 MiB of index, twice that while it is made. QEMU's records are of 16 KiB: 64 GiB of them.
constexpr std::size_t kMaxRecords = 1ULL << 22;

std::uint64_t load_big64(const std::byte* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) {
    value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  }
  return value;
}

struct RecordHeader {
  std::uint64_t offset;
  std::uint64_t size;
};

// Reads the headers of successive records, by windows: records can be shorter than a disk block.
class HeaderScanner {
 public:
  explicit HeaderScanner(const ByteSource& file) : file_(file) {}

  // Nothing where the file ends before the header does.
  Result<std::optional<RecordHeader>> at(std::uint64_t offset) {
    if (offset < begin_ || offset + kRecordHeaderSize > begin_ + filled_) {
      begin_ = offset;
      TRY_ASSIGN(filled_, file_.read(offset, window_));
      if (filled_ < kRecordHeaderSize) {
        return std::nullopt;
      }
    }
    const std::byte* header = window_.data() + (offset - begin_);
    return RecordHeader{load_big64(header), load_big64(header + 8)};
  }

 private:
  const ByteSource& file_;
  std::uint64_t begin_ = 0;
  std::size_t filled_ = 0;
  std::array<std::byte, 4096> window_;
};

class FlattenedSource final : public ByteSource {
 public:
  FlattenedSource(std::unique_ptr<ByteSource> file, IntervalMap records,
                  std::vector<Remark> remarks)
      : file_(std::move(file)), records_(std::move(records)), remarks_(std::move(remarks)) {}

  std::uint64_t size() const override { return records_.end(); }

  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
    std::size_t done = 0;
    while (done < out.size() && offset + done < size()) {
      const std::uint64_t at = offset + done;
      const Mapping* record = records_.find(at);
      const std::uint64_t end = record ? record->end() : records_.next_begin(at, size());
      const auto piece = out.subspan(done, std::min<std::uint64_t>(out.size() - done, end - at));
      if (record) {
        TRY_ASSIGN(const std::size_t got,
                   file_->read(record->target + (at - record->begin), piece));
        if (got < piece.size()) {
          return done + got;
        }
      } else {
        std::memset(piece.data(), 0, piece.size());
      }
      done += piece.size();
    }
    return done;
  }

  FileRun run(std::uint64_t offset) const override {
    if (offset >= size()) {
      return {};
    }
    const Mapping* record = records_.find(offset);
    if (!record) {
      return {records_.next_begin(offset, size()) - offset, true};
    }
    const FileRun below = file_->run(record->target + (offset - record->begin));
    const std::uint64_t left = record->end() - offset;
    return below.size == 0 ? FileRun{left, false} : FileRun{std::min(left, below.size), below.hole};
  }

  std::string_view wrapping() const override { return " flattened"; }
  std::vector<Remark> remarks() const override { return remarks_; }

 private:
  std::unique_ptr<ByteSource> file_;
  IntervalMap records_;
  std::vector<Remark> remarks_;
};

Result<> check_header(const ByteSource& file) {
  TRY_ASSIGN(const std::vector<std::byte> header,
             read_block(file, 0, kHeaderSize, "flattened header"));
  const std::uint64_t type = load_big64(header.data() + kSignatureSize);
  const std::uint64_t version = load_big64(header.data() + kSignatureSize + 8);
  if (type != 1 || version != 1) {
    return fail(Errc::unsupported,
                "flattened header: type {} and version {} are not supported (only 1 and 1)", type,
                version);
  }
  return {};
}

struct Index {
  std::vector<Mapping> records;
  std::size_t seen = 0;  // records, also those without data
  std::vector<Remark> remarks;
};

void cut_short(Index& index, std::uint64_t size) {
  index.remarks.push_back(
      {Errc::truncated,
       fmt::format(
           "the flattened stream ends at {} bytes without its end mark; what follows is lost",
           size)});
}

Result<> add_record(Index& index, const RecordHeader& record, std::uint64_t data,
                    std::uint64_t size) {
  if (index.seen++ == kMaxRecords) {
    return fail(
        Errc::limit,
        "flattened stream: more than {} records: convert it to a plain file with makedumpfile -R",
        kMaxRecords);
  }
  if (size == 0) {
    return {};
  }
  const auto sequence = static_cast<std::uint32_t>(index.records.size());
  index.records.push_back({.begin = record.offset,
                           .size = size,
                           .target = data,
                           .kind = 0,
                           .order = std::numeric_limits<std::uint32_t>::max() - sequence});
  return {};
}

Result<Index> scan(const ByteSource& file) {
  Index index;
  HeaderScanner scanner(file);
  std::uint64_t at = kHeaderSize;
  while (true) {
    TRY_ASSIGN(const std::optional<RecordHeader> record, scanner.at(at));
    // No writer has records without place and size: zeros are what a sparse copy padded.
    if (!record || (record->offset == 0 && record->size == 0)) {
      cut_short(index, std::min(at, file.size()));
      return index;
    }
    if (record->offset == kEndMark && record->size == kEndMark) {
      return index;
    }
    if (record->offset > kMaxOffset || record->size > kMaxOffset) {
      return fail(Errc::malformed,
                  "flattened record at {:#x}: implausible offset {:#x}, size {:#x}", at,
                  record->offset, record->size);
    }
    const std::uint64_t data = at + kRecordHeaderSize;
    const std::uint64_t there = data < file.size() ? file.size() - data : 0;
    TRY(add_record(index, *record, data, std::min(record->size, there)));
    if (record->size > there) {
      cut_short(index, file.size());
      return index;
    }
    at = data + record->size;
  }
}

}  // namespace

bool is_flattened(std::span<const std::byte> start) {
  return start.size() >= kSignatureSize &&
         std::memcmp(start.data(), kSignature.data(), kSignature.size() + 1) == 0;
}

Result<std::unique_ptr<ByteSource>> open_flattened(std::unique_ptr<ByteSource> file) {
  TRY(check_header(*file));
  TRY_ASSIGN(Index index, scan(*file));
  IntervalMap records(std::move(index.records));
  return std::make_unique<FlattenedSource>(std::move(file), std::move(records),
                                           std::move(index.remarks));
}

}  // namespace vmcore::formats
