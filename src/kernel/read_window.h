// SPDX-License-Identifier: GPL-2.0-or-later
// ReadWindow: kernel virtual memory read in large pieces for a walk that asks for small ones, most
// of them ascending. Holds one piece; nothing is read twice in such a walk. A walk that a guest
// made jump about ends up with pieces of just the size asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

class ReadWindow {
 public:
  // Reads within [begin, begin + size) only; `kernel` is borrowed. Of a piece that is short because
  // a page is missing, the part before that page can still be had.
  ReadWindow(const GuestKernel& kernel, VirtAddr begin, std::uint64_t size);

  // `size` bytes at `offset` from the beginning (at most kMaxAtOnce), valid until the next call.
  // Errc::malformed outside the range, Errc::unreadable where a page is missing.
  Result<std::span<const std::byte>> bytes(std::uint64_t offset, std::size_t size);

  static constexpr std::size_t kMaxAtOnce = 128 << 10;

 private:
  const GuestKernel* kernel_;
  VirtAddr begin_;
  std::uint64_t size_;
  std::uint64_t piece_offset_ = 0;
  std::size_t piece_good_ = 0;
  std::uint64_t generous_ = 0;  // bytes read in all
  std::vector<std::byte> piece_;
};

}  // namespace vmcore::kernel
