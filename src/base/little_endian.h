// SPDX-License-Identifier: GPL-2.0-or-later
// Unaligned little-endian integers, for structures that lie in files and in guest memory.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace vmcore {

static_assert(std::endian::native == std::endian::little, "hosts are little-endian");

// A field of an on-disk structure: any alignment, little-endian, converts to and from `T`.
template <std::integral T>
class Little {
 public:
  Little() = default;
  Little(T value) { *this = value; }  // NOLINT(google-explicit-constructor): a field is its value
  Little& operator=(T value) {
    std::memcpy(bytes_, &value, sizeof(T));
    return *this;
  }
  operator T() const {  // NOLINT(google-explicit-constructor)
    T value;
    std::memcpy(&value, bytes_, sizeof(T));
    return value;
  }

 private:
  unsigned char bytes_[sizeof(T)] = {};
};

using ul16 = Little<std::uint16_t>;
using ul32 = Little<std::uint32_t>;
using ul64 = Little<std::uint64_t>;
using il32 = Little<std::int32_t>;
using il64 = Little<std::int64_t>;

// The T at `offset` of `bytes`, or nothing where it does not fit.
template <class T>
requires std::is_trivially_copyable_v<T> std::optional<T> load(std::span<const std::byte> bytes,
                                                               std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) {
    return std::nullopt;
  }
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

template <class T>
requires std::is_trivially_copyable_v<T> std::span<const std::byte> as_bytes(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

}  // namespace vmcore
