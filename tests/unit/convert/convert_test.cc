// SPDX-License-Identifier: GPL-2.0-or-later
// The whole conversion, from a synthetic guest to a file that is read again.
#include "src/convert/convert.h"

#include "src/convert/copied_memory.h"
#include "src/convert/provenance.h"
#include "tests/fakes/faulty_sys.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;

// Every kept page is there as it was, and no other.
void expect_pages(const Converted& converted, const MemoryImage& source, const Target& target) {
  const MemoryImage written = converted.reopen();
  for (std::uint64_t pfn = 0; pfn < kGuestPages; ++pfn) {
    const Presence presence = written.memory->extent({pfn * 4096}).presence;
    if (converted.outcome.plan.kept.contains({pfn})) {
      ASSERT_EQ(page_at(*written.memory, pfn), page_at(*source.memory, pfn)) << pfn;
    } else {
      ASSERT_EQ(presence, target.codec ? Presence::excluded : Presence::absent) << pfn;
      ASSERT_TRUE(page_at(*written.memory, pfn).empty()) << pfn;
    }
  }
}

TEST(Convert, WhatIsKeptIsReadBack) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  for (const Target& target : kTargets) {
    for (const unsigned threads : {1U, 4U}) {
      SCOPED_TRACE(fmt::format("{} {}", target.name, threads));
      const Converted converted = convert_image(source, target, {.how = {.threads = threads}});
      EXPECT_TRUE(converted.outcome.as_asked()) << texts(converted.outcome.remarks);
      EXPECT_EQ(converted.outcome.release, "6.12.0-test");
      EXPECT_EQ(converted.outcome.plan.kept.count(), kGuestPages - 16 - 2 - 1 - 16 - 512);
      expect_pages(converted, source, target);
    }
  }
}

TEST(Convert, EveryLayoutAndLevel) {
  for (const char* layout : {"5.4", "5.15", "6.1", "6.6", "6.12", "7.1"}) {
    GuestBuilder guest = sample_guest(layout);
    const MemoryImage source = guest.build();
    for (const unsigned level : {0U, 1U, 8U, 31U}) {
      const Converted converted =
          convert_image(source, kZstd, {.how = {.level = level, .threads = 2}});
      EXPECT_EQ(converted.outcome.plan.level_reached, level) << layout;
      EXPECT_EQ(converted.reopen().file.dump_level, level);
      EXPECT_TRUE(verify(source, converted.reopen(), converted.outcome, {})) << layout;
    }
  }
}

TEST(Convert, ADumpOfADumpIsTheSame) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  for (const Target& first : kTargets) {
    const MemoryImage between = convert_image(source, first).reopen();
    for (const Target& second : kTargets) {
      SCOPED_TRACE(fmt::format("{} to {}", first.name, second.name));
      const Converted again = convert_image(between, second, {.how = {.level = 0}});
      EXPECT_EQ(again.outcome.plan.level_reached, 31U);  // what is gone stays gone
      EXPECT_EQ(level_before(again.reopen()), 31U);
      EXPECT_TRUE(verify(source, again.reopen(), again.outcome, {}));
      EXPECT_EQ(again.reopen().notes.size(), between.notes.size());
    }
  }
}

// What there was room for is written after the guest may run on, and what there was none for
// before.
class EarlyObserver : public CountingObserver {
 public:
  void source_read() override {
    done_when_read_ = done_;
    CountingObserver::source_read();
  }
  std::uint64_t done_when_read_ = ~0ULL;
};

TEST(Convert, AGuestWaitsOnlyForTheLogAndWhatThereIsNoRoomFor) {
  constexpr std::uint64_t kLogPages = 320;  // of this guest, with the page tables that lead there
  GuestBuilder guest = sample_guest();
  MemoryImage source = guest.build();
  const std::uint64_t all =
      convert_image(source, kZstd, {.how = {.level = 0}}).outcome.plan.kept.count();
  const std::unique_ptr<PhysicalMemory> memory = std::move(source.memory);
  for (const unsigned threads : {1U, 3U}) {
    for (const std::uint64_t ahead : {std::uint64_t{0}, all / 2, all}) {
      SCOPED_TRACE(fmt::format("{} pages ahead, {} threads", ahead, threads));
      std::vector<std::byte> room(ahead * 4096);
      auto copied = std::make_unique<CopiedMemory>(*memory, room, threads);
      const Waiting waiting{.copied = copied.get()};
      source.memory = std::move(copied);
      const Fd file = builders::memory_file();
      EarlyObserver observer;
      const auto outcome =
          convert(source, *make_writer(kZstd, file.get()),
                  {.how = {.level = 0, .threads = threads}}, observer, {}, waiting);
      ASSERT_TRUE(outcome) << outcome.error().message;
      EXPECT_EQ(observer.source_read_, 1);
      EXPECT_EQ(observer.done_, all);
      EXPECT_LE(observer.done_when_read_, all - ahead + (ahead == all ? 0 : kLogPages));
      const auto written = formats::open_dump(Fd(::dup(file.get())));
      ASSERT_TRUE(written);
      EXPECT_TRUE(verify(source, *written, *outcome, {}));
    }
  }
}

TEST(Convert, ADryRunTellsTheSame) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  const auto planned = plan_only(source, {}, {});
  ASSERT_TRUE(planned);
  const Converted converted = convert_image(source, kZstd);
  EXPECT_EQ(planned->plan.kept.count(), converted.outcome.plan.kept.count());
  EXPECT_EQ(planned->plan.pages_by_class, converted.outcome.plan.pages_by_class);
  EXPECT_EQ(planned->release, converted.outcome.release);
}

TEST(Convert, LostPagesAreHolesAndSaidSo) {
  for (const Target& target : kTargets) {
    GuestBuilder guest = sample_guest();
    MemoryImage source = guest.build();
    source.memory = std::make_unique<LossyMemory>(
        std::move(source.memory), std::set<std::uint64_t>{0x2020, 0x3001, 0x3002, 0x3fff});
    const Converted converted = convert_image(source, target, {.how = {.threads = 3}});
    SCOPED_TRACE(target.name);
    EXPECT_EQ(converted.outcome.lost_pages, 4U);
    EXPECT_TRUE(converted.outcome.incomplete);
    EXPECT_FALSE(converted.outcome.as_asked());
    EXPECT_THAT(texts(converted.outcome.remarks), HasSubstr("4 pages could not be read"));
    const MemoryImage written = converted.reopen();
    EXPECT_TRUE(written.file.incomplete);
    EXPECT_EQ(page_at(*written.memory, 0x3001),
              target.codec ? builders::Bytes() : builders::zeros(4096));
    EXPECT_EQ(page_at(*written.memory, 0x3000), page_at(*source.memory, 0x3000));
    const auto verified = verify(source, written, converted.outcome, {});
    EXPECT_TRUE(verified) << verified.error().message;
  }
}

TEST(Convert, AnIncompleteSourceStaysIncomplete) {
  GuestBuilder guest = sample_guest();
  MemoryImage source = guest.build();
  source.file.incomplete = true;
  const Converted converted = convert_image(source, kElf);
  EXPECT_TRUE(converted.outcome.incomplete);
  EXPECT_TRUE(converted.reopen().file.incomplete);
}

// Pages may be others': what the struct pages say decides nothing.
TEST(Convert, ADoubtedSourceIsKeptWhole) {
  GuestBuilder guest = sample_guest();
  MemoryImage source = guest.build();
  source.file.doubted = source.file.incomplete = true;
  const Converted converted = convert_image(source, kZstd);
  EXPECT_EQ(converted.outcome.plan.kept.count(), kGuestPages);
  EXPECT_EQ(converted.outcome.plan.level_asked, 31U);
  EXPECT_EQ(converted.outcome.plan.level_reached, 0U);
  EXPECT_FALSE(converted.outcome.as_asked());
  EXPECT_TRUE(converted.reopen().file.incomplete);
}

TEST(Convert, WithoutAKernelAllIsKeptAndTheFileSaysSo) {
  GuestBuilder guest = sample_guest();
  guest.without_note();
  MemoryImage source = guest.build();
  source.cpus.clear();
  const Converted converted = convert_image(source, kZstd, {.search = kernel::Search::registers});
  EXPECT_FALSE(converted.outcome.as_asked());
  EXPECT_EQ(converted.outcome.plan.level_reached, 1U);
  EXPECT_EQ(converted.outcome.plan.kept.count(), kGuestPages);
  const auto told = read_provenance(converted.reopen());
  ASSERT_TRUE(told);
  EXPECT_EQ(told->level_asked, 31U);
  EXPECT_EQ(told->level_reached, 1U);
  EXPECT_THAT(texts(told->remarks), HasSubstr("may contain user data"));
}

TEST(Convert, ABrokenSourceEndsItOnAllThreads) {
  for (const unsigned threads : {1U, 4U}) {
    GuestBuilder guest = sample_guest();
    MemoryImage source = guest.build();
    source.memory =
        std::make_unique<LossyMemory>(std::move(source.memory), std::set<std::uint64_t>{}, 0x2fff);
    const Fd file = builders::memory_file();
    CountingObserver observer;
    const auto outcome = convert(source, *make_writer(kZstd, file.get()),
                                 {.how = {.threads = threads}}, observer, {});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::io);
    EXPECT_THAT(outcome.error().message, HasSubstr("the disk is broken"));
  }
}

// As the one before, but where it breaks is a hole of the source.
TEST(Convert, KnownHolesAreNotRead) {
  for (const Target& target : kTargets) {
    GuestBuilder guest = sample_guest();
    MemoryImage source = guest.build();
    static_cast<testing::SparseMemory&>(*source.memory).tell_zero_pages();
    source.memory =
        std::make_unique<LossyMemory>(std::move(source.memory), std::set<std::uint64_t>{}, 0x2fff);
    const Converted converted = convert_image(source, target, {.how = {.level = 0, .threads = 3}});
    const MemoryImage written = converted.reopen();
    EXPECT_EQ(page_at(*written.memory, 0x2fff), builders::zeros(4096)) << target.name;
    EXPECT_EQ(page_at(*written.memory, 0x3001), page_at(*source.memory, 0x3001));
    EXPECT_TRUE(verify(source, written, converted.outcome, {}));
  }
}

TEST(Convert, WrongRequestsAreRefused) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  EXPECT_EQ(plan_only(source, {.how = {.level = 32}}, {}).error().code, Errc::invalid);
  EXPECT_EQ(plan_only(source, {.how = {.threads = 0}}, {}).error().code, Errc::invalid);
}

// Asks to stop at the first sign of progress.
class StoppingObserver : public CountingObserver {
 public:
  explicit StoppingObserver(std::stop_source& stop) : stop_(stop) {}
  void progress(std::uint64_t, std::uint64_t) override { stop_.request_stop(); }

 private:
  std::stop_source& stop_;
};

TEST(Convert, StopsWhenAsked) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  for (const unsigned threads : {1U, 4U}) {
    const Fd file = builders::memory_file();
    std::stop_source stop;
    StoppingObserver observer(stop);
    const auto outcome =
        convert(source, *make_writer(kZstd, file.get()), {.how = {.level = 0, .threads = threads}},
                observer, stop.get_token());
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::cancelled);
    EXPECT_TRUE(formats::open_dump(Fd(::dup(file.get())))->file.incomplete);
  }
}

class FullDisk : public ::testing::Test {
 protected:
  void TearDown() override { fakes::no_faults(); }
};

// Wherever in the file it happens.
TEST_F(FullDisk, EndsWithNoSpace) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  for (const Target& target : {kZstd, kElf}) {
    int writes = 0;
    for (bool full = true; full; ++writes) {
      const Fd file = builders::memory_file();
      fakes::faults.writes_left = writes;
      CountingObserver observer;
      const auto outcome =
          convert(source, *make_writer(target, file.get()), {.how = {.threads = 2}}, observer, {});
      full = !outcome.has_value();
      fakes::no_faults();
      if (full) {
        ASSERT_EQ(outcome.error().code, Errc::no_space);
        const auto image = formats::open_dump(Fd(::dup(file.get())));
        EXPECT_TRUE(!image || image->file.incomplete) << target.name << " " << writes;
      }
      ASSERT_LT(writes, 1000);
    }
    EXPECT_GT(writes, 4) << target.name;
  }
}

TEST_F(FullDisk, ShortWritesAreNoFailure) {
  GuestBuilder guest = sample_guest();
  const MemoryImage source = guest.build();
  fakes::faults.longest_step = 1000;
  const Converted converted = convert_image(source, kZstd, {.how = {.threads = 2}});
  EXPECT_TRUE(verify(source, converted.reopen(), converted.outcome, {}));
}

// The cost of a capture is known when the pages are read, and stands among the headers all the
// same.
TEST(Convert, RecordsWhatTheCaptureCost) {
  auto guest = sample_guest();
  const MemoryImage image = guest.build();
  for (const Target& target : kTargets) {
    Fd file = builders::memory_file();
    CountingObserver observer;
    const auto writer = make_writer(target, file.get());
    const ConvertOptions options{
        .capture = Capture{.method = "direct", .consistency = "pause", .cost = {}}};
    auto outcome = convert(image, *writer, options, observer, {});
    ASSERT_TRUE(outcome);
    ASSERT_TRUE(record_cost(*writer, {.pause_us = 48'213, .host_memory = -4096}, *outcome));
    MemoryImage written = *formats::open_dump(std::move(file));
    const auto capture = read_provenance(written)->capture;
    ASSERT_TRUE(capture) << target.name;
    EXPECT_EQ(capture->cost.pause_us, 48'213U);
    EXPECT_EQ(capture->cost.host_memory, -4096);
    EXPECT_TRUE(written.find_note(kNoteNameVmcoreinfo, 0));
    EXPECT_TRUE(verify(image, written, *outcome, {}));
    // A file that is converted again stays what it is.
    EXPECT_EQ(read_provenance(convert_image(written, kElf).reopen())->capture->cost.pause_us,
              48'213U);
  }
}

}  // namespace
}  // namespace vmcore::convert
