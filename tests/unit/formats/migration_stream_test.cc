// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/qemu/migration_stream.h"

#include <gtest/gtest.h>

#include <map>

#include "src/base/sys.h"
#include "src/image/page.h"
#include "tests/builders/stream_builder.h"

namespace vmcore::formats {
namespace {

using builders::StreamBuilder;

// What came of each page: "block+offset": its byte, '0' for zeros.
class Collector : public PageSink {
 public:
  Result<> blocks(std::span<const StreamBlock> blocks) override {
    blocks_.assign(blocks.begin(), blocks.end());
    return {};
  }
  Result<> page(std::size_t block, std::uint64_t offset, std::span<const std::byte> page) override {
    const char seen = page.empty() ? '0' : static_cast<char>(page.front());
    EXPECT_TRUE(page.empty() || page.size() == kPageSize);
    EXPECT_TRUE(page.empty() || page.back() == page.front());
    pages_[fmt::format("{}+{:#x}", blocks_.at(block).name, offset)] += seen;
    return {};
  }
  Result<> passed(std::uint64_t offset) override {
    EXPECT_GE(offset, passed_);
    passed_ = offset;
    return {};
  }

  std::vector<StreamBlock> blocks_;
  std::map<std::string, std::string> pages_;
  std::uint64_t passed_ = 0;
};

class MigrationStream : public testing::Test {
 protected:
  Result<std::vector<std::byte>> read(const std::vector<std::byte>& bytes) {
    Fd file = *make_memory_file("stream");
    EXPECT_TRUE(sys::pwrite_full(file.get(), bytes, 0));
    const auto source = *open_plain(std::move(file));
    return read_migration_stream(*source, pages_);
  }
  Errc refused(const std::vector<std::byte>& bytes) {
    const auto state = read(bytes);
    EXPECT_FALSE(state);
    return state ? Errc::cancelled : state.error().code;
  }

  Collector pages_;
};

// A stream whose RAM is open for pages.
StreamBuilder begun() {
  StreamBuilder stream;
  stream.header().configuration().ram_start(
      {{"ram0", 4 * kPageSize}, {"0000:00:02.0/vga.vram", kPageSize}});
  return stream.ram_part();
}

std::vector<std::byte> finished(StreamBuilder stream) {
  return stream.end_of_pages().footer(StreamBuilder::kRam).device("cpu", 0, 12).bytes();
}

TEST_F(MigrationStream, TellsBlocksPagesAndTheRest) {
  StreamBuilder stream = begun();
  stream.page(0, 'a', "ram0").page(kPageSize, 'b').zero_page(2 * kPageSize);
  stream.page(0, 'v', "0000:00:02.0/vga.vram").page(3 * kPageSize, 'd', "ram0");
  const auto state = read(finished(stream));
  ASSERT_TRUE(state) << state.error().message;
  ASSERT_EQ(pages_.blocks_.size(), 2U);
  EXPECT_EQ(pages_.blocks_[1].name, "0000:00:02.0/vga.vram");
  EXPECT_EQ(pages_.blocks_[0].size, 4 * kPageSize);
  const std::map<std::string, std::string> expected{{"ram0+0x0", "a"},
                                                    {"ram0+0x1000", "b"},
                                                    {"ram0+0x2000", "0"},
                                                    {"ram0+0x3000", "d"},
                                                    {"0000:00:02.0/vga.vram+0x0", "v"}};
  EXPECT_EQ(pages_.pages_, expected);
  EXPECT_EQ(*state, StreamBuilder().device("cpu", 0, 12).bytes());
}

TEST_F(MigrationStream, TellsAPageAsOftenAsItComes) {
  StreamBuilder stream = begun();
  stream.page(0, 'a', "ram0").zero_page(0).page(0, 'c');
  ASSERT_TRUE(read(finished(stream)));
  EXPECT_EQ(pages_.pages_["ram0+0x0"], "a0c");
}

TEST_F(MigrationStream, ReadsManyPartsAndGoesWithoutFooters) {
  StreamBuilder stream = begun();
  stream.page(0, 'a', "ram0").end_of_pages();
  stream.ram_part().page(kPageSize, 'b', "ram0").end_of_pages().footer(StreamBuilder::kRam);
  stream.number(3, 1).number(StreamBuilder::kRam, 4).page(2 * kPageSize, 'c', "ram0");
  ASSERT_TRUE(read(finished(stream)));
  EXPECT_EQ(pages_.pages_.size(), 3U);
}

TEST_F(MigrationStream, FillsAPageOfOneByte) {
  StreamBuilder stream = begun();
  ASSERT_TRUE(read(finished(stream.zero_page(0, "ram0", 'x'))));
  EXPECT_EQ(pages_.pages_["ram0+0x0"], "x");
}

TEST_F(MigrationStream, ReadsMoreThanItsBuffer) {
  constexpr std::uint64_t kPages = 1000;
  StreamBuilder stream;
  stream.header().ram_start({{"ram0", kPages * kPageSize}}).ram_part();
  stream.page(0, 'a', "ram0");
  for (std::uint64_t i = 1; i < kPages; ++i) {
    stream.page(i * kPageSize, static_cast<char>('a' + i % 26));
  }
  ASSERT_TRUE(read(finished(stream)));
  EXPECT_EQ(pages_.pages_.size(), kPages);
  EXPECT_EQ(pages_.pages_[fmt::format("ram0+{:#x}", 999 * kPageSize)],
            std::string(1, 'a' + 999 % 26));
  EXPECT_GT(pages_.passed_, 2U << 20);
}

TEST_F(MigrationStream, EndsWhereverItIsCut) {
  StreamBuilder stream = begun();
  stream.page(0, 'a', "ram0");
  const std::size_t size = stream.bytes().size();
  for (std::size_t cut = 1; cut < size; cut += cut < 100 || cut > size - 200 ? 1 : 97) {
    pages_ = {};
    const Errc code = refused(stream.without(cut));
    EXPECT_EQ(code, Errc::truncated) << cut;
  }
}

TEST_F(MigrationStream, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(refused(StreamBuilder().raw("QEMU").number(3, 4).bytes()), Errc::not_recognised);
  EXPECT_EQ(refused(StreamBuilder().raw("QEVM").number(2, 4).bytes()), Errc::unsupported);
  // A command, and a subsection of the configuration.
  EXPECT_EQ(refused(StreamBuilder().header().number(8, 1).number(0, 4).bytes()), Errc::unsupported);
  EXPECT_EQ(refused(StreamBuilder().header().configuration().number(5, 1).bytes()),
            Errc::unsupported);
  // Another kind of memory in front of the devices.
  EXPECT_EQ(refused(StreamBuilder()
                        .header()
                        .number(1, 1)
                        .number(7, 4)
                        .text("dirty-bitmap")
                        .number(0, 4)
                        .number(1, 4)
                        .bytes()),
            Errc::unsupported);
  // XBZRLE, a hook, compression, multifd, and two kinds at once.
  for (const std::uint64_t flags : {0x40U, 0x80U, 0x100U, 0x200U, 0x0aU, 0x00U}) {
    pages_ = {};
    EXPECT_EQ(refused(begun().word(flags, "ram0").number(0, 8).bytes()), Errc::unsupported)
        << flags;
  }
}

TEST_F(MigrationStream, RefusesPagesOutsideOfBlocks) {
  EXPECT_EQ(refused(finished(begun().page(4 * kPageSize, 'a', "ram0"))), Errc::malformed);
  pages_ = {};
  EXPECT_EQ(refused(finished(begun().page(0, 'a', "ram1"))), Errc::malformed);
  pages_ = {};
  EXPECT_EQ(refused(finished(begun().page(0, 'a'))), Errc::malformed);
}

TEST_F(MigrationStream, RefusesBlocksThatLie) {
  const auto listed = [](std::uint64_t total, std::uint64_t size) {
    StreamBuilder stream;
    stream.header().number(1, 1).number(2, 4).text("ram").number(0, 4).number(4, 4);
    return stream.number(total | 4, 8).text("ram0").number(size, 8).bytes();
  };
  EXPECT_EQ(refused(listed(kPageSize, 2 * kPageSize)), Errc::malformed);
  EXPECT_EQ(refused(listed(kPageSize, 0)), Errc::malformed);
  EXPECT_EQ(refused(listed(2 * kPageSize, kPageSize + 1)), Errc::malformed);
  EXPECT_EQ(refused(listed(1ULL << 60, 1ULL << 60)), Errc::malformed);
  EXPECT_EQ(
      refused(StreamBuilder().header().ram_start({{"a", kPageSize}, {"a", kPageSize}}).bytes()),
      Errc::malformed);
  EXPECT_EQ(refused(begun().number(kPageSize | 4, 8).text("b").number(kPageSize, 8).bytes()),
            Errc::malformed);
}

TEST_F(MigrationStream, RefusesSectionsOutOfOrder) {
  EXPECT_EQ(refused(StreamBuilder().header().device("cpu", 0, 12).bytes()), Errc::malformed);
  EXPECT_EQ(refused(StreamBuilder().header().ram_part().bytes()), Errc::malformed);
  EXPECT_EQ(refused(begun().end_of_pages().footer(3).bytes()), Errc::malformed);
}

}  // namespace
}  // namespace vmcore::formats
