// SPDX-License-Identifier: GPL-2.0-or-later
// MemoryPieces: a cache over kernel virtual memory for lookups at random places of a table. It
// reads pieces of 16 KiB and keeps 16 of them. (ReadWindow is for walks that ascend.)
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

// Not thread-safe.
class MemoryPieces {
 public:
  MemoryPieces() = default;  // of no bytes
  // Of [begin, begin + size). `kernel` is borrowed.
  MemoryPieces(const GuestKernel& kernel, VirtAddr begin, std::uint64_t size)
      : kernel_(&kernel), begin_(begin), size_(size) {}

  VirtAddr begin() const { return begin_; }
  std::uint64_t size() const { return size_; }

  // Fills `out` from `offset` on. Errc::malformed if that leaves the range, Errc::unreadable if a
  // page of the pieces is missing.
  Result<> read(std::uint64_t offset, std::span<std::byte> out) const;

  template <class T>
  Result<T> at(std::uint64_t offset) const {
    T value{};
    TRY(read(offset, std::as_writable_bytes(std::span<T, 1>(&value, 1))));
    return value;
  }

 private:
  struct Piece {
    std::uint64_t number = ~0ULL;
    std::vector<std::byte> bytes;
  };
  Result<const Piece*> piece(std::uint64_t number) const;

  const GuestKernel* kernel_ = nullptr;
  VirtAddr begin_;
  std::uint64_t size_ = 0;
  mutable std::array<Piece, 16> pieces_;
};

}  // namespace vmcore::kernel
