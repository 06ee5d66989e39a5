// CRC-32C (Castagnoli, RFC 3720 appendix B.4): tells damaged bytes, proves nothing about who made
// them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vmcore::formats {

std::uint32_t crc32c(std::span<const std::byte> bytes);

}  // namespace vmcore::formats
