#include "src/convert/shard_room.h"

#include <sys/mman.h>

#include <cerrno>

namespace vmcore::convert {
namespace {

constexpr std::uint64_t kHugePage = 2U << 20;

}  // namespace

Result<ShardRoom> ShardRoom::make(std::uint64_t shards) {
  const std::uint64_t size = shards * kShardSize;
  const std::uint64_t mapped = size + kHugePage;
  void* const at = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    return fail_errno(errno, "room for what is read ahead");
  }
  const std::span<std::byte> all(static_cast<std::byte*>(at), mapped);
  const std::uint64_t skip =
      (kHugePage - reinterpret_cast<std::uintptr_t>(at) % kHugePage) % kHugePage;
  const std::span<std::byte> places = all.subspan(skip, size);
  // A few shards are not worth one; nor is it an error where the system has none.
  if (size >= 16 * kHugePage) {
    static_cast<void>(::madvise(places.data(), places.size(), MADV_HUGEPAGE));
  }
  return ShardRoom(all, places);
}

ShardRoom::~ShardRoom() {
  if (!mapped_.empty()) {
    ::munmap(mapped_.data(), mapped_.size());
  }
}

}  // namespace vmcore::convert
