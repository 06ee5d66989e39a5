// SPDX-License-Identifier: GPL-2.0-or-later
// An ELF dump of a synthetic guest (6.12) of any size, sparse: a struct page for each page, and
// nothing in the pages. The vmemmap is mapped by 2 MiB pages, as Linux does, one a section (128
// MiB), onto so many physical ones (`frames`) in turn, so that the file holds 2 MiB times that of
// struct pages; with as many frames as sections each has its own. All are copies of one section
// with every kind of page, in long runs and short.
#pragma once

#include <cstdint>

#include "src/base/result.h"

namespace vmcore::builders {

// `fd`: an empty file, open for reading and writing.
Result<> make_large_dump(std::uint64_t gibibytes, std::uint64_t frames, int fd);

}  // namespace vmcore::builders
