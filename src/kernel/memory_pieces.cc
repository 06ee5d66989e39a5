// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/memory_pieces.h"

#include <algorithm>

namespace vmcore::kernel {
namespace {

constexpr std::uint64_t kPieceBytes = 16 << 10;

}  // namespace

Result<const MemoryPieces::Piece*> MemoryPieces::piece(std::uint64_t number) const {
  Piece& piece = pieces_[number % pieces_.size()];
  if (piece.number != number) {
    piece.number = ~0ULL;
    const std::uint64_t offset = number * kPieceBytes;
    piece.bytes.resize(std::min(kPieceBytes, size_ - offset));
    TRY(kernel_->read_exactly(begin_ + offset, piece.bytes));
    piece.number = number;
  }
  return &piece;
}

Result<> MemoryPieces::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || size_ - offset < out.size()) {
    return fail(Errc::malformed, "{} bytes at {:#x} of {:#x} bytes at kernel address {:#x}",
                out.size(), offset, size_, begin_.value);
  }
  while (!out.empty()) {
    TRY_ASSIGN(const Piece* const piece, this->piece(offset / kPieceBytes));
    const auto bytes = std::span(piece->bytes).subspan(offset % kPieceBytes);
    const std::size_t size = std::min(bytes.size(), out.size());
    std::ranges::copy(bytes.first(size), out.begin());
    out = out.subspan(size);
    offset += size;
  }
  return {};
}

}  // namespace vmcore::kernel
