// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/forecast.h"

#include <algorithm>
#include <array>
#include <vector>

#include "src/base/all_zero.h"
#include "src/image/page.h"

namespace vmcore::guest::save {
namespace {

constexpr std::uint64_t kSamples = 512;
// Beside the data of its pages: in a kdump a descriptor of 24 bytes and two bits for each page.
constexpr std::uint64_t kDescriptor = 24;
constexpr std::uint64_t kHeaders = 1U << 20;

// The bytes of one page in the dump. A page that cannot be read counts as a whole one.
std::uint64_t packed_size(const PhysicalMemory& memory, Pfn pfn,
                          formats::PageCompressor& compressor) {
  std::array<std::byte, kPageSize> page{};
  std::array<std::byte, formats::compress_room(kPageSize)> room{};
  const auto read = memory.read(address_of(pfn), page);
  if (!read || read->good < kPageSize) {
    return kPageSize;
  }
  const std::size_t size = all_zero(page) ? 1 : compressor.compress(page, room);
  return size == 0 ? kPageSize : size;
}

// Every STEPth page of the set, in all about kSamples of them.
std::uint64_t average_size(const PhysicalMemory& memory, const PageSet& kept,
                           formats::PageCompressor& compressor) {
  const std::uint64_t step = std::max<std::uint64_t>(1, kept.count() / kSamples);
  std::uint64_t bytes = 0;
  std::uint64_t samples = 0;
  std::uint64_t skip = step / 2;
  for (PfnRange run = kept.next_run(Pfn(), kept.end()); run.count != 0;
       run = kept.next_run(run.end(), kept.end())) {
    std::uint64_t at = skip;
    for (; at < run.count; at += step) {
      bytes += packed_size(memory, run.first + at, compressor);
      ++samples;
    }
    skip = at - run.count;
  }
  return samples == 0 ? 0 : bytes / samples;
}

class Forecasting final : public formats::DumpWriter {
 public:
  Forecasting(formats::DumpWriter& writer, Codec codec, const PhysicalMemory& memory,
              const CheckRoom& check)
      : writer_(writer), codec_(codec), memory_(memory), check_(check) {}

  Result<> begin(const formats::DumpHeader& header) override {
    kept_pages_ = header.kept_pages;
    ram_end_ = header.ram_end.value;
    return writer_.begin(header);
  }
  Result<> plan(const PageSet& ram, const PageSet& kept) override {
    TRY(writer_.plan(ram, kept));
    if (checked_) {
      return {};
    }
    checked_ = true;
    TRY_ASSIGN(const auto compressor, formats::make_compressor(codec_, {}));
    const std::uint64_t pages = kept_pages_ * average_size(memory_, kept, *compressor);
    // The average of so many samples is off by a few percent.
    return check_(pages + pages / 10 + kept_pages_ * kDescriptor + ram_end_ / 4 + kHeaders);
  }
  Result<std::unique_ptr<formats::ShardEncoder>> encoder() override { return writer_.encoder(); }
  Result<> finish(bool incomplete) override { return writer_.finish(incomplete); }
  Result<> replace_note(const Note& note) override { return writer_.replace_note(note); }
  std::vector<Remark> remarks() const override { return writer_.remarks(); }

 private:
  formats::DumpWriter& writer_;
  Codec codec_;
  const PhysicalMemory& memory_;
  const CheckRoom& check_;
  std::uint64_t kept_pages_ = 0;
  std::uint64_t ram_end_ = 0;
  bool checked_ = false;
};

}  // namespace

std::unique_ptr<formats::DumpWriter> forecasting(formats::DumpWriter& writer, Codec codec,
                                                 const PhysicalMemory& memory,
                                                 const CheckRoom& check) {
  return std::make_unique<Forecasting>(writer, codec, memory, check);
}

}  // namespace vmcore::guest::save
