// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/pipeline.h"

#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "src/base/threads.h"
#include "src/convert/shards.h"
#include "src/convert/throttle.h"
#include "src/image/page.h"

namespace vmcore::convert {
namespace {

// What the threads of one conversion share. Each takes its shards through by itself.
class Pipeline {
 public:
  Pipeline(const PhysicalMemory& memory, const PagesToWrite& pages, const ConvertOptions& options,
           Observer& observer, std::stop_token stop)
      : memory_(memory),
        zero_(pages.zero),
        queue_(pages.pages, pages.except),
        observer_(observer),
        stop_(std::move(stop)),
        all_(pages.count()),
        throttle_(options.how.bandwidth) {}

  // One thread's part. Returns when nothing is left to do, or it failed in any of the threads.
  void work(formats::ShardEncoder& encoder);
  // When all threads are through: how many pages were lost.
  Result<std::uint64_t> outcome() const;

 private:
  using Lock = std::unique_lock<std::mutex>;

  // Called locked, works unlocked, and returns locked.
  Result<> take_through(Lock& lock, ShardBuffer& shard, formats::ShardEncoder& encoder);

  const PhysicalMemory& memory_;
  const PageSet& zero_;
  ShardQueue queue_;
  Observer& observer_;
  std::stop_token stop_;
  std::uint64_t all_;

  std::mutex mutex_;
  Throttle throttle_;
  unsigned reading_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t lost_ = 0;
  bool claimed_all_ = false;
  std::optional<Error> error_;
};

Result<> Pipeline::take_through(Lock& lock, ShardBuffer& shard, formats::ShardEncoder& encoder) {
  const std::vector<PfnRange> runs = queue_.claim(claimed_all_);
  ++reading_;
  lock.unlock();
  std::uint64_t pages = 0;
  for (const PfnRange& run : runs) {
    pages += run.count;
  }
  const Result<> read = shard.read(memory_, runs, zero_);
  lock.lock();
  --reading_;
  TRY(read);
  if (claimed_all_ && reading_ == 0) {
    observer_.source_read();
  }
  const auto begin = throttle_.take(pages * kPageSize, Throttle::Clock::now());
  lock.unlock();
  std::this_thread::sleep_until(begin);
  const Result<> written = encoder.write(shard.runs());
  lock.lock();
  TRY(written);
  done_ += pages;
  lost_ += shard.lost();
  observer_.progress(done_, all_);
  return {};
}

void Pipeline::work(formats::ShardEncoder& encoder) {
  ShardBuffer shard;
  Lock lock(mutex_);
  while (!error_ && !stop_.stop_requested() && !claimed_all_) {
    if (Result<> done = take_through(lock, shard, encoder); !done && !error_) {
      error_ = std::move(done).error();
    }
  }
}

Result<std::uint64_t> Pipeline::outcome() const {
  if (error_) {
    return tl::unexpected(*error_);
  }
  if (stop_.stop_requested()) {
    return fail(Errc::cancelled, "cancelled");
  }
  return lost_;
}

}  // namespace

std::uint64_t PagesToWrite::count() const {
  return pages.count() - (except == nullptr ? 0 : except->count());
}

Result<std::uint64_t> encode_pages(const PhysicalMemory& memory, const PagesToWrite& pages,
                                   formats::DumpWriter& writer, const ConvertOptions& options,
                                   Observer& observer, std::stop_token stop) {
  std::vector<std::unique_ptr<formats::ShardEncoder>> encoders;
  for (unsigned i = 0; i < options.how.threads; ++i) {
    TRY_ASSIGN(auto encoder, writer.encoder());
    encoders.push_back(std::move(encoder));
  }
  Pipeline pipeline(memory, pages, options, observer, std::move(stop));
  on_threads(options.how.threads, [&](unsigned thread) { pipeline.work(*encoders[thread]); });
  return pipeline.outcome();
}

}  // namespace vmcore::convert
