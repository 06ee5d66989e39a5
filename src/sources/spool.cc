// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/spool.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "src/base/sys.h"

namespace vmcore::sources {
namespace {

constexpr std::size_t kBlock = 4096;        // what file systems can leave a hole for
constexpr std::size_t kPortion = 1U << 20;  // read at a time: a pipe's usual largest size

bool is_zero(std::span<const std::byte> block) {
  static constexpr std::array<std::byte, kBlock> kZeros{};
  return std::memcmp(block.data(), kZeros.data(), block.size()) == 0;
}

}  // namespace

Result<> write_sparse(int file, std::span<const std::byte> data, std::uint64_t offset) {
  std::size_t start = 0;  // of the run of non-zero blocks that is not written yet
  for (std::size_t at = 0; at < data.size(); at += kBlock) {
    const auto block = data.subspan(at, std::min(kBlock, data.size() - at));
    if (is_zero(block)) {
      TRY(sys::pwrite_full(file, data.subspan(start, at - start), offset + start));
      start = at + block.size();
    }
  }
  return sys::pwrite_full(file, data.subspan(start), offset + start);
}

Result<std::uint64_t> spool_stream(int stream, int spool,
                                   const std::function<Result<>(std::uint64_t)>& told) {
  constexpr std::uint64_t kTellEvery = 64U << 20;
  std::vector<std::byte> buffer(kPortion);
  std::uint64_t length = 0;
  std::uint64_t told_at = 0;
  while (true) {
    TRY_ASSIGN(const std::size_t got, sys::read_full(stream, buffer));
    TRY(write_sparse(spool, std::span(buffer).first(got), length));
    length += got;
    if (told_at == 0 || length - told_at >= kTellEvery) {
      TRY(told(length));
      told_at = length;
    }
    if (got < buffer.size()) {
      break;
    }
  }
  TRY(sys::truncate(spool, length));
  return length;
}

}  // namespace vmcore::sources
