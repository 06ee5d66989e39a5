// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/printk_log.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/builders/kernel_builder.h"

namespace vmcore::kernel {
namespace {

using testing::GuestBuilder;

struct Log {
  Result<LogSummary> summary;
  std::vector<std::string> lines;
};

Log log_of(const MemoryImage& image) {
  const auto found = find_kernels(image, Search::registers);
  EXPECT_EQ(found->kernels.size(), 1U);
  Log log;
  log.summary = read_printk_log(found->kernels.at(0), [&](const LogRecord& record) {
    log.lines.push_back(format_log_record(record));
    return true;
  });
  return log;
}

class LogLayouts : public ::testing::TestWithParam<const char*> {};

TEST_P(LogLayouts, GivesTheRecordsInOrder) {
  GuestBuilder guest(GetParam());
  guest.log(0, "Linux version").log(1'234'567'890, "second").log(12'345'000'000'000, "");
  const Log log = log_of(guest.build());
  ASSERT_TRUE(log.summary) << log.summary.error().message;
  EXPECT_EQ(log.lines, (std::vector<std::string>{"[    0.000000] Linux version\n",
                                                 "[    1.234567] second\n", "[12345.000000] \n"}));
  EXPECT_EQ(log.summary->records, 3U);
  EXPECT_EQ(log.summary->lost, 0U);
  EXPECT_EQ(log.summary->last_nanoseconds, 12'345'000'000'000U);
}

TEST_P(LogLayouts, StopsOnRequest) {
  GuestBuilder guest(GetParam());
  guest.log(0, "a").log(0, "b");
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::registers);
  const auto summary = read_printk_log(found->kernels.at(0), [](const LogRecord& record) {
    EXPECT_EQ(record.level, 6U);
    EXPECT_EQ(record.text, "a");
    return false;
  });
  EXPECT_EQ(summary->records, 1U);
}

INSTANTIATE_TEST_SUITE_P(All, LogLayouts, ::testing::Values("5.4", "5.15", "6.1", "6.12", "7.1"));

TEST(PrintkRing, WrapsAndKeepsTheLatest) {
  GuestBuilder guest("6.1");
  for (unsigned i = 0; i < 200; ++i) {
    guest.log(i * 1'000'000'000ULL, fmt::format("record {} {}", i, std::string(i % 50, 'x')));
  }
  const Log log = log_of(guest.build());
  ASSERT_TRUE(log.summary) << log.summary.error().message;
  // 64 descriptors; all their texts fit the ring of 4 KiB.
  ASSERT_EQ(log.lines.size(), 64U);
  EXPECT_EQ(log.lines.front(), "[  136.000000] record 136 " + std::string(36, 'x') + "\n");
  EXPECT_EQ(log.lines.back(), "[  199.000000] record 199 " + std::string(49, 'x') + "\n");
}

TEST(PrintkRing, OverwrittenTextIsLost) {
  GuestBuilder guest("6.1");
  for (unsigned i = 0; i < 40; ++i) {
    guest.log(i, std::string(200, static_cast<char>('a' + i % 26)));
  }
  const Log log = log_of(guest.build());
  ASSERT_TRUE(log.summary);
  EXPECT_EQ(log.summary->records + log.summary->lost, 40U);
  EXPECT_GT(log.summary->lost, 10U);
  EXPECT_EQ(log.lines.back().substr(15, 3), std::string(3, static_cast<char>('a' + 39 % 26)));
}

// Writes one word behind a symbol of a guest whose log has two records.
class HostileRing : public ::testing::Test {
 protected:
  HostileRing() { guest.log(1, "first").log(2, "second"); }

  void build() {
    image = guest.build();
    prb = read(guest.symbol("prb"));
  }
  static PhysAddr physical(std::uint64_t address) { return {address - 0xffff'ffff'8000'0000}; }
  std::uint64_t read(VirtAddr at) const {
    std::uint64_t value = 0;
    EXPECT_TRUE(read_exactly(*image.memory, physical(at.value),
                             std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }
  template <class T>
  void write(std::uint64_t at, T value) {
    static_cast<testing::SparseMemory&>(*image.memory).write_value(physical(at), value);
  }

  GuestBuilder guest{"6.1"};
  MemoryImage image;
  std::uint64_t prb = 0;
};

TEST_F(HostileRing, SizesBeyondReason) {
  build();
  for (const std::uint32_t bits : {0U, 25U, 32U, 64U, 0xffff'ffffU}) {
    write(prb, bits);
    EXPECT_EQ(log_of(image).summary.error().code, Errc::limit) << bits;
  }
  write(prb, std::uint32_t{6});
  for (const std::uint32_t bits : {0U, 3U, 30U, 64U, 0xffff'ffffU}) {
    write(prb + 48, bits);
    EXPECT_EQ(log_of(image).summary.error().code, Errc::limit) << bits;
  }
}

TEST_F(HostileRing, HeadFarFromTail) {
  build();
  write(prb + 24, std::uint64_t{0x1234'5678'9abc});
  const Log log = log_of(image);
  ASSERT_TRUE(log.summary);
  EXPECT_LE(log.lines.size(), 64U);
}

TEST_F(HostileRing, PositionsThatContradictThemselves) {
  build();
  const std::uint64_t descs = read({prb + 8});
  const std::uint64_t first = descs + ((~0ULL >> 2) - 1) % 64 * 24;
  struct Pair {
    std::uint64_t begin, next;
  };
  for (const Pair pair : {Pair{0, 0}, Pair{8, 0}, Pair{0, 8}, Pair{0, ~0ULL}, Pair{~7ULL, 16},
                          Pair{4088, 4104}, Pair{0, 8192}, Pair{1, 1}, Pair{1, 3}, Pair{4, 7}}) {
    write(first + 8, pair.begin);
    write(first + 16, pair.next);
    const Log log = log_of(image);
    ASSERT_TRUE(log.summary);
    EXPECT_EQ(log.summary->lost, 1U) << pair.begin << ' ' << pair.next;
    EXPECT_EQ(log.lines.size(), 1U);
  }
  write(first + 8, std::uint64_t{3});
  write(first + 16, std::uint64_t{3});
  EXPECT_EQ(log_of(image).lines.at(0), "[    0.000000] \n");
}

// Texts that lie in each other would make much of a small ring.
TEST_F(HostileRing, TextsThatOverlap) {
  for (int i = 0; i < 60; ++i) {
    guest.log(1, "x");
  }
  build();
  const std::uint64_t descs = read({prb + 8});
  const std::uint64_t infos = read({prb + 16});
  const std::uint64_t text = read({prb + 48 + 8});
  for (std::uint64_t i = 0; i < 62; ++i) {
    const std::uint64_t id = ((~0ULL >> 2) - 1 + i) & (~0ULL >> 2);
    const std::uint64_t place = i * 8;
    write(descs + id % 64 * 24 + 8, place);
    write(descs + id % 64 * 24 + 16, place + 1024);
    write(infos + id % 64 * 88 + 16, std::uint16_t{1000});
    write(text + place, id);
  }
  const Log log = log_of(image);
  ASSERT_TRUE(log.summary);
  EXPECT_EQ(log.lines.size(), 4U);  // 4096 bytes of text are in the ring at most
  EXPECT_EQ(log.summary->lost, 58U);
}

TEST_F(HostileRing, TextLongerThanItsBlock) {
  build();
  const std::uint64_t infos = read({prb + 16});
  write(infos + ((~0ULL >> 2) - 1) % 64 * 88 + 16, std::uint16_t{0xffff});
  const Log log = log_of(image);
  EXPECT_EQ(log.lines.at(0), "[    0.000000] first\\x00\\x00\\x00\n");
}

TEST_F(HostileRing, PointersToNowhere) {
  build();
  write(prb + 8, std::uint64_t{0x4141'4141'4141'4141});
  const Log log = log_of(image);
  ASSERT_TRUE(log.summary);
  EXPECT_EQ(log.summary->lost, 2U);
  write(guest.symbol("prb").value, std::uint64_t{8});
  EXPECT_EQ(log_of(image).summary.error().code, Errc::unreadable);
}

TEST_F(HostileRing, OffsetsOutsideTheirStruct) {
  for (const char* key : {"OFFSET(printk_info.seq)", "OFFSET(prb_desc.state_var)",
                          "OFFSET(printk_info.text_len)", "OFFSET(prb_desc.text_blk_lpos)"}) {
    GuestBuilder wrong("6.1");
    wrong.log(1, "x").vmcoreinfo(key, "86");
    EXPECT_EQ(log_of(wrong.build()).summary.error().code, Errc::malformed) << key;
  }
}

TEST(PrintkRecords, ALengthThatLeadsNowhereEnds) {
  GuestBuilder guest("5.4");
  guest.log(1, "first").log(2, "second");
  const MemoryImage image = guest.build();
  auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
  const PhysAddr buffer_at{guest.symbol("log_buf").value - 0xffff'ffff'8000'0000};
  std::uint64_t buffer = 0;
  ASSERT_TRUE(read_exactly(memory, buffer_at, std::as_writable_bytes(std::span(&buffer, 1))));
  const PhysAddr first{buffer - 0xffff'ffff'8000'0000};
  for (const unsigned value : {0U, 1U, 15U, 0xffffU}) {
    const auto length = static_cast<std::uint16_t>(value);
    memory.write_value(first + 8, length);
    const Log log = log_of(image);
    ASSERT_TRUE(log.summary) << length;
    EXPECT_LE(log.lines.size(), 1U);
  }
  // A record that leads back to itself by way of the wrap.
  memory.write_value(first + 8, std::uint16_t{24});
  memory.write_value(first + 24 + 8, std::uint16_t{0});
  const PhysAddr next{guest.symbol("log_next_idx").value - 0xffff'ffff'8000'0000};
  memory.write_value(next, std::uint32_t{4000});
  const Log log = log_of(image);
  ASSERT_TRUE(log.summary);
  EXPECT_LT(log.lines.size(), 300U);
}

TEST(PrintkLog, AbsentOrTooOld) {
  GuestBuilder none("6.1");
  none.vmcoreinfo("SYMBOL(prb)", std::nullopt);
  EXPECT_EQ(log_of(none.build()).summary.error().code, Errc::not_found);
  GuestBuilder old("5.4");
  old.vmcoreinfo("SYMBOL(log_first_idx)", std::nullopt);
  EXPECT_EQ(log_of(old.build()).summary.error().code, Errc::unsupported);
}

Log log_with_callers(const MemoryImage& image) {
  const auto found = find_kernels(image, Search::registers);
  Log log;
  log.summary = read_printk_log(found->kernels.at(0), [&](const LogRecord& record) {
    log.lines.push_back(format_log_record(record, true));
    return true;
  });
  return log;
}

TEST(PrintkLog, TellsWhoWroteARecord) {
  GuestBuilder guest("6.1");
  guest.log(0, "of the boot").log(1'234'567'890, "of\na CPU", 0x80000002).log(0, "x", 1234567);
  const Log log = log_with_callers(guest.build());
  ASSERT_TRUE(log.summary);
  EXPECT_TRUE(log.summary->callers);
  EXPECT_EQ(log.lines,
            (std::vector<std::string>{"[    0.000000] [    T0] of the boot\n",
                                      "[    1.234567] [    C2] of\n                        a CPU\n",
                                      "[    0.000000] [T1234567] x\n"}));
}

TEST(PrintkLog, BeforeTheRingOnlySomeKernelsTellWhoWroteARecord) {
  GuestBuilder without("5.4");
  without.log(0, "a line");
  const Log none = log_with_callers(without.build());
  EXPECT_FALSE(none.summary->callers);
  EXPECT_EQ(none.lines.at(0), "[    0.000000] a line\n");
  GuestBuilder with("5.4");
  with.vmcoreinfo("SIZE(printk_log)", "24").vmcoreinfo("OFFSET(printk_log.caller_id)", "16");
  with.log(0, std::string_view("\x03\0\0\x80\0\0\0\0the text", 16));
  const Log log = log_with_callers(with.build());
  ASSERT_TRUE(log.summary) << log.summary.error().message;
  EXPECT_TRUE(log.summary->callers);
  EXPECT_EQ(log.lines.at(0), "[    0.000000] [    C3] the text\n");
}

TEST(PrintkLog, ACallerBehindTheRecordIsNotBelieved) {
  GuestBuilder guest("6.1");
  guest.vmcoreinfo("OFFSET(printk_info.caller_id)", "86").log(0, "a line");
  EXPECT_EQ(log_of(guest.build()).summary.error().code, Errc::malformed);
}

std::string formatted(std::string_view text) {
  LogRecord record;
  record.text = text;
  return format_log_record(record).substr(15);
}

TEST(FormatLogRecord, EscapesWhatTurnsLettersAround) {
  EXPECT_EQ(formatted("a\u202ecba\u2066\u200f\u061c"),
            "a\\xe2\\x80\\xaecba\\xe2\\x81\\xa6\\xe2\\x80\\x8f\\xd8\\x9c\n");
}

TEST(FormatLogRecord, EscapesWhatTerminalsActOn) {
  EXPECT_EQ(formatted("a\x1b[2Jb"), "a\\x1b[2Jb\n");
  EXPECT_EQ(formatted("tab\there"), "tab\there\n");
  EXPECT_EQ(formatted("one\ntwo"), "one\n               two\n");
  EXPECT_EQ(formatted("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f\n");
  EXPECT_EQ(formatted("\xe2\x82\xac \xf0\x9f\x90\xa7"), "\xe2\x82\xac \xf0\x9f\x90\xa7\n");
  EXPECT_EQ(formatted("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m\n");                                        // CSI as C1 control
  EXPECT_EQ(formatted("\xc0\xaf"), "\\xc0\\xaf\n");                    // overlong
  EXPECT_EQ(formatted("\xed\xa0\x80"), "\\xed\\xa0\\x80\n");           // surrogate
  EXPECT_EQ(formatted("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80\n");  // beyond Unicode
  EXPECT_EQ(formatted("\xe2\x82"), "\\xe2\\x82\n");                    // cut short
}

}  // namespace
}  // namespace vmcore::kernel
