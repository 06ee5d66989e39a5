// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/fetched_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "src/formats/dump_format.h"
#include "src/image/page.h"
#include "tests/builders/dump_builder.h"
#include "tests/builders/kernel_memory.h"

namespace vmcore::sources {
namespace {

using builders::Bytes;
using testing::SparseMemory;

constexpr std::uint64_t kMiB = 1 << 20;
// Begins and ends inside chunks of 4 MiB; a hole in the middle.
const std::vector<PhysRange> kRam{{{kMiB}, 20 * kMiB}, {{64 * kMiB}, 70 * kMiB}};

Bytes page_of(std::uint64_t pfn) { return builders::pages(pfn); }

bool is_ram(std::uint64_t address) {
  return kRam[0].contains({address}) || kRam[1].contains({address});
}

// A program that answers with ranged dumps of a guest, and keeps what it was asked.
class Program {
 public:
  Result<Fd> fetch(PhysRange range) {
    EXPECT_EQ(inside_.fetch_add(1), 0) << "called by two threads at a time";
    asked_.push_back(range);
    EXPECT_EQ(range.begin.value % kPageSize + range.size % kPageSize, 0U);
    EXPECT_TRUE(is_ram(range.begin.value) && is_ram(range.end().value - 1));
    builders::ElfDump dump;
    Bytes bytes;
    for (std::uint64_t at = range.begin.value; at < range.end().value; at += kPageSize) {
      const Bytes page = page_of(at / kPageSize);
      bytes.insert(bytes.end(), page.begin(), page.end());
    }
    dump.loads.push_back({range.begin.value, std::move(bytes)});
    --inside_;
    if (fail_) {
      return fail(Errc::guest_state, "the guest was resumed");
    }
    const Bytes file = dump.build();
    return builders::memory_file(std::span(file).first(file.size() - cut_short_));
  }

  std::vector<PhysRange> asked_;
  std::size_t cut_short_ = 0;
  bool fail_ = false;

 private:
  std::atomic<int> inside_ = 0;
};

class Fetched : public ::testing::Test {
 protected:
  Fetched()
      : memory_(ram_ranges(SparseMemory(kRam)),
                [this](PhysRange range) { return program_.fetch(range); }) {}

  Bytes read(std::uint64_t address, std::size_t size, std::optional<std::uint64_t> bad = {}) {
    Bytes bytes(size);
    const auto got = memory_.read({address}, bytes);
    EXPECT_TRUE(got) << got.error().message;
    bytes.resize(got->good);
    EXPECT_EQ(got->first_bad.has_value(), bad.has_value());
    if (bad && got->first_bad) {
      EXPECT_EQ(got->first_bad->value, *bad);
    }
    return bytes;
  }

  Program program_;
  FetchedMemory memory_;
};

TEST_F(Fetched, ReadsAcrossChunks) {
  const Bytes bytes = read(7 * kMiB, 6 * kMiB);
  ASSERT_EQ(bytes.size(), 6 * kMiB);
  for (std::uint64_t i = 0; i < bytes.size() / kPageSize; ++i) {
    ASSERT_TRUE(std::ranges::equal(std::span(bytes).subspan(i * kPageSize, kPageSize),
                                   page_of((7 * kMiB) / kPageSize + i)));
  }
  EXPECT_EQ(program_.asked_.size(), 3U);
}

TEST_F(Fetched, AllRamIsData) {
  EXPECT_EQ(memory_.extent({0}).presence, Presence::absent);
  EXPECT_EQ(memory_.extent({0}).range, (PhysRange{{0}, kMiB}));
  EXPECT_EQ(memory_.extent({kMiB + 8}).range, (PhysRange{{kMiB + 8}, 20 * kMiB - 8}));
  EXPECT_EQ(memory_.extent({kMiB + 8}).presence, Presence::data);
  EXPECT_EQ(memory_.extent({134 * kMiB}).range.end(), PhysAddr{kMaxPhysAddr});
  EXPECT_EQ(memory_.presence({64 * kMiB}), Presence::data);
  EXPECT_EQ(memory_.presence({63 * kMiB}), Presence::absent);
  EXPECT_TRUE(program_.asked_.empty());
}

TEST_F(Fetched, AsksForAChunkOnce) {
  read(9 * kMiB + 24, 8);
  read(8 * kMiB, 4096);
  read(12 * kMiB - 100, 100);
  ASSERT_EQ(program_.asked_.size(), 1U);
  EXPECT_EQ(program_.asked_[0], (PhysRange{{8 * kMiB}, 4 * kMiB}));
}

TEST_F(Fetched, ChunksEndWithRam) {
  read(kMiB + 5, 1);
  read(21 * kMiB - 5, 5);
  read(133 * kMiB, 1);
  ASSERT_EQ(program_.asked_.size(), 3U);
  EXPECT_EQ(program_.asked_[0], (PhysRange{{kMiB}, 3 * kMiB}));
  EXPECT_EQ(program_.asked_[1], (PhysRange{{20 * kMiB}, kMiB}));
  EXPECT_EQ(program_.asked_[2], (PhysRange{{132 * kMiB}, 2 * kMiB}));
}

TEST_F(Fetched, WhatIsNoRamIsNotAskedFor) {
  EXPECT_TRUE(read(0x123, 10, 0).empty());
  EXPECT_TRUE(read(40 * kMiB, kPageSize, 40 * kMiB).empty());
  EXPECT_TRUE(program_.asked_.empty());
  EXPECT_EQ(read(21 * kMiB - 10, 100, 21 * kMiB).size(), 10U);
}

TEST_F(Fetched, ADumpThatIsCutShortIsABadPage) {
  program_.cut_short_ = kPageSize + 5;
  EXPECT_EQ(read(12 * kMiB - 3 * kPageSize, 3 * kPageSize, 12 * kMiB - 2 * kPageSize).size(),
            kPageSize);
  EXPECT_TRUE(read(12 * kMiB - kPageSize + 7, 3, 12 * kMiB - kPageSize).empty());
}

TEST_F(Fetched, AFailureIsPassedOn) {
  program_.fail_ = true;
  Bytes bytes(8);
  const auto got = memory_.read({kMiB}, bytes);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Errc::guest_state);
}

// Whoever swallows the failure must not go on to a dump of a guest that ran meanwhile.
TEST_F(Fetched, AFailureIsFinal) {
  read(kMiB, 8);
  program_.fail_ = true;
  Bytes bytes(8);
  ASSERT_FALSE(memory_.read({100 * kMiB}, bytes));
  program_.fail_ = false;
  for (const std::uint64_t address : {100 * kMiB, 64 * kMiB, kMiB}) {
    const auto got = memory_.read({address}, bytes);
    ASSERT_FALSE(got) << address;
    EXPECT_EQ(got.error().code, Errc::guest_state);
  }
  EXPECT_EQ(program_.asked_.size(), 2U);
}

TEST_F(Fetched, OldChunksAreForgotten) {
  for (std::uint64_t chunk = 16; chunk < 32; ++chunk) {
    read(chunk * 4 * kMiB, 1);
  }
  EXPECT_EQ(program_.asked_.size(), 16U);
  read(31 * 4 * kMiB, 1);
  EXPECT_EQ(program_.asked_.size(), 16U);
  read(16 * 4 * kMiB, 1);
  EXPECT_EQ(program_.asked_.size(), 17U);
}

TEST_F(Fetched, ThreadsShareTheChunks) {
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t i = 0; i < 200; ++i) {
        const std::uint64_t pfn =
            (64 * kMiB) / kPageSize + (i * 83 + thread * 11) % (60 * kMiB / kPageSize);
        Bytes page(kPageSize);
        const auto got = memory_.read({pfn * kPageSize}, page);
        wrong += got && got->good == kPageSize && page == page_of(pfn) ? 0 : 1;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace vmcore::sources
