// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/image/page_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace vmcore {
namespace {

constexpr std::uint64_t kChunk = 1U << 15;

TEST(PageSet, AnEmptySetAnswers) {
  PageSet set;
  EXPECT_EQ(set.count(), 0U);
  EXPECT_EQ(set.end(), Pfn{0});
  EXPECT_FALSE(set.contains({5}));
  EXPECT_EQ(set.next_run({0}, {100}).count, 0U);
  set.index();
  EXPECT_EQ(set.rank({1000}), 0U);
  set.erase({{0}, 10});
  set.insert({{5}, 0});
  EXPECT_EQ(set.end(), Pfn{0});
}

TEST(PageSet, RunsGoThroughChunks) {
  PageSet set;
  set.insert({{kChunk - 10}, 3 * kChunk});
  const PfnRange whole{{kChunk - 10}, 3 * kChunk};
  EXPECT_EQ(set.next_run({0}, {10 * kChunk}), whole);
  EXPECT_EQ(set.next_run({kChunk}, {2 * kChunk}), (PfnRange{{kChunk}, kChunk}));
  EXPECT_EQ(set.next_run({5 * kChunk}, {10 * kChunk}).count, 0U);
  EXPECT_EQ(set.end(), whole.end());
}

TEST(PageSet, HighPagesCostNoMemoryBelow) {
  PageSet set;
  const Pfn highest{kMaxPhysAddr / 4096 - 1};
  set.insert({highest, 1});
  EXPECT_EQ(set.count(), 1U);
  EXPECT_EQ(set.end(), highest + 1);
  EXPECT_EQ(set.next_run({0}, highest + 1), (PfnRange{highest, 1}));
}

TEST(PageSet, WordsAreBitmaps) {
  PageSet set;
  set.insert_word({64}, 0x8000000000000001);
  set.insert_word({kChunk * 5}, 0);
  EXPECT_TRUE(set.contains({64}));
  EXPECT_TRUE(set.contains({127}));
  EXPECT_EQ(set.count(), 2U);
  EXPECT_EQ(set.word({64}), 0x8000000000000001);
  EXPECT_EQ(set.word({0}), 0U);
  EXPECT_EQ(set.word({kChunk * 9}), 0U);
}

class Pages {
 public:
  explicit Pages(unsigned seed) : random_(seed) {}

  void change() {
    const PfnRange range =
        random_() % 8 == 0
            ? PfnRange{{random_() % 3 * kChunk}, kChunk}
            : PfnRange{{random_() % kLimit}, random_() % (random_() % 4 == 0 ? 2 * kChunk : 70)};
    const bool insert = random_() % 3 != 0;
    if (insert) {
      set.insert(range);
    } else {
      set.erase(range);
    }
    for (std::uint64_t pfn = range.first.value; pfn < range.end().value; ++pfn) {
      if (insert) {
        expected.insert(pfn);
      } else {
        expected.erase(pfn);
      }
    }
  }

  static constexpr std::uint64_t kLimit = 3 * kChunk;
  PageSet set;
  std::set<std::uint64_t> expected;

 private:
  std::mt19937 random_;
};

TEST(PageSet, AgreesWithASetOfPages) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    Pages pages(seed);
    for (int i = 0; i < 40; ++i) {
      pages.change();
    }
    pages.set.index();
    EXPECT_EQ(pages.set.count(), pages.expected.size());
    EXPECT_EQ(pages.set.end().value, pages.expected.empty() ? 0 : *pages.expected.rbegin() + 1);
    std::uint64_t rank = 0;
    for (std::uint64_t pfn = 0; pfn < Pages::kLimit + 2 * kChunk; ++pfn) {
      const bool member = pages.expected.contains(pfn);
      ASSERT_EQ(pages.set.contains({pfn}), member) << pfn;
      if (pfn % 97 == 0 || member) {
        ASSERT_EQ(pages.set.rank({pfn}), rank) << pfn;
      }
      rank += member ? 1U : 0U;
    }
  }
}

TEST(PageSet, TakesInAndGivesUpOtherSets) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    Pages pages(seed);
    Pages others(seed + 100);
    for (int i = 0; i < 20; ++i) {
      pages.change();
      others.change();
    }
    const bool insert = seed % 2 == 0;
    insert ? pages.set.insert(others.set) : pages.set.erase(others.set);
    for (const std::uint64_t pfn : others.expected) {
      insert ? void(pages.expected.insert(pfn)) : void(pages.expected.erase(pfn));
    }
    for (std::uint64_t pfn = 0; pfn < Pages::kLimit + 3 * kChunk; ++pfn) {
      ASSERT_EQ(pages.set.contains({pfn}), pages.expected.contains(pfn)) << seed << ": " << pfn;
    }
    EXPECT_EQ(others.set.count(), others.expected.size());
  }
}

TEST(PageSet, WithoutOthersBothStayAsTheyAre) {
  PageSet pages;
  PageSet others;
  pages.insert({{10}, 20});
  others.insert({{15}, 100});
  const PageSet rest = without(pages, others);
  EXPECT_EQ(rest.next_run({0}, {kChunk}), (PfnRange{{10}, 5}));
  EXPECT_EQ(rest.count(), 5U);
  EXPECT_EQ(pages.count(), 20U);
  EXPECT_EQ(others.count(), 100U);
}

TEST(PageSet, AWholeChunkTakesChanges) {
  PageSet set;
  set.insert({{kChunk}, kChunk});
  set.insert_word({kChunk + 64}, 0xF0);
  EXPECT_EQ(set.count(), kChunk);
  set.erase({{kChunk + 5}, 1});
  EXPECT_FALSE(set.contains({kChunk + 5}));
  EXPECT_EQ(set.count(), kChunk - 1);
  PageSet other;
  other.insert({{2 * kChunk}, kChunk});
  EXPECT_EQ(other.count(), kChunk) << "another set's whole chunk is its own";
}

TEST(PageSet, RunsAreTheMembers) {
  for (unsigned seed = 0; seed < 10; ++seed) {
    Pages pages(seed);
    for (int i = 0; i < 40; ++i) {
      pages.change();
    }
    std::set<std::uint64_t> seen;
    const Pfn limit{Pages::kLimit + 2 * kChunk};
    Pfn last{0};
    for (PfnRange run = pages.set.next_run({0}, limit); run.count != 0;
         run = pages.set.next_run(run.end(), limit)) {
      EXPECT_TRUE(seen.empty() || run.first > last) << "runs touch";
      for (std::uint64_t i = 0; i < run.count; ++i) {
        seen.insert(run.first.value + i);
      }
      last = run.end();
    }
    EXPECT_EQ(seen, pages.expected);
  }
}

}  // namespace
}  // namespace vmcore
