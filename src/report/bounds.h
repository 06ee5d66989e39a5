// SPDX-License-Identifier: GPL-2.0-or-later
// The limits of a report, which may hold text of hostile guests and files. Writers cut longer
// values, readers refuse them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"

namespace vmcore::report {

// Bytes of a text.
inline constexpr std::size_t kMaxName = 256;   // a release, a format, a method
inline constexpr std::size_t kMaxText = 1024;  // a remark, a line of a log
inline constexpr std::size_t kMaxPath = 4096;

// Remarks of one report; in place of further ones stands a remark that says so.
inline constexpr std::size_t kMaxRemarks = 64;
// Ranges of RAM. Guests have some ten; a file of 1 MiB can claim millions.
inline constexpr std::size_t kMaxRamRanges = 4096;
inline constexpr std::size_t kMaxCpus = 4096;  // KVM_MAX_VCPUS of x86, Linux 6.7 (f10a570b093e)
inline constexpr std::size_t kMaxClasses = 64;
inline constexpr std::size_t kMaxBins = 8192;
inline constexpr std::uint64_t kMaxPages = kMaxPhysAddr / 4096;

// As many of them as a report lists; where that is not all, a remark says so.
std::vector<PhysRange> listed_ranges(std::span<const PhysRange> ranges,
                                     std::vector<Remark>& remarks);

}  // namespace vmcore::report
