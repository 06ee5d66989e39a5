// SPDX-License-Identifier: GPL-2.0-or-later
// CRC-32C (Castagnoli, RFC 3720 appendix B.4): detects damaged bytes, and proves nothing about
// their author.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vmcore::formats {

std::uint32_t crc32c(std::span<const std::byte> bytes);

}  // namespace vmcore::formats
