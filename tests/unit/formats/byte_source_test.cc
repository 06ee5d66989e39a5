// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/byte_source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>

#include "src/base/sys.h"
#include "src/formats/kdump/flattened.h"
#include "src/image/page.h"
#include "tests/builders/dump_builder.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;
using builders::joined;
using builders::text;

Bytes read_all(const ByteSource& source) {
  Bytes bytes(source.size());
  EXPECT_EQ(source.read(0, bytes).value_or(0), bytes.size());
  return bytes;
}

TEST(PlainSource, ReadsUpToTheEnd) {
  const auto source = *open_plain(builders::memory_file(text("abcdef")));
  Bytes out(10);
  EXPECT_EQ(source->size(), 6U);
  EXPECT_EQ(*source->read(4, out), 2U);
  EXPECT_EQ(*source->read(6, out), 0U);
  EXPECT_EQ(*source->read(~0ULL, out), 0U);
}

TEST(PlainSource, TellsHoles) {
  Fd file = builders::memory_file();
  ASSERT_TRUE(sys::truncate(file.get(), 1 << 20));
  ASSERT_TRUE(sys::pwrite_full(file.get(), builders::pages(1), 1 << 16));
  const auto source = *open_plain(std::move(file));
  EXPECT_TRUE(source->run(0).hole);
  EXPECT_EQ(source->run(0).size, 1U << 16);
  EXPECT_FALSE(source->run(1 << 16).hole);
  EXPECT_EQ(source->run(1 << 16).size, kPageSize);
  EXPECT_TRUE(source->run((1 << 16) + kPageSize).hole);
  EXPECT_EQ(source->run(1 << 20).size, 0U);
}

TEST(PlainSource, AFileThatShrinksIsNotAHole) {
  Fd file = builders::memory_file(builders::pages(1, 4));
  const int again = ::dup(file.get());
  const Fd keeper(again);
  const auto source = *open_plain(std::move(file));
  ASSERT_TRUE(sys::truncate(keeper.get(), kPageSize));
  EXPECT_FALSE(source->run(2 * kPageSize).hole);
  Bytes out(kPageSize);
  EXPECT_EQ(*source->read(2 * kPageSize, out), 0U);
}

TEST(PlainSource, RefusesPipes) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd writer(ends[1]);
  EXPECT_FALSE(open_plain(Fd(ends[0])));
}

TEST(Flattened, GivesTheFileBack) {
  const Bytes file = builders::pages(7, 5);
  for (const std::size_t record : {1000U, 4096U, 100000U}) {
    const auto source =
        open_flattened(*open_plain(builders::memory_file(builders::flattened(file, record))));
    ASSERT_TRUE(source) << source.error().message;
    EXPECT_EQ(read_all(**source), file);
    EXPECT_TRUE((*source)->remarks().empty());
  }
}

TEST(Flattened, TheLastRecordWinsAndGapsAreHoles) {
  const Bytes stream = joined(
      {builders::flattened_header(), builders::flattened_record(8, text("bbbb")),
       builders::flattened_record(0, text("aaaa")), builders::flattened_record(2, text("cc")),
       builders::flattened_record(10, text("d")), builders::flattened_end()});
  const auto source = *open_flattened(*open_plain(builders::memory_file(stream)));
  Bytes expected = text("aacc....bbdb");
  for (std::size_t i = 4; i < 8; ++i) {
    expected[i] = std::byte{0};
  }
  EXPECT_EQ(read_all(*source), expected);
  EXPECT_TRUE(source->run(4).hole);
  EXPECT_EQ(source->run(4).size, 4U);
  EXPECT_FALSE(source->run(8).hole);
}

TEST(Flattened, AStreamCutAnywhereOpensWithARemark) {
  const Bytes file = text("0123456789abcdef");
  const Bytes stream = builders::flattened(file, 5);
  for (std::size_t size = 4096; size < stream.size(); ++size) {
    const Bytes part(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size));
    const auto source = open_flattened(*open_plain(builders::memory_file(part)));
    ASSERT_TRUE(source) << size;
    EXPECT_EQ((*source)->remarks().size(), 1U) << size;
    const Bytes got = read_all(**source);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), file.begin()));
  }
}

// As a file that was extended after its stream was cut: endless records without place and size.
TEST(Flattened, PaddingIsTheEndOfACutStream) {
  const Bytes stream =
      joined({builders::flattened_header(), builders::flattened_record(0, text("abcd"))});
  Fd file = builders::memory_file(stream);
  ASSERT_TRUE(sys::truncate(file.get(), 64ULL << 30));
  const std::clock_t before = std::clock();
  const auto source = open_flattened(*open_plain(std::move(file)));
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_LT((std::clock() - before) / CLOCKS_PER_SEC, 2);
  EXPECT_EQ(read_all(**source), text("abcd"));
  ASSERT_EQ((*source)->remarks().size(), 1U);
  EXPECT_EQ((*source)->remarks()[0].code, Errc::truncated);
}

TEST(Flattened, RecordsWithoutDataAreBoundedToo) {
  Bytes stream = builders::flattened_header();
  const Bytes nothing = builders::flattened_record(1, {});
  stream.reserve(stream.size() + ((1 << 22) + 1) * nothing.size());
  for (int i = 0; i <= 1 << 22; ++i) {
    stream.insert(stream.end(), nothing.begin(), nothing.end());
  }
  const auto source = open_flattened(*open_plain(builders::memory_file(stream)));
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, Errc::limit);
}

TEST(Flattened, LyingRecordsAreRefused) {
  for (const std::uint64_t lie : {1ULL << 61, 1ULL << 63, ~0ULL - 1}) {
    const Bytes stream =
        joined({builders::flattened_header(), builders::flattened_record(lie, text("x"))});
    const auto source = open_flattened(*open_plain(builders::memory_file(stream)));
    ASSERT_FALSE(source);
    EXPECT_EQ(source.error().code, Errc::malformed);
  }
}

TEST(Flattened, ACutHeaderIsTruncatedAnotherVersionUnsupported) {
  Bytes header = builders::flattened_header();
  header[31] = std::byte{2};
  EXPECT_EQ(open_flattened(*open_plain(builders::memory_file(header))).error().code,
            Errc::unsupported);
  header.resize(100);
  EXPECT_EQ(open_flattened(*open_plain(builders::memory_file(header))).error().code,
            Errc::truncated);
}

}  // namespace
}  // namespace vmcore::formats
