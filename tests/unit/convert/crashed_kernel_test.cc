// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/crashed_kernel.h"

#include "src/convert/describe.h"
#include "src/convert/memory_use.h"
#include "src/convert/rehearsal.h"
#include "src/kernel/printk_log.h"
#include "tests/builders/two_kernels.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

using testing::core_load;
using ::testing::HasSubstr;
using testing::kCrashRegion;
using testing::kCrashRip;
using testing::TwoKernels;

Subject subject_of(const MemoryImage& image) {
  auto subject = find_subject(image, kernel::Search::memory);
  EXPECT_TRUE(subject) << subject.error().message;
  return *std::move(subject);
}

std::string log_of(const Subject& subject) {
  std::string text;
  EXPECT_TRUE(kernel::read_printk_log(*subject.kernel(), [&](const kernel::LogRecord& record) {
    text += record.text;
    return true;
  }));
  return text;
}

void expect_crashed(const MemoryImage& image) {
  const Subject subject = subject_of(image);
  ASSERT_TRUE(subject.crashed) << texts(subject.found.remarks);
  ASSERT_EQ(subject.found.kernels.size(), 1U);
  EXPECT_EQ(subject.kernel()->phys_base(), 0);
  EXPECT_EQ(subject.kernel()->info().crash_time(), testing::kCrashTime);
  EXPECT_EQ(log_of(subject), "the first one's panic");
  ASSERT_EQ(subject.crashed->cpus.size(), 2U);
  EXPECT_EQ(subject.crashed->cpus[0].rip, kCrashRip);
  EXPECT_EQ(subject.crashed->cpus[1].rip, kCrashRip + 0x10);
  const PhysicalMemory& memory = *subject.crashed->memory;
  EXPECT_EQ(ram_ranges(memory).ranges(),
            (std::vector<PhysRange>{{{1ULL << 20}, kCrashRegion.begin.value - (1ULL << 20)}}));
  EXPECT_EQ(memory.presence(testing::kCoreHeaderPlace), Presence::absent);
  EXPECT_THAT(texts(subject.found.remarks), HasSubstr("two kernels"));
}

void expect_as_it_is(const MemoryImage& image) {
  const Subject subject = subject_of(image);
  EXPECT_FALSE(subject.crashed);
  EXPECT_EQ(&subject.image(), &image);
  ASSERT_TRUE(subject.kernel() != nullptr);
  EXPECT_EQ(subject.kernel()->phys_base(), 0);
}

TEST(CrashedKernel, BothAreThere) {
  const MemoryImage image = TwoKernels().build();
  EXPECT_EQ(kernel::find_kernels(image, kernel::Search::registers)->kernels.size(), 2U);
}

TEST(CrashedKernel, IsTakenWithTheRegistersThatItSaved) {
  expect_crashed(TwoKernels().build());
  expect_crashed(TwoKernels{.note = false}.build());
}

TEST(CrashedKernel, IsTakenBeforeTheCaptureKernelBegins) {
  expect_crashed(TwoKernels{.capture_begun = false}.build());
  MemoryImage image = TwoKernels{.capture_begun = false, .note = false}.build();
  image.cpus[0].cr0 = 0x11;  // no paging: where its instructions are counts
  image.cpus[0].rip = kCrashRegion.begin.value + 0x1234;
  expect_crashed(image);
}

TEST(CrashedKernel, OneCpuIsEnough) {
  MemoryImage image = TwoKernels{.note = false}.build();
  image.cpus.resize(1);
  expect_crashed(image);
}

// Then nothing shows that what the CPU executes is a capture kernel's beginning: a reset leaves the
// same in memory.
TEST(CrashedKernel, WithOneCpuOnlyACaptureKernelThatRunsLeadsToIt) {
  MemoryImage image = TwoKernels{.capture_begun = false}.build();
  image.cpus.resize(1);
  const Subject subject = subject_of(image);
  EXPECT_FALSE(subject.crashed);
  EXPECT_TRUE(subject.found.kernels.empty());
  ASSERT_EQ(subject.found.doubted.size(), 1U);
}

// Its own struct pages are only of the memory that was kept free for it.
TEST(CrashedKernel, ACaptureKernelThatLeadsNowhereIsNotFilteredBy) {
  TwoKernels guest{.note = false};
  guest.headers.clear();
  MemoryImage image = guest.build();
  image.cpus.resize(1);
  const Converted converted = convert_image(image, kZstd);
  EXPECT_FALSE(converted.outcome.as_asked());
  EXPECT_EQ(converted.outcome.plan.kept.count(), kGuestPages);
  EXPECT_THAT(texts(converted.outcome.remarks), HasSubstr("a capture kernel, and the kernel"));
}

// A kernel without symbols does not tell that it has begun a kexec.
TEST(CrashedKernel, OfTwoThatRunNoneIsTaken) {
  testing::GuestBuilder first("5.15");
  first.without_note().without_symbols();
  testing::GuestBuilder second("5.15");
  second.kaslr(8ULL << 20, 16LL << 20, {0xffff'9999'4000'0000}).without_symbols();
  const MemoryImage now = second.build();
  MemoryImage image = first.build();
  testing::copy_memory(*now.memory, {{40ULL << 20}, 24ULL << 20},
                       static_cast<testing::SparseMemory&>(*image.memory));
  image.cpus.push_back(image.cpus[0]);
  image.cpus[1].index = 1;
  image.cpus[1].cr3 = second.root().value;
  const Subject subject = subject_of(image);
  EXPECT_TRUE(subject.found.kernels.empty());
  EXPECT_EQ(subject.found.doubted.size(), 2U);
  EXPECT_THAT(texts(subject.found.remarks), HasSubstr("other vCPUs run another kernel"));
}

// The capture kernel was reset, and firmware runs.
TEST(CrashedKernel, OneThatWasResetIsNotTaken) {
  for (const bool note : {true, false}) {
    MemoryImage image = TwoKernels{.note = note}.build();
    for (CpuState& cpu : image.cpus) {
      cpu.cr0 = 0x6000'0010;
      cpu.cr3 = 0;
      cpu.rip = kCrashRegion.begin.value + 0x1234;
    }
    const Subject subject = subject_of(image);
    EXPECT_FALSE(subject.crashed);
    EXPECT_TRUE(subject.found.kernels.empty());
    EXPECT_FALSE(subject.found.doubted.empty());
  }
}

TEST(CrashedKernel, IsFoundWhereTheCommandLineLies) {
  expect_crashed(TwoKernels{.told = "0x3300000"}.build());
  expect_crashed(TwoKernels{.told = "nonsense"}.build());
}

// VMCOREINFO of neither exports its symbols.
TEST(CrashedKernel, OldKernels) { expect_crashed(TwoKernels{.layout = "5.15"}.build()); }

TEST(CrashedKernel, ACaptureKernelThatIsMerelyLoadedChangesNothing) {
  expect_as_it_is(TwoKernels{.crashed = false}.build());
}

// panic() has stopped the others, as with crash_kexec_post_notifiers: all CPUs are in the kernel.
TEST(CrashedKernel, AKernelThatHasNotHandedOverIsTakenAsItIs) {
  MemoryImage image = TwoKernels().build();
  image.cpus[0].cr3 = image.cpus[1].cr3;
  expect_as_it_is(image);
}

// A CPU that has not begun, or is in a nested guest: the kernel is loaded and has not crashed.
TEST(CrashedKernel, ACpuThatIsElsewhereIsNoCrash) {
  MemoryImage image = TwoKernels{.crashed = false}.build();
  image.cpus[0].cr3 = 0x1000;
  expect_as_it_is(image);
  image.cpus[0].cr0 = 0x10;
  image.cpus[0].rip = 0xfff0;
  expect_as_it_is(image);
}

TEST(CrashedKernel, RegistersThatDoNotTellThePlaceChangeNothing) {
  MemoryImage image = TwoKernels().build();
  for (CpuState& cpu : image.cpus) {
    cpu.cr0 = cpu.cr3 = cpu.cr4 = std::nullopt;
  }
  EXPECT_TRUE(find_subject(image, kernel::Search::registers));
}

TEST(CrashedKernel, WithoutAHeaderItsMemoryIsTakenWithTheCaptureKernels) {
  TwoKernels guest;
  guest.headers.clear();
  const MemoryImage image = guest.build();
  const Subject subject = subject_of(image);
  EXPECT_FALSE(subject.crashed);
  EXPECT_EQ(subject.kernel()->phys_base(), 0);
  EXPECT_THAT(texts(subject.found.remarks), HasSubstr("that a crashed kernel leaves"));
}

TEST(CrashedKernel, AHeaderThatLeadsNowhereIsNotBelieved) {
  TwoKernels guest;
  guest.headers.back() = core_load({{1ULL << 20}, 1ULL << 20});
  guest.headers[3] = core_load({{3ULL << 20}, 1ULL << 20});  // the kernel is in neither
  const MemoryImage image = guest.build();
  EXPECT_FALSE(subject_of(image).crashed);
}

class SavedMemory : public ::testing::Test {
 protected:
  static constexpr PhysAddr kSaved{56ULL << 20};
  SavedMemory() {
    TwoKernels guest;
    guest.headers.push_back(core_load({{0}, 640 << 10}, kSaved));
    image_ = guest.build();
    memory().write({0x5000}, testing::page_pattern({1}));
  }
  testing::SparseMemory& memory() { return static_cast<testing::SparseMemory&>(*image_.memory); }
  builders::Bytes page_5() { return page_at(*subject_of(image_).image().memory, 5); }

  MemoryImage image_;
};

TEST_F(SavedMemory, IsPutBack) {
  memory().write(kSaved + 0x5000, testing::page_pattern({2}));
  EXPECT_EQ(page_5(), testing::page_pattern({2}));
  const Subject subject = subject_of(image_);
  const PhysicalMemory& crashed = *subject.image().memory;
  EXPECT_EQ(crashed.extent({0x5000}).range.end(), PhysAddr{640 << 10});
  EXPECT_EQ(crashed.presence({640 << 10}), Presence::absent);
  builders::Bytes bytes(8192);
  const auto got = crashed.read({(640 << 10) - 4096}, bytes);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->good, 4096U);
  EXPECT_EQ(got->first_bad, PhysAddr{640 << 10});
}

// A hole in what was saved lies where it was saved from.
TEST_F(SavedMemory, HolesAreToldByTheirOwnPlace) {
  memory().write(kSaved + 0x5000, testing::page_pattern({2}));
  const Subject subject = subject_of(image_);
  memory().exclude({(kSaved.value + 0x7000) / 4096});
  builders::Bytes bytes(0x4000);
  const auto got = subject.image().memory->read({0x5000}, bytes);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->good, 0x2000U);
  EXPECT_EQ(got->first_bad, PhysAddr{0x7000});
}

TEST_F(SavedMemory, IsStillInItsOwnPlaceUntilTheCaptureKernelBegins) {
  EXPECT_EQ(page_5(), testing::page_pattern({1}));
  EXPECT_THAT(texts(subject_of(image_).found.remarks),
              HasSubstr("the copy of 0x0-0x9ffff that the crashed kernel's core header names, at "
                        "0x3800000, holds only zeros: this memory is read from its own place"));
}

TEST_F(SavedMemory, ACopyThatIsNotThereIsTold) {
  memory().write(kSaved + 0x5000, testing::page_pattern({2}));
  EXPECT_THAT(texts(subject_of(image_).found.remarks), ::testing::Not(HasSubstr("the copy of")));
  memory().exclude({(kSaved.value + 0x7000) / 4096});
  EXPECT_EQ(page_5(), testing::page_pattern({1}));
  EXPECT_THAT(texts(subject_of(image_).found.remarks), HasSubstr("at 0x3800000, cannot be read:"));
}

TEST(CrashedKernel, ADumpOfItHasItsNotesAndSaysSo) {
  const MemoryImage image = TwoKernels().build();
  for (const Target& target : kTargets) {
    const Converted converted = convert_image(image, target, {.how = {.level = 0}});
    const MemoryImage written = converted.reopen();
    EXPECT_TRUE(verify(image, written, converted.outcome, {})) << target.name;
    ASSERT_EQ(written.cpus.size(), 2U);
    EXPECT_EQ(written.cpus[1].rip, kCrashRip + 0x10);
    EXPECT_EQ(written.memory->presence(kCrashRegion.begin), Presence::absent);
    const auto provenance = read_provenance(written);
    ASSERT_TRUE(provenance);
    EXPECT_THAT(texts(provenance->remarks), HasSubstr("the crashed one"));
    EXPECT_EQ(provenance->crash_time, testing::kCrashTime);
    // Once more, of what was written.
    const Converted again = convert_image(written, target, {.how = {.level = 31}});
    EXPECT_EQ(again.outcome.crashed, nullptr);
    EXPECT_EQ(again.reopen().cpus.size(), 2U);
  }
}

// After a reboot that left the first kernel's memory alone, with a CPU that was not started again.
TEST(CrashedKernel, OneThatIsPastIsNotTaken) {
  testing::GuestBuilder second("6.12");
  second.kaslr(8ULL << 20, 0, {0xffff'9999'4000'0000}).crash_region(kCrashRegion);
  const MemoryImage now = second.build();
  MemoryImage image = TwoKernels{.capture_begun = false, .note = false}.build();
  testing::copy_memory(*now.memory, {{24ULL << 20}, 8ULL << 20},
                       static_cast<testing::SparseMemory&>(*image.memory));
  image.cpus[0].cr3 = second.root().value;
  image.cpus[1].cr0 = 0x10;
  image.cpus[1].rip = 0xfff0;
  const Subject subject = subject_of(image);
  EXPECT_FALSE(subject.crashed);
  EXPECT_EQ(subject.kernel()->page_tables().root(), second.root());
}

// What is known of it is not of all of memory: it is looked for again in the pause.
TEST(CrashedKernel, ADraftOfItIsNoShortcut) {
  const MemoryImage image = TwoKernels().build();
  const auto rehearsal = make_rehearsal(image, {}, {}, {});
  ASSERT_TRUE(rehearsal);
  EXPECT_TRUE(rehearsal->kernels.kernels.empty());
  const Fd file = builders::memory_file();
  CountingObserver observer;
  const auto outcome = convert(image, *make_writer(kZstd, file.get()), {}, observer, {},
                               {.kernels = &rehearsal->kernels});
  ASSERT_TRUE(outcome);
  EXPECT_NE(outcome->crashed, nullptr);
  EXPECT_EQ(outcome->plan.kept.count(), rehearsal->kept_pages);
}

TEST(CrashedKernel, IsWhatEveryLookIsAt) {
  const MemoryImage image = TwoKernels().build();
  constexpr std::uint64_t kPages = (kCrashRegion.begin.value >> 12) - 256;  // without the first MiB
  const auto description = describe(image, {}, {});
  ASSERT_TRUE(description);
  ASSERT_TRUE(description->crashed);
  EXPECT_EQ(description->crashed->cpus[0].rip, kCrashRip);
  EXPECT_EQ(description->plan.ram.count(), kPages);
  EXPECT_EQ(description->crash_time.seconds, testing::kCrashTime);
  const auto use = memory_use(image, {}, {});
  ASSERT_TRUE(use);
  EXPECT_LE(use->kept_pages, kPages);
  EXPECT_THAT(texts(use->remarks), HasSubstr("two kernels"));
}

}  // namespace
}  // namespace vmcore::convert
