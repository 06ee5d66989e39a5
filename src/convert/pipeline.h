// The pipeline: reads the kept pages shard by shard and hands them to encoders, on N equal threads.
#pragma once

#include <cstdint>
#include <stop_token>

#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/formats/dump_writer.h"
#include "src/image/page_set.h"

namespace vmcore::convert {

// Writes pages that `writer` planned last, those of `zero` unread; returns how many of them could
// not be had from `memory`. The observer is called by one thread at a time.
Result<std::uint64_t> encode_pages(const PhysicalMemory& memory, const PageSet& pages,
                                   const PageSet& zero, formats::DumpWriter& writer,
                                   const ConvertOptions& options, Observer& observer,
                                   std::stop_token stop);

}  // namespace vmcore::convert
