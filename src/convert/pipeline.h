// The pipeline: reads the kept pages shard by shard and hands them to encoders, on N equal threads.
#pragma once

#include <cstdint>
#include <stop_token>

#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/convert/shard_room.h"
#include "src/formats/dump_writer.h"

namespace vmcore::convert {

// Writes the kept pages of the window that `writer` planned last; returns how many of them could
// not be had from `memory`. As many shards are held at a time as `room` has places, at least one.
// The observer is called by one thread at a time.
Result<std::uint64_t> encode_pages(const PhysicalMemory& memory, const filters::PlannedPages& pages,
                                   formats::DumpWriter& writer, const ConvertOptions& options,
                                   const ShardRoom& room, Observer& observer, std::stop_token stop);

}  // namespace vmcore::convert
