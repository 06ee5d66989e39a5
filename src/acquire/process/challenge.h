// SPDX-License-Identifier: GPL-2.0-or-later
// Challenge: checks whether memory that was found in a process is the guest's. QEMU is asked for
// the contents of pages that are chosen at random after the mappings were opened. Only the
// process that runs the guest has the same contents, and only in the guest's own mapping.
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

// The number of pages that are compared, for one candidate and for several. A candidate that
// differs from the guest in every second of the touched pages passes once in 16 times, and once in
// 65536.
inline constexpr unsigned kPagesToBelieve = 4;
inline constexpr unsigned kPagesToTell = 16;

// The places (indices) that hold the ranges, and what that is known by.
struct Fit {
  std::vector<std::size_t> places = {};
  bool by_data = false;  // each page that was compared has some
};

// The places that hold the ranges: those that equal QEMU's contents at every page that
// was compared. Each place has all of the ranges. Pages are chosen that are non-zero in one place
// and differ between places, as far as such pages are found. The guest may run: a page counts only
// if no place changes it while QEMU answers. Errc::unsupported if the guest changes every page; the
// errors of `peek`.
Result<Fit> places_that_fit(std::span<const PhysRange> ranges, std::span<const ImageSource> places,
                            const Peek& peek);

// Whether of these places that one alone fits, which was proven by data before, in the same process
// (known_ram.h). One page is compared. False also where it tells too little: it has no data, or is
// the same in another place.
Result<bool> fits_still(std::span<const PhysRange> ranges, std::span<const ImageSource> places,
                        std::size_t known, const Peek& peek);

}  // namespace vmcore::acquire
