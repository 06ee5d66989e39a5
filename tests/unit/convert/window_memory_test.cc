// SPDX-License-Identifier: GPL-2.0-or-later
// What is held while a guest is planned does not grow with the guest in windows, and by two bits a
// page at once. A program of its
// own, because it counts all that is allocated in it.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>

#include "filters/planner.h"
#include "src/formats/dump_format.h"
#include "src/kernel/guest_kernel.h"
#include "tests/builders/dump_builder.h"
#include "tests/builders/large_dump.h"

namespace {

std::atomic<std::size_t> held = 0;
std::atomic<std::size_t> most_held = 0;

// Not inlined, so that the compiler does not take free() for the wrong counterpart of new.
[[gnu::noinline]] void* counted(void* memory) {
  if (memory == nullptr) {
    throw std::bad_alloc();
  }
  const std::size_t now = held += ::malloc_usable_size(memory);
  most_held = std::max(most_held.load(), now);  // of one thread
  return memory;
}

[[gnu::noinline]] void release(void* memory) {
  held -= ::malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) {
  return counted(std::malloc(std::max<std::size_t>(size, 1)));
}
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete(void* memory) noexcept { release(memory); }
void operator delete[](void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { release(memory); }

namespace vmcore::filters {
namespace {

constexpr std::uint64_t kGib = 1U << 30;

// The most bytes that were allocated at a time for planning such a guest, all windows gone through.
std::size_t memory_for(std::uint64_t gibibytes, std::uint64_t window) {
  Fd file = builders::memory_file();
  EXPECT_TRUE(builders::make_large_dump(gibibytes, 1, file.get()));
  const auto image = formats::open_dump(std::move(file));
  EXPECT_TRUE(image);
  const auto found = kernel::find_kernels(*image, kernel::Search::registers);
  EXPECT_TRUE(found && found->kernels.size() == 1);
  const std::size_t before = held;
  most_held = before;
  auto planner = Planner::make(*image->memory, &found->kernels.at(0), 0, {}, window, {});
  EXPECT_TRUE(planner);
  std::uint64_t kept = 0;
  while (!planner->done()) {
    kept += planner->next()->kept.count();
  }
  EXPECT_EQ(planner->summary().ram_pages, gibibytes * kGib / 4096);
  EXPECT_EQ(planner->summary().level_reached, 31U);
  EXPECT_EQ(planner->summary().kept_pages, kept);
  return most_held - before;
}

TEST(WindowMemory, DoesNotGrowWithTheGuest) {
  const std::size_t small = memory_for(4, kGib);
  const std::size_t large = memory_for(128, kGib);
  EXPECT_LT(large, small + 4096);
  EXPECT_LT(large, 5U << 20);
  RecordProperty("bytes", static_cast<int>(large));
}

// One bit a page for what is kept, another for what of that is a hole.
TEST(WindowMemory, OfOneWindowIsTwoBitsAPage) {
  constexpr std::uint64_t kMorePages = 128 * kGib / 4096;
  const std::size_t growth = memory_for(256, 0) - memory_for(128, 0);
  EXPECT_LT(growth, 2 * kMorePages / 8);
  EXPECT_GT(growth, kMorePages / 16) << "that growth can be seen";
}

}  // namespace
}  // namespace vmcore::filters
