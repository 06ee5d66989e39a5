// SPDX-License-Identifier: GPL-2.0-or-later
// This process's own memory stands for a guest's, and an array for what QEMU says of it.
#include "src/acquire/process/challenge.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "src/acquire/process/guest_process.h"
#include "src/image/page.h"

namespace vmcore::acquire {
namespace {

constexpr std::size_t kPages = 256;
constexpr std::size_t kSize = kPages * kPageSize;

using Indices = std::vector<std::size_t>;

class Memory {
 public:
  explicit Memory(bool shared)
      : file_(shared ? ::memfd_create("ram", MFD_CLOEXEC) : -1), bytes_(map(shared, file_.get())) {}
  ~Memory() { ::munmap(bytes_, kSize); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::byte* page(std::size_t number) const { return bytes_ + number * kPageSize; }
  void fill(unsigned seed) const {
    for (std::size_t i = 0; i < kPages; ++i) {
      std::memset(page(i), static_cast<int>(1 + (i + seed) % 255), kPageSize);
    }
  }
  std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(bytes_); }
  std::size_t resident() const {
    std::vector<unsigned char> there(kPages);
    ::mincore(bytes_, kSize, there.data());
    return static_cast<std::size_t>(std::ranges::count(there, 1));
  }

 private:
  static std::byte* map(bool shared, int file) {
    if (shared && ::ftruncate(file, kSize) != 0) {
      return nullptr;
    }
    return static_cast<std::byte*>(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE,
                                          shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file,
                                          0));
  }

  Fd file_;
  std::byte* bytes_;
};

// Of private and of shared memory.
class ChallengeTest : public testing::TestWithParam<bool> {
 protected:
  // Which of one and other QEMU has, by what `truth` has.
  Result<Indices> ask(const std::vector<const Memory*>& places, const Memory& truth) {
    return ask(places, says(truth));
  }
  static Result<Indices> ask(const std::vector<const Memory*>& places, const Peek& peek) {
    TRY_ASSIGN(const auto sources, sources_of(places));
    TRY_ASSIGN(Fit fit, places_that_fit(kRanges, sources, peek));
    return std::move(fit.places);
  }
  static Result<std::vector<ImageSource>> sources_of(const std::vector<const Memory*>& places) {
    TRY_ASSIGN(const GuestProcess process, GuestProcess::open(::getpid()));
    std::vector<ImageSource> sources;
    for (const Memory* place : places) {
      const RamBlock block{{{0}, kSize}, place->address()};
      TRY_ASSIGN(ImageSource source, process.locate({&block, 1}));
      sources.push_back(std::move(source));
    }
    return sources;
  }
  bool proven_by_data(const Memory& memory) {
    const auto sources = sources_of({&memory});
    const auto fit = places_that_fit(kRanges, *sources, says(memory));
    return fit && fit->by_data;
  }
  bool still(const std::vector<const Memory*>& places, std::size_t known, const Memory& truth) {
    const auto sources = sources_of(places);
    return fits_still(kRanges, *sources, known, says(truth)).value_or(false);
  }
  Peek says(const Memory& truth) {
    return [&](PhysAddr address, std::span<std::byte> bytes) -> Result<> {
      ++asked_;
      std::memcpy(bytes.data(), truth.page(0) + address.value, bytes.size());
      return {};
    };
  }

  inline static const std::vector<PhysRange> kRanges{{{0}, kSize / 2}, {{kSize / 2}, kSize / 2}};
  Memory one_{GetParam()};
  Memory other_{GetParam()};
  unsigned asked_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Memory, ChallengeTest, testing::Bool());

TEST_P(ChallengeTest, APlaceThatWasProvenIsCheckedWithOnePage) {
  one_.fill(0);
  other_.fill(1);
  EXPECT_TRUE(still({&one_, &other_}, 0, one_));
  EXPECT_EQ(asked_, 1U);
}

TEST_P(ChallengeTest, APlaceThatIsNotProvenAnyMore) {
  one_.fill(0);
  other_.fill(1);
  EXPECT_FALSE(still({&one_, &other_}, 1, one_));
  EXPECT_FALSE(still({&other_}, 0, one_));
}

TEST_P(ChallengeTest, OnePageThatTellsTooLittle) {
  EXPECT_FALSE(still({&one_}, 0, one_)) << "zeros";
  one_.fill(0);
  other_.fill(0);
  EXPECT_FALSE(still({&one_, &other_}, 0, one_)) << "another place is the same";
}

TEST_P(ChallengeTest, TellsWhetherDataProvesIt) {
  EXPECT_FALSE(proven_by_data(one_));
  one_.fill(0);
  EXPECT_TRUE(proven_by_data(one_));
  std::memset(one_.page(0), 0, kSize / 2);
  EXPECT_FALSE(proven_by_data(one_)) << "one of two ranges has none";
}

TEST_P(ChallengeTest, TellsWhichItIs) {
  one_.fill(0);
  other_.fill(1);
  EXPECT_EQ(ask({&one_, &other_}, one_), Indices{0});
  EXPECT_EQ(asked_, kPagesToTell);
  EXPECT_EQ(ask({&one_, &other_}, other_), Indices{1});
}

TEST_P(ChallengeTest, OneIsBelievedOrNot) {
  one_.fill(0);
  other_.fill(1);
  EXPECT_EQ(ask({&one_}, one_), Indices{0});
  EXPECT_EQ(asked_, 2 * kPagesToBelieve);  // of each range
  EXPECT_EQ(ask({&one_}, other_), Indices{});
}

// They differ in 16 pages of 256: that is looked for.
TEST_P(ChallengeTest, TellsByTheFewPagesThatDiffer) {
  one_.fill(0);
  other_.fill(0);
  for (std::size_t i = 16; i < 24; ++i) {
    std::memset(other_.page(i), 0, kPageSize);
    std::memset(other_.page(i + 128), 0, kPageSize);
  }
  EXPECT_EQ(ask({&one_, &other_}, one_), Indices{0});
  EXPECT_EQ(ask({&one_, &other_}, other_), Indices{1});
}

TEST_P(ChallengeTest, WhatIsAlikeIsNotTold) {
  one_.fill(0);
  other_.fill(0);
  EXPECT_EQ(ask({&one_, &other_}, one_), (Indices{0, 1}));
}

Result<> zeros(PhysAddr, std::span<std::byte> bytes) {
  std::ranges::fill(bytes, std::byte{0});
  return {};
}

// One was never touched: what the guest has in the other is not there, and nothing is allocated.
TEST_P(ChallengeTest, AnUntouchedPlaceIsZeros) {
  one_.fill(0);
  EXPECT_EQ(ask({&one_, &other_}, one_), Indices{0});
  EXPECT_EQ(ask({&one_, &other_}, zeros), Indices{1});
  EXPECT_EQ(other_.resident(), 0U);
}

TEST_P(ChallengeTest, TwoUntouchedPlacesAreAlike) {
  EXPECT_EQ(ask({&one_, &other_}, zeros), (Indices{0, 1}));
  EXPECT_EQ(one_.resident(), 0U);
}

TEST_P(ChallengeTest, FindsTheOnePageThatIsThere) {
  std::memset(one_.page(200), 7, kPageSize);
  EXPECT_EQ(ask({&one_}, other_), Indices{});
  EXPECT_EQ(ask({&one_}, one_), Indices{0});
}

// The guest runs: what it changes while QEMU answers tells nothing, and what it changed back does
// not condemn the right place.
TEST_P(ChallengeTest, PagesThatChangeTellNothing) {
  one_.fill(0);
  other_.fill(1);
  unsigned asked = 0;
  const auto changing =
      ask({&one_, &other_}, [&](PhysAddr address, std::span<std::byte> bytes) -> Result<> {
        std::memcpy(bytes.data(), one_.page(0) + address.value, bytes.size());
        if (++asked % 3 != 0) {
          one_.page(0)[address.value] ^= std::byte{0x80};
        }
        return {};
      });
  EXPECT_EQ(changing, Indices{0});
  unsigned wrong = 0;
  const auto changed_back =
      ask({&one_}, [&](PhysAddr address, std::span<std::byte> bytes) -> Result<> {
        std::memcpy(bytes.data(), one_.page(0) + address.value, bytes.size());
        bytes[0] ^= ++wrong % 3 != 0 ? std::byte{0x80} : std::byte{0};
        return {};
      });
  EXPECT_EQ(changed_back, Indices{0});
}

// The stack of a firmware that waits for a key: QEMU sees another state of it than both reads.
TEST_P(ChallengeTest, APageThatIsSeenToChangeCondemnsNothing) {
  one_.fill(0);
  const auto fit = ask({&one_}, [&](PhysAddr address, std::span<std::byte> bytes) -> Result<> {
    std::memcpy(bytes.data(), one_.page(0) + address.value, bytes.size());
    if (address.value < kSize / 4) {
      bytes[0] ^= std::byte{0x80};
      one_.page(0)[address.value + 1] ^= static_cast<std::byte>(++asked_ % 2);
    }
    return {};
  });
  EXPECT_EQ(fit, Indices{0});
}

TEST_P(ChallengeTest, AGuestThatChangesAllIsGivenUp) {
  one_.fill(0);
  const auto fit = ask({&one_}, [&](PhysAddr address, std::span<std::byte>) -> Result<> {
    one_.page(0)[address.value] ^= std::byte{0x80};
    return {};
  });
  ASSERT_FALSE(fit);
  EXPECT_EQ(fit.error().code, Errc::unsupported);
}

TEST_P(ChallengeTest, QemuMayNotAnswer) {
  const auto fit = ask(
      {&one_}, [](PhysAddr, std::span<std::byte>) -> Result<> { return fail(Errc::denied, "no"); });
  ASSERT_FALSE(fit);
  EXPECT_EQ(fit.error().code, Errc::denied);
}

}  // namespace
}  // namespace vmcore::acquire
