// SPDX-License-Identifier: GPL-2.0-or-later
// The pages of a guest's stream: which it announces, all of them in its RAM, and those that come,
// each of them announced and once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "src/base/result.h"
#include "src/formats/codec.h"
#include "src/formats/guest_stream/reader.h"
#include "src/image/page_set.h"

namespace vmcore::formats {

class StreamedPages {
 public:
  using Take = std::function<Result<>(Pfn first, std::span<const std::byte> bytes)>;

  // The stream, which is borrowed, gets the sets of pages that were announced and that came. At
  // most `most` bytes of pages go to `take`, and its errors are passed on.
  StreamedPages(GuestStream& stream, std::uint64_t most, Take take)
      : stream_(stream), most_(most), take_(std::move(take)) {}

  // The payloads of frames. Errc::malformed for what breaks the rules above, Errc::limit for more
  // than `most`.
  Result<> take_map(std::span<const std::byte> payload);
  Result<> take_pages(std::span<const std::byte> payload);
  // Pages that were taken.
  std::uint64_t came() const { return pages_; }

 private:
  Result<> add_word(Pfn at, std::uint64_t bits);
  Result<> check_run(PfnRange run) const;
  // The first bytes are the run's.
  Result<> keep(PfnRange run, std::span<const std::byte> bytes);
  // The bytes of a block that has exactly that size when it is decompressed.
  Result<std::span<const std::byte>> unpack(std::span<const std::byte> data, std::uint32_t codec,
                                            std::size_t size);

  GuestStream& stream_;
  std::uint64_t most_;  // bytes
  Take take_;
  std::uint64_t pages_ = 0;
  Pfn mapped_{0};
  std::unique_ptr<PageDecompressor> decompressor_;
  std::vector<std::byte> unpacked_;
};

}  // namespace vmcore::formats
