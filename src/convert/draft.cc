#include "src/convert/draft.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "src/base/threads.h"
#include "src/convert/crashed_kernel.h"
#include "src/convert/normalise.h"
#include "src/convert/shards.h"

namespace vmcore::convert {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// What QEMU takes to begin and to end its dump, and the headers.
constexpr Seconds kAround{0.010};
// A thread compresses, and writes, about that many bytes a second (zstd): what the room does not
// hold waits for it.
constexpr double kEncodedASecond = 250e6;
// Enough to see how fast memory is read.
constexpr std::uint64_t kSampleShards = 64;

// Reads kept pages into the places of the room, up to `most` of them; returns the time.
Result<Seconds> rehearse(const PhysicalMemory& memory, const filters::Plan& plan,
                         const ShardRoom& room, std::uint64_t most, unsigned threads) {
  ShardQueue queue(plan.kept);
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;
  std::optional<Error> error;
  const auto began = Clock::now();
  on_threads(threads, [&](unsigned) {
    bool last = false;
    for (std::uint64_t i = next++; i < std::min(most, room.count()) && !last; i = next++) {
      ShardBuffer shard(room.place(i));
      if (const Result<> read = shard.read(memory, queue.claim(last), plan.zero); !read) {
        const std::scoped_lock lock(mutex);
        error = read.error();
        return;
      }
    }
  });
  if (error) {
    return tl::unexpected(*std::move(error));
  }
  return Clock::now() - began;
}

}  // namespace

Result<Draft> make_draft(const MemoryImage& image, const ConvertOptions& options,
                         std::stop_token stop) {
  TRY_ASSIGN(Subject subject, find_subject(image, options.search, nullptr, options.hint));
  const auto began = Clock::now();
  const kernel::GuestKernel* const kernel = subject.kernel();
  const PhysicalMemory& memory = *subject.image().memory;
  TRY_ASSIGN(const filters::Plan plan,
             filters::make_plan(memory, kernel, 0,
                                {.level = options.level, .threads = options.threads}, stop));
  // The symbols that the header asks for are known from then on.
  std::vector<Remark> said_later;
  static_cast<void>(make_header(subject.image(), kernel, plan, {}, said_later));
  const Seconds planning = Clock::now() - began;

  TRY_ASSIGN(ShardRoom room, ShardRoom::make(options.threads + options.read_ahead / kShardSize));
  TRY(rehearse(memory, plan, room, room.count(), options.threads));
  TRY_ASSIGN(const Seconds sample, rehearse(memory, plan, room, kSampleShards, options.threads));
  const auto shards = static_cast<double>((plan.kept_pages + kShardPages - 1) / kShardPages);
  const double sampled = std::clamp<double>(shards, 1, kSampleShards);
  const double beyond = std::max(0.0, shards - static_cast<double>(room.count())) * kShardSize;
  const Seconds pause = kAround + planning + sample * (shards / sampled) +
                        Seconds(beyond / (kEncodedASecond * options.threads));
  // Two kernels are looked for again: what is known of the crashed one is not of all of memory.
  return Draft{.kernels = subject.crashed ? kernel::FoundKernels() : std::move(subject.found),
               .room = std::move(room),
               .kept_pages = plan.kept_pages,
               .pause = std::chrono::duration_cast<std::chrono::microseconds>(pause)};
}

}  // namespace vmcore::convert
