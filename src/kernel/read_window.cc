// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/read_window.h"

#include <algorithm>

namespace vmcore::kernel {
namespace {

constexpr std::uint64_t kPieceBytes = 256 << 10;
static_assert(ReadWindow::kMaxAtOnce <= kPieceBytes);

}  // namespace

ReadWindow::ReadWindow(const GuestKernel& kernel, VirtAddr begin, std::uint64_t size)
    : kernel_(&kernel), begin_(begin), size_(size) {}

Result<std::span<const std::byte>> ReadWindow::bytes(std::uint64_t offset, std::size_t size) {
  if (size > kMaxAtOnce || offset > size_ || size_ - offset < size) {
    return fail(Errc::malformed,
                "reading {} bytes at {:#x} exceeds the {:#x} bytes at kernel address {:#x}", size,
                offset, size_, begin_.value);
  }
  const bool in_piece = offset >= piece_offset_ && offset - piece_offset_ <= piece_good_ &&
                        piece_good_ - (offset - piece_offset_) >= size;
  if (!in_piece) {
    piece_.resize(generous_ < 2 * size_ ? std::min(kPieceBytes, size_ - offset) : size);
    generous_ += piece_.size();
    piece_offset_ = offset;
    piece_good_ = 0;
    TRY_ASSIGN(const ReadExtent got, kernel_->read(begin_ + offset, piece_));
    piece_good_ = got.good;
    if (piece_good_ < size) {
      return fail(Errc::unreadable, "kernel address {:#x} cannot be read",
                  (begin_ + offset + piece_good_).value);
    }
  }
  return std::span(piece_).subspan(offset - piece_offset_, size);
}

}  // namespace vmcore::kernel
