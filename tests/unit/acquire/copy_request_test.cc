// SPDX-License-Identifier: GPL-2.0-or-later
// This process's own memory stands for a guest's, and the test for a worker that was taken over.
#include "src/acquire/process/copy_request.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "src/image/page.h"

namespace vmcore::acquire {
namespace {

using sandbox::CopyEntry;
using sandbox::CopyRoom;

constexpr std::uint64_t kRoom = 16 * kPageSize;

// Two pieces that are neighbours in the process and not in the guest, and one that is shared.
const std::vector<Piece> kPieces{
    {.range = {{0}, 4 * kPageSize}, .address = 0x7f0000000000, .file = {}},
    {.range = {{1 << 20}, 4 * kPageSize}, .address = 0x7f0000004000, .file = {}},
    {.range = {{2 << 20}, 4 * kPageSize}, .address = {}, .file = FilePlace{0, 0x7f0000010000}}};

bool allowed(const std::vector<CopyEntry>& entries) {
  const auto checked = checked_entries(entries, entries.size(), kPieces, kRoom);
  if (!checked) {
    EXPECT_EQ(checked.error().code, Errc::malformed);
  }
  return checked.has_value();
}

TEST(CopyRequest, WhatLiesInAPieceIsCopied) {
  EXPECT_TRUE(allowed({}));
  EXPECT_TRUE(allowed({{0x7f0000000000, 0, 4 * kPageSize}}));
  EXPECT_TRUE(allowed({{0x7f0000003fff, kRoom - 1, 1}}));
  EXPECT_TRUE(allowed({{0x7f0000000000, 0, 4 * kPageSize}, {0x7f0000004000, 0, 4 * kPageSize}}));
}

TEST(CopyRequest, NothingElseOfTheProcessIs) {
  EXPECT_FALSE(allowed({{0x7efffffff000, 0, kPageSize}}));
  EXPECT_FALSE(allowed({{0x7efffffffffe, 0, kPageSize}}));      // from before it
  EXPECT_FALSE(allowed({{0x7f0000007001, 0, kPageSize}}));      // across its end
  EXPECT_FALSE(allowed({{0x7f0000008000, 0, kPageSize}}));      // behind it
  EXPECT_FALSE(allowed({{0x7f0000003000, 0, 2 * kPageSize}}));  // from one into the next
  EXPECT_FALSE(allowed({{0x7f0000010000, 0, kPageSize}}));      // a place in a file is no address
  EXPECT_FALSE(allowed({{0, 0, kPageSize}}));
  EXPECT_FALSE(allowed({{0x7f0000001000, 0, ~0ULL - 0x100}}));         // the sum wraps
  EXPECT_FALSE(allowed({{~0ULL - kPageSize + 1, 0, kPageSize}}));      // ends at 2^64
  EXPECT_FALSE(allowed({{0x7f0000000000, 0, kPageSize}, {1, 0, 1}}));  // one bad entry is enough
}

TEST(CopyRequest, NothingGoesBesideTheRoom) {
  EXPECT_FALSE(allowed({{0x7f0000000000, kRoom, kPageSize}}));
  EXPECT_FALSE(allowed({{0x7f0000000000, kRoom - kPageSize + 1, kPageSize}}));
  EXPECT_FALSE(allowed({{0x7f0000000000, ~0ULL - 10, kPageSize}}));
  EXPECT_FALSE(allowed({{0x7f0000000000, 1ULL << 63, kPageSize}}));
}

// Else a small table could keep us, and the guest, for hours.
TEST(CopyRequest, NoMoreThanTheRoomIsCopiedAtOnce) {
  const CopyEntry entry{0x7f0000000000, 0, 4 * kPageSize};
  EXPECT_TRUE(allowed({entry, entry, entry, entry}));
  EXPECT_FALSE(allowed({entry, entry, entry, entry, {0x7f0000000000, 0, 1}}));
}

TEST(CopyRequest, NoMoreEntriesThanTheTableHas) {
  const std::vector<CopyEntry> table(3, {0x7f0000000000, 0, 1});
  EXPECT_TRUE(checked_entries(table, 3, kPieces, kRoom));
  EXPECT_FALSE(checked_entries(table, 4, kPieces, kRoom));
  EXPECT_FALSE(checked_entries(table, ~0ULL, kPieces, kRoom));
}

TEST(CopyRequest, ARoomThatIsTooSmallForItsTableIsNone) {
  const auto file = make_memory_file("room");
  ASSERT_TRUE(file);
  ASSERT_EQ(::ftruncate(file->get(), kPageSize), 0);
  const auto room = CopyRoom::map(file->get());
  ASSERT_FALSE(room);
  EXPECT_EQ(room.error().code, Errc::malformed);
}

TEST(CopyRequest, NobodyCanTakeMemoryAwayFromTheRoom) {
  const auto file = CopyRoom::make(kRoom);
  ASSERT_TRUE(file);
  EXPECT_NE(::ftruncate(file->get(), kPageSize), 0);
  EXPECT_NE(::ftruncate(file->get(), 1 << 30), 0);
}

class CopyForWorker : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSize = 8 << 20;

  void SetUp() override {
    void* const at =
        ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(at, MAP_FAILED);
    ram_ = static_cast<char*>(at);
    for (std::uint64_t page = 0; page < kSize / kPageSize; ++page) {
      std::memset(ram_ + page * kPageSize, static_cast<int>(page % 251 + 1), kPageSize);
    }
    pieces_ = {{.range = {{0}, kSize}, .address = address(0), .file = {}}};
    const auto file = CopyRoom::make(kSize);
    ASSERT_TRUE(file);
    auto room = CopyRoom::map(file->get());
    ASSERT_TRUE(room);
    room_.emplace(*std::move(room));
  }
  void TearDown() override { ::munmap(ram_, kSize); }

  std::uint64_t address(std::uint64_t offset) const {
    return reinterpret_cast<std::uint64_t>(ram_) + offset;
  }

  char* ram_ = nullptr;
  std::vector<Piece> pieces_;
  std::optional<CopyRoom> room_;
};

TEST_F(CopyForWorker, CopiesEachEntryToItsPlace) {
  const auto process = GuestProcess::open(::getpid());
  ASSERT_TRUE(process) << process.error().message;
  // Backwards, page by page: more than one call takes, and one thread.
  const std::uint64_t pages = kSize / kPageSize;
  for (std::uint64_t page = 0; page < pages; ++page) {
    room_->table()[page] = {address(page * kPageSize), (pages - 1 - page) * kPageSize, kPageSize};
  }
  const auto copied = copy_for_worker(*process, pieces_, *room_, pages);
  ASSERT_TRUE(copied) << copied.error().message;
  for (std::uint64_t page = 0; page < pages; ++page) {
    ASSERT_EQ(room_->table()[page].size, kPageSize);
    ASSERT_EQ(std::memcmp(room_->pages().data() + (pages - 1 - page) * kPageSize,
                          ram_ + page * kPageSize, kPageSize),
              0);
  }
}

TEST_F(CopyForWorker, APageThatCannotBeHadEndsItsEntry) {
  const auto process = GuestProcess::open(::getpid());
  ASSERT_TRUE(process);
  ASSERT_EQ(::munmap(ram_ + 3 * kPageSize, kPageSize), 0);
  room_->table()[0] = {address(0), 0, 2 * kPageSize};
  room_->table()[1] = {address(2 * kPageSize), 2 * kPageSize, 3 * kPageSize};
  room_->table()[2] = {address(8 * kPageSize), 8 * kPageSize, kPageSize};
  ASSERT_TRUE(copy_for_worker(*process, pieces_, *room_, 3));
  EXPECT_EQ(room_->table()[0].size, 2 * kPageSize);
  EXPECT_EQ(room_->table()[1].size, kPageSize);
  EXPECT_EQ(room_->table()[2].size, 0U);  // is read otherwise
}

TEST_F(CopyForWorker, NothingIsCopiedWhereOneEntryIsRefused) {
  const auto process = GuestProcess::open(::getpid());
  ASSERT_TRUE(process);
  room_->table()[0] = {address(0), 0, kPageSize};
  room_->table()[1] = {reinterpret_cast<std::uint64_t>(&pieces_), kPageSize, 8};
  const auto copied = copy_for_worker(*process, pieces_, *room_, 2);
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code, Errc::malformed);
  EXPECT_EQ(room_->pages()[0], std::byte{0});
}

// As a thread of the worker asks for it.
TEST_F(CopyForWorker, OneEntryIsReadAndNothingElse) {
  const auto process = GuestProcess::open(::getpid());
  ASSERT_TRUE(process);
  EXPECT_EQ(read_for_worker(*process, pieces_, *room_, {address(kPageSize), 0, kPageSize}),
            kPageSize);
  EXPECT_EQ(std::memcmp(room_->pages().data(), ram_ + kPageSize, kPageSize), 0);
  for (const CopyEntry& beside :
       {CopyEntry{address(0) - kPageSize, 0, kPageSize}, CopyEntry{address(kSize) - 1, 0, 2},
        CopyEntry{reinterpret_cast<std::uint64_t>(&pieces_), 0, 8},
        CopyEntry{address(0), kSize, 1}}) {
    const auto refused = read_for_worker(*process, pieces_, *room_, beside);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::malformed);
  }
}

// process_vm_readv(2) does not, and /proc/PID/mem does.
TEST_F(CopyForWorker, WhatIsMappedWithoutAccessIsRead) {
  const auto process = GuestProcess::open(::getpid());
  ASSERT_TRUE(process);
  ASSERT_EQ(::mprotect(ram_ + kPageSize, kPageSize, PROT_NONE), 0);
  EXPECT_EQ(read_for_worker(*process, pieces_, *room_, {address(0), 0, 3 * kPageSize}),
            3 * kPageSize);
  EXPECT_EQ(room_->pages()[kPageSize], std::byte{2});
  EXPECT_EQ(room_->pages()[2 * kPageSize], std::byte{3});
  ASSERT_EQ(::munmap(ram_ + 2 * kPageSize, kPageSize), 0);
  EXPECT_EQ(read_for_worker(*process, pieces_, *room_, {address(0), 0, 3 * kPageSize}),
            2 * kPageSize);
}

// By its number another process could be read.
TEST_F(CopyForWorker, AProcessThatHasEndedIsNotRead) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto process = GuestProcess::open(child);
  ASSERT_TRUE(process);
  room_->table()[0] = {address(0), 0, kPageSize};
  ASSERT_TRUE(copy_for_worker(*process, pieces_, *room_, 1));
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  const auto copied = copy_for_worker(*process, pieces_, *room_, 1);
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code, Errc::not_found);
}

// The same number, and another program.
TEST_F(CopyForWorker, AProcessThatRunsAnotherProgramIsNotRead) {
  int line[2];
  ASSERT_EQ(::pipe(line), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char byte = 0;
    if (::read(line[0], &byte, 1) == 1) {
      ::execl("/bin/sleep", "sleep", "60", nullptr);
    }
    ::_exit(1);
  }
  const auto process = GuestProcess::open(child);
  ASSERT_TRUE(process);
  room_->table()[0] = {address(0), 0, kPageSize};
  ASSERT_TRUE(copy_for_worker(*process, pieces_, *room_, 1));
  ASSERT_EQ(::write(line[1], "x", 1), 1);
  Result<> copied;
  for (int i = 0; i < 500 && copied; ++i) {
    ::usleep(10'000);
    room_->table()[0] = {address(0), 0, kPageSize};
    copied = copy_for_worker(*process, pieces_, *room_, 1);
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(line[0]);
  ::close(line[1]);
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().code, Errc::not_found);
}

}  // namespace
}  // namespace vmcore::acquire
