// ShardRoom: memory for shards that are held at the same time. It is taken from the system page by
// page as it is written, in huge pages where the system gives them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "src/base/result.h"

namespace vmcore::convert {

inline constexpr std::uint64_t kPageSize = 4096;
// 1 MiB: amortises a claim, and what two threads read and encode fits the caches.
inline constexpr std::uint64_t kShardPages = 256;
inline constexpr std::uint64_t kShardSize = kShardPages * kPageSize;

class ShardRoom {
 public:
  // For that many shards. Errc::io where the system has no such range of addresses.
  static Result<ShardRoom> make(std::uint64_t shards);

  ShardRoom(ShardRoom&& other) noexcept
      : mapped_(std::exchange(other.mapped_, {})), shards_(std::exchange(other.shards_, {})) {}
  ShardRoom& operator=(ShardRoom&& other) noexcept {
    std::swap(mapped_, other.mapped_);
    std::swap(shards_, other.shards_);
    return *this;
  }
  ~ShardRoom();

  std::uint64_t count() const { return shards_.size() / kShardSize; }
  // The place of one shard, kShardSize bytes. Valid as long as the room.
  std::span<std::byte> place(std::uint64_t index) const {
    return shards_.subspan(index * kShardSize, kShardSize);
  }

 private:
  ShardRoom(std::span<std::byte> mapped, std::span<std::byte> shards)
      : mapped_(mapped), shards_(shards) {}

  std::span<std::byte> mapped_;
  std::span<std::byte> shards_;  // of mapped_
};

}  // namespace vmcore::convert
