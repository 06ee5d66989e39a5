// SPDX-License-Identifier: GPL-2.0-or-later
// A kdump file of few bytes: the input is the headers' fields, one block of bitmaps each,
// descriptors and data, laid out as a real file so that the fuzzer need not find the structure.
#include <algorithm>
#include <cstring>
#include <vector>

#include "src/formats/kdump/layout.h"
#include "tests/fuzz/read_everything.h"

namespace vmcore::fuzz {
namespace {

using formats::KdumpHeader;
using formats::KdumpSubHeader;

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kBitmapBytes = 64;

std::size_t take(std::span<const std::uint8_t>& from, void* to, std::size_t size) {
  const std::size_t taken = std::min(size, from.size());
  if (taken != 0) {
    std::memcpy(to, from.data(), taken);
  }
  from = from.subspan(taken);
  return taken;
}

std::vector<std::uint8_t> laid_out(std::span<const std::uint8_t> input) {
  std::vector<std::uint8_t> file(4 * kBlock);
  KdumpHeader header{};
  KdumpSubHeader sub{};
  std::uint8_t wild = 0;
  take(input, &wild, 1);
  sub.max_mapnr_64 = kBitmapBytes * 8;
  header.block_size = kBlock;
  header.version = 6;
  header.sub_header_blocks = 1;
  header.bitmap_blocks = 2;
  if ((wild & 1) != 0) {  // fields that decide where everything lies, from the input
    take(input, &header.version, sizeof(header.version));
    take(input, &header.status, sizeof(KdumpHeader) - offsetof(KdumpHeader, status));
  }
  if ((wild & 2) != 0) {
    take(input, &sub, sizeof(sub));
  }
  if ((wild & 4) != 0) {  // what names the machine
    take(input, reinterpret_cast<char*>(&header) + offsetof(KdumpHeader, machine) - 4, 16);
  }
  if ((wild & 8) != 0) {  // notes, inside the bitmaps
    sub.offset_note = 2 * kBlock + kBitmapBytes;
    sub.size_note = kBitmapBytes;
  }
  std::ranges::copy(formats::kKdumpSignature, header.signature);
  std::memcpy(file.data(), &header, sizeof(header));
  std::memcpy(file.data() + kBlock, &sub, sizeof(sub));
  take(input, file.data() + 2 * kBlock, ((wild & 8) != 0 ? 2 : 1) * kBitmapBytes);
  take(input, file.data() + 3 * kBlock, kBitmapBytes);
  file.insert(file.end(), input.begin(), input.end());
  return file;
}

}  // namespace
}  // namespace vmcore::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vmcore::fuzz::open_and_read({data, size});
  vmcore::fuzz::open_and_read(vmcore::fuzz::laid_out({data, size}));
  return 0;
}
