// SPDX-License-Identifier: GPL-2.0-or-later
// Guests whose vCPUs do not run the kernel that lies in their memory.
#include "src/convert/describe.h"
#include "src/convert/memory_use.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;

// After a reset, while firmware runs.
MemoryImage reset_guest(GuestBuilder&& guest) {
  MemoryImage image = guest.build();
  image.cpus[0].cr0 = 0x6000'0010;
  image.cpus[0].cr3 = 0;
  image.cpus[0].rip = 0xfff0;
  return image;
}

TEST(Unproven, EverythingIsKeptAndSaid) {
  for (const bool note : {true, false}) {
    GuestBuilder guest = sample_guest();
    if (!note) {
      guest.without_note();
    }
    const MemoryImage image = reset_guest(std::move(guest));
    for (const Target& target : kTargets) {
      const Converted converted = convert_image(image, target);
      EXPECT_FALSE(converted.outcome.as_asked());
      EXPECT_EQ(converted.outcome.plan.kept.count(), kGuestPages);
      EXPECT_EQ(converted.outcome.plan.level_reached, 1U);
      EXPECT_TRUE(converted.outcome.release.empty());
      EXPECT_THAT(texts(converted.outcome.remarks), HasSubstr("6.12.0-test"));
      EXPECT_THAT(texts(converted.outcome.remarks), HasSubstr("no vCPU uses page tables"));
      EXPECT_EQ(
          texts(converted.outcome.remarks).find("VMCOREINFO is left out") != std::string::npos,
          note);
      const MemoryImage written = converted.reopen();
      EXPECT_EQ(written.find_note(kNoteNameVmcoreinfo, 0), nullptr);
      EXPECT_TRUE(verify(image, written, converted.outcome, {})) << target.name;
    }
  }
}

// Its tables are behind the end of the file: nothing was found that speaks against the note.
TEST(Unproven, AnIncompleteFileKeepsItsNote) {
  MemoryImage image = reset_guest(sample_guest());
  image.file.incomplete = true;
  EXPECT_NE(convert_image(image, kElf).reopen().find_note(kNoteNameVmcoreinfo, 0), nullptr);
}

TEST(Unproven, LooksNameWhatTheyDoNotBelieve) {
  const MemoryImage image = reset_guest(sample_guest());
  const auto description = describe(image, {}, {});
  ASSERT_TRUE(description);
  EXPECT_FALSE(description->kernel);
  EXPECT_THAT(texts(description->remarks), HasSubstr("6.12.0-test"));
  const auto use = memory_use(image, {}, {});
  ASSERT_FALSE(use);
  EXPECT_EQ(use.error().code, Errc::not_found);
  EXPECT_THAT(use.error().message, HasSubstr("6.12.0-test"));
}

class VcpuPages : public ::testing::Test {
 protected:
  // The kernel is proven, and its struct pages say that this page is free.
  VcpuPages() {
    guest_.pages("2000 free 4\n2100 anon 4\n");
    image_ = guest_.build();
    image_.cpus[0].rsp = guest_.page_offset().value + 0x2003'000;
  }
  GuestBuilder guest_ = sample_guest();
  MemoryImage image_;
};

TEST_F(VcpuPages, AStackThatIsFreeDisprovesTheStructPages) {
  const Converted converted = convert_image(image_, kZstd);
  EXPECT_FALSE(converted.outcome.as_asked());
  EXPECT_EQ(converted.outcome.plan.kept.count(), kGuestPages);
  EXPECT_TRUE(converted.outcome.release.empty());
  EXPECT_EQ(converted.reopen().find_note(kNoteNameVmcoreinfo, 0), nullptr);
  EXPECT_THAT(texts(converted.outcome.remarks), HasSubstr("a vCPU uses the page at 0x2003000"));
}

TEST_F(VcpuPages, AStackThatIsAProcessesDisprovesTheStructPages) {
  image_.cpus[0].rsp = guest_.page_offset().value + 0x2103'000;
  EXPECT_FALSE(convert_image(image_, kZstd).outcome.as_asked());
  image_.cpus[0].cs.selector = 0x33;  // of a process
  EXPECT_TRUE(convert_image(image_, kZstd).outcome.as_asked());
}

TEST_F(VcpuPages, NothingIsLeftOutAtLevel0) {
  EXPECT_TRUE(convert_image(image_, kZstd, {.how = {.level = 0}}).outcome.as_asked());
}

// What was a stack when the registers were read may be free by now.
TEST_F(VcpuPages, RegistersOfAnotherMomentShowNothing) {
  EXPECT_TRUE(convert_image(image_, kZstd, {.torn = true}).outcome.as_asked());
}

}  // namespace
}  // namespace vmcore::convert
