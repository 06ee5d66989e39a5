// SPDX-License-Identifier: GPL-2.0-or-later
// This process's own memory stands for a guest's.
#include "src/acquire/process/guest_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <span>

#include "src/base/sys.h"

namespace vmcore::acquire {
namespace {

constexpr std::size_t kSize = 1 << 20;

TEST(GuestProcess, OpensTheFilesOfSharedMemory) {
  Fd file(::memfd_create("ram", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), 2 * kSize), 0);
  void* const at = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), kSize);
  ASSERT_NE(at, MAP_FAILED);
  static_cast<char*>(at)[100] = 'x';
  const auto process = GuestProcess::open(::getpid());
  ASSERT_TRUE(process) << process.error().message;
  const RamBlock block{{{0x4000}, kSize}, reinterpret_cast<std::uint64_t>(at)};
  for (const bool closed : {false, true}) {
    if (closed) {
      file.reset();  // the mapping has it still
    }
    const auto source = process->locate({&block, 1});
    if (closed && !source) {
      EXPECT_EQ(source.error().code, Errc::denied);  // map_files wants more than ptrace does
      break;
    }
    ASSERT_TRUE(source) << source.error().message;
    ASSERT_EQ(source->pieces.size(), 1U);
    ASSERT_EQ(source->files.size(), 1U);
    EXPECT_EQ(source->pieces[0].file, (FilePlace{0, kSize}));
    std::byte byte{};
    ASSERT_TRUE(sys::pread_full(source->files[0].get(), {&byte, 1}, kSize + 100));
    EXPECT_EQ(byte, std::byte{'x'});
  }
  ::munmap(at, kSize);
}

// Where a guest's pages lie in the host helps whoever attacks the host (rowhammer, for one).
TEST(GuestProcess, PagemapTellsNoFrames) {
  void* const at =
      ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(at, MAP_FAILED);
  static_cast<char*>(at)[0] = 'x';
  const RamBlock block{{{0}, kSize}, reinterpret_cast<std::uint64_t>(at)};
  constexpr std::uint64_t kFrame = (1ULL << 55) - 1;
  constexpr std::uint64_t kPresent = 1ULL << 63;
  const auto entry_by = [&](int pagemap) {
    std::uint64_t entry = 0;
    EXPECT_TRUE(sys::pread_full(pagemap, std::as_writable_bytes(std::span(&entry, 1)),
                                block.address / 4096 * sizeof entry));
    return entry;
  };
  const auto process = GuestProcess::open(::getpid());
  ASSERT_TRUE(process) << process.error().message;
  const auto source = process->locate({&block, 1});
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_EQ(entry_by(source->pagemap.get()) & kPresent, kPresent);
  EXPECT_EQ(entry_by(source->pagemap.get()) & kFrame, 0U);
  const bool are_shown =
      (entry_by(Fd(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)).get()) & kFrame) != 0;
  ::munmap(at, kSize);
  if (!are_shown) {
    GTEST_SKIP() << "without CAP_SYS_ADMIN nobody is shown frames";
  }
}

TEST(GuestProcess, KnowsItsThreads) {
  const auto process = GuestProcess::open(::getpid());
  ASSERT_TRUE(process);
  EXPECT_TRUE(process->has_thread(static_cast<std::uint64_t>(::syscall(SYS_gettid))));
  EXPECT_FALSE(process->has_thread(1));
  EXPECT_FALSE(process->has_thread(0));
}

TEST(GuestProcess, NoticesThatItIsGone) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::pause();
    ::_exit(0);
  }
  const auto process = GuestProcess::open(child);
  ASSERT_TRUE(process) << process.error().message;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  const RamBlock block{{{0}, 4096}, 4096};
  EXPECT_FALSE(process->locate({&block, 1}));
  const auto again = GuestProcess::open(child);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::not_found);
}

}  // namespace
}  // namespace vmcore::acquire
