// SPDX-License-Identifier: GPL-2.0-or-later
// The test answers by the lines, as vmcorectl does.
#include "src/sources/process_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "src/sandbox/read_line.h"

namespace vmcore::sources {
namespace {

using ::testing::HasSubstr;

// Every byte at an address is its last eight bits; none is there from `end` on.
class Desk {
 public:
  explicit Desk(std::size_t lines, std::uint64_t end = ~0ULL) : end_(end) {
    Fd file = *sandbox::CopyRoom::make(lines * sandbox::kWindow);
    windows_.emplace(*sandbox::CopyRoom::map(file.get()));
    names_.push_back("windows");
    theirs_.push_back(std::move(file));
    for (std::size_t i = 0; i < lines; ++i) {
      int ends[2];
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
      ours_.emplace_back(ends[0]);
      names_.push_back(sandbox::line_name(i));
      theirs_.emplace_back(ends[1]);
      threads_.emplace_back([this, line = ends[0]] { serve(line); });
    }
  }
  ~Desk() { close(); }

  std::unique_ptr<LineReader> reader() {
    auto descriptors = sandbox::Descriptors::make(names_, std::move(theirs_));
    auto reader = LineReader::make(*descriptors);
    EXPECT_TRUE(reader) << reader.error().message;
    return *std::move(reader);
  }
  void close() {
    for (const Fd& line : ours_) {
      ::shutdown(line.get(), SHUT_RDWR);
    }
  }
  std::uint64_t lie = 0;  // added to what was read

 private:
  void serve(int line) {
    while (const auto asked = sandbox::receive_on<sandbox::CopyEntry>(line)) {
      EXPECT_LE(asked->size, sandbox::kWindow);
      std::uint64_t good = 0;
      for (; good < asked->size && asked->address + good < end_; ++good) {
        windows_->pages()[asked->place + good] = static_cast<std::byte>(asked->address + good);
      }
      static_cast<void>(sandbox::send_on(line, good + lie));
    }
  }

  std::uint64_t end_;
  std::optional<sandbox::CopyRoom> windows_;
  std::vector<std::string> names_;
  std::vector<Fd> ours_;
  std::vector<Fd> theirs_;
  std::vector<std::jthread> threads_;
};

bool is_right(std::span<const std::byte> bytes, std::uint64_t address) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != static_cast<std::byte>(address + i)) {
      return false;
    }
  }
  return true;
}

TEST(LineReader, ReadsWhatIsLargerThanAWindow) {
  Desk desk(1);
  const auto reader = desk.reader();
  std::vector<std::byte> bytes(3 * sandbox::kWindow + 5);
  EXPECT_EQ(reader->read(77, bytes), bytes.size());
  EXPECT_TRUE(is_right(bytes, 77));
}

TEST(LineReader, EndsAtTheFirstByteThatIsNotThere) {
  Desk desk(1, sandbox::kWindow + 10);
  std::vector<std::byte> bytes(3 * sandbox::kWindow);
  EXPECT_EQ(desk.reader()->read(0, bytes), sandbox::kWindow + 10);
}

TEST(LineReader, MoreThreadsThanLinesShareThem) {
  Desk desk(2);
  const auto reader = desk.reader();
  std::atomic<unsigned> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < 6; ++i) {
      threads.emplace_back([&, i] {
        std::vector<std::byte> bytes(1000);
        for (std::uint64_t address = i; address < 100 * 1000; address += 1000) {
          const auto got = reader->read(address, bytes);
          wrong += got && *got == bytes.size() && is_right(bytes, address) ? 0 : 1;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0U);
}

TEST(LineReader, AClosedLineIsAnError) {
  Desk desk(1);
  const auto reader = desk.reader();
  desk.close();
  std::vector<std::byte> bytes(10);
  const auto got = reader->read(0, bytes);
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("can be read no longer"));
}

TEST(LineReader, MoreThanWasAskedForIsAnError) {
  Desk desk(1);
  desk.lie = 1;
  std::vector<std::byte> bytes(10);
  EXPECT_FALSE(desk.reader()->read(0, bytes));
}

TEST(LineReader, WithoutALineThereIsNone) {
  std::vector<Fd> fds;
  fds.push_back(*sandbox::CopyRoom::make(sandbox::kWindow));
  auto descriptors = sandbox::Descriptors::make({"windows"}, std::move(fds));
  EXPECT_EQ(LineReader::make(*descriptors).error().code, Errc::malformed);
}

}  // namespace
}  // namespace vmcore::sources
