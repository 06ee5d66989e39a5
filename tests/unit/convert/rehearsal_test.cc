// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/rehearsal.h"

#include "src/base/sys.h"
#include "src/convert/copied_memory.h"
#include "src/convert/shards.h"
#include "tests/builders/large_dump.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

builders::Bytes contents(const Fd& file) {
  builders::Bytes bytes(*sys::file_size(file.get()));
  EXPECT_TRUE(sys::pread_full(file.get(), bytes, 0));
  return bytes;
}

Fd convert_plainly(const MemoryImage& image, const ConvertOptions& options) {
  Fd file = builders::memory_file();
  CountingObserver observer;
  const auto outcome = convert(image, *make_writer(kZstd, file.get()), options, observer, {});
  EXPECT_TRUE(outcome) << outcome.error().message;
  return file;
}

// As a guest that waits is, and compared with it.
Fd convert_with(MemoryImage& image, const ConvertOptions& options, const Rehearsal& rehearsal,
                std::span<std::byte> room) {
  Fd file = builders::memory_file();
  CountingObserver observer;
  std::unique_ptr<PhysicalMemory> guest = std::move(image.memory);
  auto copied = std::make_unique<CopiedMemory>(*guest, room, options.how.threads);
  EXPECT_TRUE(copied->take(rehearsal.pages));
  const Waiting waiting{.copied = copied.get(), .kernels = &rehearsal.kernels};
  image.memory = std::move(copied);
  const auto outcome =
      convert(image, *make_writer(kZstd, file.get()), options, observer, {}, waiting);
  EXPECT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(observer.source_read_, 1);
  EXPECT_EQ(observer.done_, outcome->plan.kept.count());
  image.memory = std::move(guest);
  EXPECT_TRUE(verify(image, *formats::open_dump(Fd(::dup(file.get()))), *outcome, {}));
  return file;
}

TEST(Rehearsal, ChangesNothingOfTheDump) {
  auto guest = sample_guest();
  MemoryImage image = guest.build();
  for (const std::uint64_t shards : {0U, 1U, 1000U}) {
    for (const unsigned threads : {1U, 3U}) {
      std::vector<std::byte> room(shards * kShardSize);
      const ConvertOptions options{.how = {.level = 31, .threads = threads}};
      const auto rehearsal = make_rehearsal(image, options, room, {});
      ASSERT_TRUE(rehearsal) << rehearsal.error().message;
      const Fd file = convert_with(image, options, *rehearsal, room);
      if (threads == 1 && shards != 1) {  // else pages lie in another order
        EXPECT_EQ(contents(file), contents(convert_plainly(image, options)));
      }
    }
  }
}

TEST(Rehearsal, TellsWhatWillBeKept) {
  auto guest = sample_guest();
  const MemoryImage image = guest.build();
  const ConvertOptions options{.how = {.level = 31}};
  const auto outcome = plan_only(image, options, {});
  const auto rehearsal = make_rehearsal(image, options, {}, {});
  EXPECT_EQ(rehearsal->kept_pages, outcome->plan.kept.count());
  EXPECT_EQ(rehearsal->pages.count(), outcome->plan.kept.count());
  EXPECT_GT(rehearsal->pause.count(), 0);
  EXPECT_LT(make_rehearsal(image, options, {}, {})->kept_pages,
            make_rehearsal(image, {.how = {.level = 0}}, {}, {})->kept_pages);
}

// The guest went on: what was kept by the rehearsal is free now, and the other way round.
TEST(Rehearsal, ThePlanIsMadeAnew) {
  testing::GuestBuilder before("6.12");
  before.pages("2000 free 4\n2100 kernel\n");
  testing::GuestBuilder now("6.12");
  now.pages("2000 kernel\n2100 free 4\n");
  const MemoryImage old_image = before.build();
  MemoryImage image = now.build();
  const ConvertOptions options{.how = {.level = 31}};
  std::vector<std::byte> room(1000 * kShardSize);
  const auto rehearsal = make_rehearsal(old_image, options, room, {});
  ASSERT_TRUE(rehearsal);
  EXPECT_EQ(contents(convert_with(image, options, *rehearsal, room)),
            contents(convert_plainly(image, options)));
}

TEST(Rehearsal, TellsWhetherPagesArePoisoned) {
  const auto is_without_poison = [](const std::string& pages) {
    testing::GuestBuilder guest("6.12");
    guest.pages(pages);
    const MemoryImage image = guest.build();
    const auto rehearsal = make_rehearsal(image, {.how = {.level = 31}}, {}, {});
    return rehearsal && rehearsal->without_poison;
  };
  EXPECT_TRUE(is_without_poison("2000 free 4\n2100 kernel\n"));
  EXPECT_FALSE(is_without_poison("2000 free 4\n2003 hwpoison\n2100 kernel\n"));
}

// A page that was poisoned before the rehearsal stays out of the dump.
TEST(Rehearsal, PoisonedPagesStayOut) {
  testing::GuestBuilder guest("6.12");
  guest.pages("2000 free 4\n2003 hwpoison\n2100 kernel\n");
  MemoryImage image = guest.build();
  const ConvertOptions options{.how = {.level = 0}};
  std::vector<std::byte> room(1000 * kShardSize);
  const auto rehearsal = make_rehearsal(image, options, room, {});
  ASSERT_TRUE(rehearsal);
  EXPECT_EQ(contents(convert_with(image, options, *rehearsal, room)),
            contents(convert_plainly(image, options)));
}

// As Linux has it, 2 MiB of struct pages are mapped at once, and judged where they were copied to.
TEST(Rehearsal, StructPagesOfTheCopyAreThoseOfTheGuest) {
  Fd file = builders::memory_file();
  ASSERT_TRUE(builders::make_large_dump(4, 32, file.get()));
  MemoryImage image = *formats::open_dump(std::move(file));
  const ConvertOptions options{.how = {.level = 31, .threads = 2}};
  const auto plainly = plan_only(image, options, {});
  ASSERT_TRUE(plainly) << plainly.error().message;
  for (const std::uint64_t shards : {80U, 33U}) {  // 64 are struct pages
    std::vector<std::byte> room(shards * kShardSize);
    const auto rehearsal = make_rehearsal(image, options, room, {});
    ASSERT_TRUE(rehearsal) << rehearsal.error().message;
    EXPECT_EQ(rehearsal->kept_pages, plainly->plan.kept_pages);
    EXPECT_EQ(without(rehearsal->pages, plainly->plan.kept).count(), 0U);
    EXPECT_EQ(rehearsal->pages.count(), without(plainly->plan.kept, plainly->plan.zero).count());
  }
}

TEST(Rehearsal, OfAGuestWithoutAKernelIsOneAsWell) {
  MemoryImage image;
  image.machine.arch = Arch::x86_64;
  image.memory = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 1 << 20}});
  const auto rehearsal = make_rehearsal(image, {.how = {.level = 31}}, {}, {});
  ASSERT_TRUE(rehearsal) << rehearsal.error().message;
  EXPECT_TRUE(rehearsal->kernels.kernels.empty());
}

}  // namespace
}  // namespace vmcore::convert
