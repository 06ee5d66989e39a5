// Challenge: whether memory that was found in a process is the guest's. QEMU is asked what it has
// at pages that are chosen at random when the mappings are open already; a process that is not the
// guest's cannot answer that, and of several mappings that could be the guest's, the one that
// answers is.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/image/source.h"

namespace vmcore::acquire {

// Fills the bytes with what QEMU has at that guest-physical address.
using Peek = std::function<Result<>(PhysAddr address, std::span<std::byte> bytes)>;

// Pages that are asked for, of one place, and where there are several. A place whose pages differ
// from the guest's in every second of those that either touched passes once in 16 times, and once
// in 65536.
inline constexpr unsigned kPagesToBelieve = 4;
inline constexpr unsigned kPagesToTell = 16;

// Which of the places (indices) hold the ranges: those that equal what QEMU says at every page that
// was asked for. Each place has all of the ranges. Pages are chosen that are not zeros in one place
// and differ between places, as far as such are found. The guest may run: a page tells only where
// no place changes it while QEMU answers. Errc::unsupported where the guest changes every page; the
// errors of `peek`.
Result<std::vector<std::size_t>> places_that_fit(std::span<const PhysRange> ranges,
                                                 std::span<const ImageSource> places,
                                                 const Peek& peek);

}  // namespace vmcore::acquire
