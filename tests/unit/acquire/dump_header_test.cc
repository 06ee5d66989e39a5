// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/dump_header.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "src/base/sys.h"

namespace vmcore::acquire {
namespace {

// A dump whose notes end there, with memory behind them; what is read of it.
class DumpHeader : public testing::Test {
 protected:
  static std::string dump(std::uint64_t notes_at, std::uint64_t notes_size, std::size_t length) {
    Elf64_Ehdr header{};
    header.e_phoff = 192;  // as of QEMU 7.2
    header.e_phnum = 2;
    Elf64_Phdr segments[2] = {};
    segments[0].p_type = PT_NOTE;
    segments[0].p_offset = notes_at;
    segments[0].p_filesz = notes_size;
    segments[1].p_type = PT_LOAD;
    segments[1].p_offset = notes_at + notes_size;
    segments[1].p_filesz = 1ULL << 40;
    std::string bytes(length, 'm');
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + 192, segments, sizeof segments);
    return bytes;
  }
  // The bytes that were read; `held`: the writer has not closed the pipe.
  Result<std::uint64_t> read(const std::string& bytes, bool held) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    const Fd out(ends[0]);
    Fd in(ends[1]);
    EXPECT_GE(::fcntl(in.get(), F_SETPIPE_SZ, 1 << 20), 1 << 20);
    EXPECT_TRUE(sys::write_full(in.get(), std::as_bytes(std::span(bytes))));
    if (!held) {
      in.reset();
    }
    TRY_ASSIGN(const Fd file, read_dump_header(out.get()));
    return sys::file_size(file.get());
  }
};

TEST_F(DumpHeader, GoesAsFarAsTheNotes) {
  const auto size = read(dump(0x1548, 100'000, 900'000), true);
  ASSERT_TRUE(size);
  EXPECT_GE(*size, 0x1548U + 100'000);
  EXPECT_LT(*size, 0x1548U + 100'000 + (64U << 10));
}

// Of a guest that is not in 64-bit mode.
TEST_F(DumpHeader, OfClass32GoesAsFarAsTheNotes) {
  Elf32_Ehdr header{};
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_phoff = 52;
  header.e_phnum = 2;
  Elf32_Phdr segments[2] = {};
  segments[0].p_type = PT_NOTE;
  segments[0].p_offset = 0x1000;
  segments[0].p_filesz = 100'000;
  segments[1].p_type = PT_LOAD;
  segments[1].p_filesz = 1U << 31;
  std::string bytes(900'000, 'm');
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + 52, segments, sizeof segments);
  const auto size = read(bytes, true);
  ASSERT_TRUE(size);
  EXPECT_GE(*size, 0x1000U + 100'000);
  EXPECT_LT(*size, 0x1000U + 100'000 + (64U << 10));
}

TEST_F(DumpHeader, EndsWithTheDump) { EXPECT_EQ(*read(dump(0x1548, 100'000, 5000), false), 5000U); }

TEST_F(DumpHeader, IsBounded) {
  EXPECT_EQ(*read(dump(0x1548, ~0ULL, 900'000), false), 900'000U);
  EXPECT_LE(*read(dump(~0ULL, 8, 900'000), true), 64U << 10);
}

}  // namespace
}  // namespace vmcore::acquire
