// SPDX-License-Identifier: GPL-2.0-or-later
// A dump that is cut off anywhere behind its first pages shows its kernel and its log.
#include "src/convert/copied_memory.h"
#include "src/kernel/memmap.h"
#include "src/kernel/printk_log.h"
#include "tests/fakes/faulty_sys.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

using testing::GuestBuilder;

constexpr std::uint64_t kMib = 1U << 20;
constexpr std::uint64_t kGib = 1U << 30;

// Stops the conversion at that many pages, or with the log if that is later.
class Cutter : public CountingObserver {
 public:
  explicit Cutter(std::uint64_t at) : at_(at) {}
  void progress(std::uint64_t done, std::uint64_t all) override {
    CountingObserver::progress(done, all);
    if (log_written_ && done >= at_) {
      stop.request_stop();
    }
  }
  void log_written() override {
    log_written_ = true;
    done_with_log_ = done_.load();
    if (at_ == 0) {
      stop.request_stop();
    }
  }

  std::stop_source stop;
  bool log_written_ = false;
  std::uint64_t done_with_log_ = 0;

 private:
  std::uint64_t at_;
};

std::string log_of(const MemoryImage& image) {
  const auto found = kernel::find_kernels(image, kernel::Search::registers);
  if (!found || found->kernels.empty()) {
    return "no kernel: " + (found ? texts(found->remarks) : found.error().message);
  }
  std::string log = std::string(found->kernels.front().info().release()) + "\n";
  const auto summary =
      kernel::read_printk_log(found->kernels.front(), [&](const kernel::LogRecord& record) {
        log += kernel::format_log_record(record);
        return true;
      });
  const auto memmap = kernel::read_memmap(found->kernels.front());
  return log + (summary ? "" : summary.error().message) + (memmap ? "" : memmap.error().message);
}

constexpr const char* kLog = "-test\n[    1.500000] panic!\n[    2.000000] the end\n";

GuestBuilder cut_guest(std::string_view layout) {
  GuestBuilder guest = sample_guest(layout);
  guest.log(2'000'000'000, "the end");
  return guest;
}

// What a reader makes of the file, however much of it is there.
void expect_opens(const Fd& file, const MemoryImage& source) {
  const MemoryImage cut = *formats::open_dump(Fd(::dup(file.get())));
  EXPECT_THAT(log_of(cut), ::testing::EndsWith(kLog));
  EXPECT_TRUE(cut.file.incomplete);
  EXPECT_EQ(cut.notes.size(), source.notes.size() + 1);  // ours is new
  // A dump of it is as incomplete, and shows the same.
  const Converted again = convert_image(cut, kZstd, {.how = {.level = 31}});
  EXPECT_TRUE(again.outcome.incomplete);
  EXPECT_THAT(log_of(again.reopen()), ::testing::EndsWith(kLog));
}

TEST(CutDump, ShowsItsLogWhereverItEnds) {
  for (const char* layout : {"5.4", "6.1", "7.1"}) {
    const MemoryImage source = cut_guest(layout).build();
    for (const Target& target : kTargets) {
      for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{1}, kGuestPages / 2}) {
        for (const unsigned threads : {1U, 4U}) {
          SCOPED_TRACE(fmt::format("{} {} {} {}", layout, target.name, at, threads));
          Fd file = builders::memory_file();
          Cutter cutter(at);
          const auto outcome =
              convert(source, *make_writer(target, file.get()), {.how = {.threads = threads}},
                      cutter, cutter.stop.get_token());
          ASSERT_FALSE(outcome);
          EXPECT_LT(cutter.done_with_log_, kGuestPages / 8) << "little more than the log";
          if (target.codec) {  // of an ELF file no hole tells that it is one
            expect_opens(file, source);
          } else {
            const MemoryImage cut = *formats::open_dump(Fd(::dup(file.get())));
            EXPECT_THAT(log_of(cut), ::testing::EndsWith(kLog));
            EXPECT_TRUE(cut.file.incomplete);
          }
        }
      }
    }
  }
}

// The log lies in the last of 20 GiB, and behind it more that is planned with it.
TEST(CutDump, WhereverTheKernelLies) {
  for (const std::uint64_t window : {std::uint64_t{0}, 128 * kGib}) {
    GuestBuilder guest = cut_guest("6.12");
    guest.add_ram({{3 * kGib + 4 * kMib}, 32 * kMib}).add_ram({{20 * kGib + 4 * kMib}, 32 * kMib});
    constexpr std::uint64_t kOffset = 0x1c00'0000;
    guest.kaslr(kOffset, 20 * kGib + 8 * kMib - 0x100'0000 - kOffset,
                VirtAddr{0xffff'9a40'0000'0000});
    const MemoryImage source = guest.build();
    Fd file = builders::memory_file();
    Cutter cutter(0);
    ASSERT_FALSE(convert(source, *make_writer(kZstd, file.get()), {.window = window}, cutter,
                         cutter.stop.get_token()));
    expect_opens(file, source);
  }
}

// Each write may be the last for which there is room.
TEST(CutDump, ADiskThatIsFull) {
  const MemoryImage source = cut_guest("6.12").build();
  unsigned with_log = 0;
  for (int writes = 0;; ++writes) {
    ASSERT_LT(writes, 10'000);
    Fd file = builders::memory_file();
    Cutter cutter(kGuestPages);
    fakes::faults.writes_left = writes;
    const auto outcome = convert(source, *make_writer(kZstd, file.get()), {}, cutter, {});
    fakes::no_faults();
    if (outcome) {
      break;
    }
    EXPECT_EQ(outcome.error().code, Errc::no_space);
    if (cutter.log_written_ && with_log++ % 16 == 0) {
      SCOPED_TRACE(fmt::format("{} writes", writes));
      expect_opens(file, source);
    }
  }
  EXPECT_GT(with_log, 32U);
}

// Of a guest that waits nothing is read when it may run again, and with room for all of it nothing
// is written before.
TEST(CutDump, OfAGuestThatWaits) {
  const MemoryImage guest = cut_guest("6.12").build();
  for (const std::size_t room : {std::size_t{0}, std::size_t{8} << 20, std::size_t{96} << 20}) {
    std::vector<std::byte> copies(room);
    MemoryImage source;
    source.machine = guest.machine;
    source.notes = guest.notes;
    source.cpus = guest.cpus;
    auto copied = std::make_unique<CopiedMemory>(*guest.memory, copies, 1);
    const Waiting waiting{.copied = copied.get()};
    source.memory = std::move(copied);
    Fd file = builders::memory_file();
    Cutter cutter(0);
    ASSERT_FALSE(convert(source, *make_writer(kZstd, file.get()), {}, cutter,
                         cutter.stop.get_token(), waiting));
    EXPECT_EQ(cutter.source_read_, room > kGuestPages * 4096 ? 1 : 0) << room;
    EXPECT_LT(cutter.done_with_log_, kGuestPages / 8) << room;
    expect_opens(file, source);
  }
}

}  // namespace
}  // namespace vmcore::convert
