#include "src/convert/draft.h"

#include "src/base/sys.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

builders::Bytes contents(const Fd& file) {
  builders::Bytes bytes(*sys::file_size(file.get()));
  EXPECT_TRUE(sys::pread_full(file.get(), bytes, 0));
  return bytes;
}

Fd convert_with(const MemoryImage& image, const ConvertOptions& options, const Draft* draft) {
  Fd file = builders::memory_file();
  CountingObserver observer;
  const auto outcome =
      convert(image, *make_writer(kZstd, file.get()), options, observer, {}, draft);
  EXPECT_TRUE(outcome) << outcome.error().message;
  return file;
}

TEST(Draft, ChangesNothingOfTheDump) {
  auto guest = sample_guest();
  const MemoryImage image = guest.build();
  for (const std::uint64_t read_ahead : {std::uint64_t{0}, 2 * kShardSize, 1000 * kShardSize}) {
    const ConvertOptions options{.level = 31, .read_ahead = read_ahead};
    const auto draft = make_draft(image, options, {});
    ASSERT_TRUE(draft) << draft.error().message;
    EXPECT_EQ(contents(convert_with(image, options, &*draft)),
              contents(convert_with(image, options, nullptr)));
  }
}

TEST(Draft, TellsWhatWillBeKept) {
  auto guest = sample_guest();
  const MemoryImage image = guest.build();
  const ConvertOptions options{.level = 31};
  const auto outcome = plan_only(image, options, {});
  const auto draft = make_draft(image, options, {});
  EXPECT_EQ(draft->kept_pages, outcome->plan.kept.count());
  EXPECT_GT(draft->pause.count(), 0);
  EXPECT_LT(make_draft(image, options, {})->kept_pages,
            make_draft(image, {.level = 0}, {})->kept_pages);
}

// The guest went on: what was kept by the draft is free now, and the other way round.
TEST(Draft, ThePlanIsMadeAnew) {
  testing::GuestBuilder before("6.12");
  before.pages("2000 free 4\n2100 kernel\n");
  testing::GuestBuilder now("6.12");
  now.pages("2000 kernel\n2100 free 4\n");
  const MemoryImage old_image = before.build();
  const MemoryImage image = now.build();
  const ConvertOptions options{.level = 31};
  const auto draft = make_draft(old_image, options, {});
  ASSERT_TRUE(draft);
  EXPECT_EQ(contents(convert_with(image, options, &*draft)),
            contents(convert_with(image, options, nullptr)));
}

TEST(Draft, OfAGuestWithoutAKernelIsOneAsWell) {
  MemoryImage image;
  image.machine.arch = Arch::x86_64;
  image.memory = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 1 << 20}});
  const auto draft = make_draft(image, {.level = 31}, {});
  ASSERT_TRUE(draft) << draft.error().message;
  EXPECT_TRUE(draft->kernels.kernels.empty());
}

}  // namespace
}  // namespace vmcore::convert
