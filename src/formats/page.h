// The page size of every dump that is read and written (x86-64), and rounding to it.
#pragma once

#include <cstdint>

namespace vmcore::formats {

inline constexpr std::uint64_t kPageSize = 4096;

constexpr std::uint64_t page_floor(std::uint64_t value) { return value & ~(kPageSize - 1); }
constexpr std::uint64_t page_ceil(std::uint64_t value) { return page_floor(value + kPageSize - 1); }
constexpr std::uint64_t ceil_div(std::uint64_t value, std::uint64_t by) {
  return (value + by - 1) / by;
}

}  // namespace vmcore::formats
