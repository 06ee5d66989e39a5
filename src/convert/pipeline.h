// SPDX-License-Identifier: GPL-2.0-or-later
// The pipeline: reads the kept pages shard by shard and hands them to encoders, on N equal threads.
// Each thread claims a shard (1 MiB of kept pages), reads it, encodes it, reserves room for it with
// one atomic addition, and writes it. There is no order among shards.
#pragma once

#include <cstdint>
#include <stop_token>

#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/formats/dump_writer.h"
#include "src/image/page_set.h"

namespace vmcore::convert {

// Pages that are written one after the other.
struct PagesToWrite {
  const PageSet& pages;
  const PageSet& zero;              // which need not be read
  const PageSet* except = nullptr;  // some of them, which are written already; may be null
  std::uint64_t count() const;
};

// Writes the pages that `writer` planned last; returns how many of them could not be read from
// `memory`. The observer is called by one thread at a time.
Result<std::uint64_t> encode_pages(const PhysicalMemory& memory, const PagesToWrite& pages,
                                   formats::DumpWriter& writer, const ConvertOptions& options,
                                   Observer& observer, std::stop_token stop);

}  // namespace vmcore::convert
