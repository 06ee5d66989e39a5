// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/sys.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;

constexpr Target kPlain{"none", Codec::none};

// Changes the byte where the page's contents begin in the file.
void flip_byte_of_page(int file, std::uint64_t pfn) {
  builders::Bytes bytes = builders::file_contents(file);
  const auto page = testing::page_pattern({pfn});
  const auto at = std::search(bytes.begin(), bytes.end(), page.begin(), page.end());
  ASSERT_NE(at, bytes.end());
  const std::byte flipped = *at ^ std::byte{1};
  ASSERT_TRUE(sys::pwrite_full(file, std::span(&flipped, 1),
                               static_cast<std::uint64_t>(at - bytes.begin())));
}

TEST(Verify, FindsAFlippedByte) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  for (const Target& target : {kPlain, kElf}) {
    const Converted converted = convert_image(source, target);
    EXPECT_TRUE(verify(source, converted.reopen(), converted.outcome, {}));
    flip_byte_of_page(converted.file.get(), 0x3001);
    const auto verified = verify(source, converted.reopen(), converted.outcome, {});
    ASSERT_FALSE(verified) << target.name;
    EXPECT_EQ(verified.error().code, Errc::malformed);
    EXPECT_THAT(verified.error().message, HasSubstr("0x3001000"));
  }
}

TEST(Verify, FindsAPageThatIsMissing) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  const Converted converted = convert_image(source, kZstd);
  MemoryImage written = converted.reopen();
  written.memory =
      std::make_unique<LossyMemory>(std::move(written.memory), std::set<std::uint64_t>{0x3002});
  const auto verified = verify(source, written, converted.outcome, {});
  ASSERT_FALSE(verified);
  EXPECT_THAT(verified.error().message, HasSubstr("0x3002000"));
}

TEST(Verify, StopsWhenAsked) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  const Converted converted = convert_image(source, kZstd);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(verify(source, converted.reopen(), converted.outcome, stop.get_token()).error().code,
            Errc::cancelled);
}

}  // namespace
}  // namespace vmcore::convert
