#include "src/convert/pipeline.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "src/base/threads.h"
#include "src/convert/shards.h"
#include "src/convert/throttle.h"

namespace vmcore::convert {
namespace {

struct Shard {
  explicit Shard(std::span<std::byte> place) : bytes(place) {}
  ShardBuffer bytes;
  std::uint64_t pages = 0;  // of the plan, had or lost
};
using ShardPointer = std::unique_ptr<Shard>;

// What the threads of one conversion share: shards that wait to be filled and to be encoded. Each
// thread fills one where it can, and encodes one where it cannot: as many shards as threads make
// each thread take its own through, more of them let the source be done with sooner.
class Pipeline {
 public:
  Pipeline(const PhysicalMemory& memory, const filters::PlannedPages& pages, const ShardRoom& room,
           const ConvertOptions& options, Observer& observer, std::stop_token stop)
      : memory_(memory),
        zero_(pages.zero),
        queue_(pages.kept),
        room_(room),
        observer_(observer),
        stop_(std::move(stop)),
        all_(pages.kept.count()),
        somebody_waits_(options.read_ahead != 0),
        throttle_(options.bandwidth) {}

  // One thread's part. Returns when nothing is left to do, or it failed in any of the threads.
  void work(formats::ShardEncoder& encoder);
  // When all threads are through: how many pages were lost.
  Result<std::uint64_t> outcome() const;

 private:
  using Lock = std::unique_lock<std::mutex>;

  bool may_fill() const { return !claimed_all_ && (made_ < room_.count() || !empty_.empty()); }
  // Both are called locked, work unlocked, and return locked.
  Result<> fill(Lock& lock);
  Result<> encode(Lock& lock, formats::ShardEncoder& encoder);

  const PhysicalMemory& memory_;
  const PageSet& zero_;
  ShardQueue queue_;
  const ShardRoom& room_;
  Observer& observer_;
  std::stop_token stop_;
  std::uint64_t all_;
  bool somebody_waits_;  // until all is read

  std::mutex mutex_;
  Throttle throttle_;
  std::condition_variable changed_;
  std::uint64_t made_ = 0;  // shards, each in the place of its number
  std::vector<ShardPointer> empty_;
  std::vector<ShardPointer> full_;  // the last one is in the caches still: it goes first
  std::uint64_t filling_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t lost_ = 0;
  bool claimed_all_ = false;
  std::optional<Error> error_;
};

Result<> Pipeline::fill(Lock& lock) {
  ShardPointer shard;
  if (empty_.empty()) {
    shard = std::make_unique<Shard>(room_.place(made_++));
  } else {
    shard = std::move(empty_.back());
    empty_.pop_back();
  }
  const std::vector<PfnRange> runs = queue_.claim(claimed_all_);
  ++filling_;
  lock.unlock();
  const Result<> read = shard->bytes.read(memory_, runs, zero_);
  shard->pages = 0;
  for (const PfnRange& run : runs) {
    shard->pages += run.count;
  }
  lock.lock();
  --filling_;
  TRY(read);
  full_.push_back(std::move(shard));
  if (claimed_all_ && filling_ == 0) {
    observer_.source_read();
  }
  return {};
}

Result<> Pipeline::encode(Lock& lock, formats::ShardEncoder& encoder) {
  ShardPointer shard = std::move(full_.back());
  full_.pop_back();
  const auto now = Throttle::Clock::now();
  const bool free = somebody_waits_ && !claimed_all_;
  const auto begin = free ? now : throttle_.take(shard->pages * kPageSize, now);
  lock.unlock();
  std::this_thread::sleep_until(begin);
  const Result<> written = encoder.write(shard->bytes.runs());
  lock.lock();
  TRY(written);
  done_ += shard->pages;
  lost_ += shard->bytes.lost();
  observer_.progress(done_, all_);
  empty_.push_back(std::move(shard));
  return {};
}

void Pipeline::work(formats::ShardEncoder& encoder) {
  Lock lock(mutex_);
  while (!error_ && !stop_.stop_requested()) {
    Result<> done;
    if (may_fill()) {
      done = fill(lock);
    } else if (!full_.empty()) {
      done = encode(lock, encoder);
    } else if (claimed_all_ && filling_ == 0) {
      break;
    } else {
      changed_.wait(lock);
      continue;
    }
    if (!done && !error_) {
      error_ = std::move(done).error();
    }
    changed_.notify_all();
  }
  changed_.notify_all();
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

Result<std::uint64_t> encode_pages(const PhysicalMemory& memory, const filters::PlannedPages& pages,
                                   formats::DumpWriter& writer, const ConvertOptions& options,
                                   const ShardRoom& room, Observer& observer,
                                   std::stop_token stop) {
  std::vector<std::unique_ptr<formats::ShardEncoder>> encoders;
  for (unsigned i = 0; i < options.threads; ++i) {
    TRY_ASSIGN(auto encoder, writer.encoder());
    encoders.push_back(std::move(encoder));
  }
  Pipeline pipeline(memory, pages, room, options, observer, std::move(stop));
  on_threads(options.threads, [&](unsigned thread) { pipeline.work(*encoders[thread]); });
  return pipeline.outcome();
}

}  // namespace vmcore::convert
