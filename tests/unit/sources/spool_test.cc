// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/spool.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "src/base/sys.h"
#include "tests/builders/dump_builder.h"
#include "tests/fakes/faulty_sys.h"

namespace vmcore::sources {
namespace {

using builders::Bytes;

class Spooling : public ::testing::Test {
 protected:
  void TearDown() override { fakes::no_faults(); }

  // What is in the spool after `bytes` came through a pipe.
  Result<std::uint64_t> spool(const Bytes& bytes) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    const Fd out(ends[0]);
    std::jthread writer([in = Fd(ends[1]), &bytes] {
      for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t count = ::write(in.get(), bytes.data() + done, bytes.size() - done);
        if (count <= 0) {
          return;  // the reader gave up
        }
        done += static_cast<std::size_t>(count);
      }
    });
    const auto length =
        spool_stream(out.get(), file_.get(), [this](std::uint64_t so_far) -> Result<> {
          told_.push_back(so_far);
          return refused_ ? fail(Errc::guest_state, "not this one") : Result<>();
        });
    // A reader that gave up leaves the writer blocked: the rest is drained.
    Bytes rest(1 << 16);
    while (::read(out.get(), rest.data(), rest.size()) > 0) {
    }
    return length;
  }

  Fd file_ = builders::memory_file();
  std::vector<std::uint64_t> told_;
  bool refused_ = false;
};

TEST_F(Spooling, EverySizeComesThrough) {
  for (const std::size_t size : {0UL, 1UL, 4095UL, 4096UL, 4097UL, (1UL << 20) - 1, 1UL << 20,
                                 (1UL << 20) + 1, (3UL << 20) + 5000}) {
    file_ = builders::memory_file();
    Bytes bytes = builders::pages(7, size / 4096 + 1);
    bytes.resize(size);
    const auto length = spool(bytes);
    ASSERT_TRUE(length);
    EXPECT_EQ(*length, size);
    EXPECT_EQ(builders::file_contents(file_.get()), bytes) << size;
  }
}

TEST_F(Spooling, IsRefusedByItsBeginning) {
  refused_ = true;
  const auto length = spool(builders::pages(7, 1024));
  ASSERT_FALSE(length);
  EXPECT_EQ(length.error().code, Errc::guest_state);
  EXPECT_EQ(told_, (std::vector<std::uint64_t>{1U << 20}));
}

TEST_F(Spooling, ZerosBecomeHoles) {
  const Bytes bytes = builders::joined({builders::zeros(4096 * 300), builders::pages(1),
                                        builders::zeros(4096 * 300), builders::pages(2, 2),
                                        builders::zeros(4096 * 100 + 17)});
  ASSERT_TRUE(spool(bytes));
  EXPECT_EQ(builders::file_contents(file_.get()), bytes);
  struct stat status {};
  ASSERT_EQ(::fstat(file_.get(), &status), 0);
  EXPECT_LE(status.st_blocks * 512, 4 * 4096);
}

TEST_F(Spooling, AllZerosIsAHoleOfThatLength) {
  EXPECT_EQ(spool(builders::zeros(5000)), 5000U);
  EXPECT_EQ(builders::file_contents(file_.get()), builders::zeros(5000));
}

TEST_F(Spooling, ShortReadsAndWrites) {
  fakes::faults.longest_step = 777;
  const Bytes bytes = builders::joined({builders::pages(1, 3), builders::zeros(9000)});
  ASSERT_TRUE(spool(bytes));
  EXPECT_EQ(builders::file_contents(file_.get()), bytes);
}

TEST_F(Spooling, TellsNowAndThen) {
  ASSERT_TRUE(spool(builders::zeros(130U << 20)));
  EXPECT_EQ(told_, (std::vector<std::uint64_t>{1U << 20, 65U << 20, 129U << 20}));
}

TEST_F(Spooling, AFullDiskIsSaid) {
  fakes::faults.writes_left = 1;
  const auto length = spool(builders::pages(1, 3000));
  ASSERT_FALSE(length);
  EXPECT_EQ(length.error().code, Errc::no_space);
}

TEST_F(Spooling, ABrokenStreamIsSaid) {
  fakes::faults.reads_left = 1;
  const auto length = spool(builders::pages(1, 3000));
  ASSERT_FALSE(length);
  EXPECT_EQ(length.error().code, Errc::io);
}

}  // namespace
}  // namespace vmcore::sources
