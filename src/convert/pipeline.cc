#include "src/convert/pipeline.h"

#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "src/base/threads.h"
#include "src/convert/shards.h"

namespace vmcore::convert {
namespace {

// What the threads of one conversion share.
struct Shared {
  const PhysicalMemory& memory;
  ShardQueue queue;
  Observer& observer;
  std::uint64_t all;
  std::stop_token stop;
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> lost{0};
  std::atomic<int> reading{0};
  std::atomic<bool> claimed_all{false};
  std::atomic<bool> told_source_read{false};
  std::atomic<bool> failed{false};
  std::mutex error_mutex;
  std::optional<Error> error;

  // The last thread that reads after the last shard was claimed tells that the source is done.
  void end_read() {
    if (--reading == 0 && claimed_all && !told_source_read.exchange(true)) {
      observer.source_read();
    }
  }
};

Result<> encode_shards(Shared& shared, formats::ShardEncoder& encoder) {
  ShardBuffer buffer;
  while (!shared.failed && !shared.stop.stop_requested()) {
    ++shared.reading;
    bool last = false;
    const std::vector<PfnRange> shard = shared.queue.claim(last);
    if (last) {
      shared.claimed_all = true;
    }
    const Result<> read = buffer.read(shared.memory, shard);
    shared.end_read();
    TRY(read);
    if (shard.empty()) {
      return {};
    }
    TRY(encoder.write(buffer.runs()));
    std::uint64_t pages = 0;
    for (const PfnRange& run : shard) {
      pages += run.count;
    }
    shared.lost += buffer.lost();
    shared.observer.progress(shared.done += pages, shared.all);
  }
  return {};
}

}  // namespace

Result<std::uint64_t> encode_pages(const PhysicalMemory& memory, const PageSet& kept,
                                   formats::DumpWriter& writer, unsigned threads,
                                   Observer& observer, std::stop_token stop) {
  std::vector<std::unique_ptr<formats::ShardEncoder>> encoders;
  for (unsigned i = 0; i < threads; ++i) {
    TRY_ASSIGN(auto encoder, writer.encoder());
    encoders.push_back(std::move(encoder));
  }
  Shared shared{.memory = memory,
                .queue = ShardQueue(kept),
                .observer = observer,
                .all = kept.count(),
                .stop = stop,
                .error_mutex = {},
                .error = {}};
  on_threads(threads, [&](unsigned thread) {
    if (Result<> encoded = encode_shards(shared, *encoders[thread]); !encoded) {
      shared.failed = true;
      const std::scoped_lock lock(shared.error_mutex);
      shared.error = std::move(encoded).error();
    }
  });
  if (shared.error) {
    return tl::unexpected(*std::move(shared.error));
  }
  if (stop.stop_requested()) {
    return fail(Errc::cancelled, "cancelled");
  }
  return shared.lost.load();
}

}  // namespace vmcore::convert
