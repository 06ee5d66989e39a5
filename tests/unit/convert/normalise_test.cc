// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/normalise.h"

#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

using ::testing::ElementsAre;
using testing::GuestBuilder;
using ::testing::HasSubstr;

// "NAME type", or for registers "NAME rip".
std::string name_of(const Note& note) {
  if (note.name == "CORE" || note.name == "QEMU") {
    const std::size_t at = note.name == "CORE" ? 112 + 16 * 8 : 8 + 16 * 8;
    std::uint64_t rip = 0;
    std::memcpy(&rip, note.desc.data() + at, sizeof rip);
    return fmt::format("{} {:x}", note.name, rip);
  }
  return note.name;
}

struct Normalised {
  formats::DumpHeader header;
  std::vector<Remark> remarks;
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Note& note : header.notes) {
      names.push_back(name_of(note));
    }
    return names;
  }
};

Normalised normalise(const MemoryImage& image) {
  const auto found = kernel::find_kernels(image, kernel::Search::registers);
  const kernel::GuestKernel* kernel = found->kernels.empty() ? nullptr : &found->kernels.front();
  const auto plan = filters::make_plan(*image.memory, kernel, 0, {}, {});
  Normalised result;
  const CrashTime time = crash_time(image, kernel, {});
  result.header = make_header(image, kernel, *plan, time, result.remarks);
  result.header.notes.push_back(
      make_provenance_note(make_provenance(image, *plan, time, {}, result.remarks)));
  return result;
}

// Two vCPUs whose registers were saved in an order that is not Linux's.
GuestBuilder& with_swapped_cpus(GuestBuilder& guest) {
  std::vector<CpuState> cpus(2);
  for (unsigned i = 0; i < 2; ++i) {
    cpus[i].index = i;
    cpus[i].cs.selector = 0x10;
    cpus[i].rip = 0xffff'ffff'8100'0000;
    cpus[i].gs.base = guest.per_cpu_offset(1 - i);
  }
  return guest.cpus(cpus);
}

void add_cpu_notes(MemoryImage& image) {
  image.notes.insert(image.notes.begin(), builders::prstatus_note(0xa0, 1));
  image.notes.push_back(builders::qemu_note(0xa0, 0));
  image.notes.push_back({"OTHER", 7, builders::text("kept")});
  image.notes.push_back(builders::prstatus_note(0xa1, 1));
  image.notes.push_back(builders::qemu_note(0xa1, 0));
}

TEST(Normalise, NotesAreInTheOrderThatReadersWant) {
  GuestBuilder guest = sample_guest();
  MemoryImage image = with_swapped_cpus(guest).build();
  add_cpu_notes(image);
  EXPECT_THAT(normalise(image).names(), ElementsAre("VMCOREINFO", "CORE a1", "CORE a0", "QEMU a1",
                                                    "QEMU a0", "OTHER", "VMCORECTL"));
}

std::uint32_t pid_of(const Note& note) {
  std::uint32_t pid = 0;
  std::memcpy(&pid, note.desc.data() + 32, sizeof pid);
  return pid;
}

// drgn finds the registers of a CPU by that.
TEST(Normalise, TheProcessOfRegistersIsLinuxsNumberOfTheCpu) {
  GuestBuilder guest = sample_guest();
  std::vector<CpuState> cpus(2);
  for (unsigned i = 0; i < 2; ++i) {
    cpus[i].cs.selector = 0x10;
    cpus[i].rip = 0xffff'ffff'8100'0000;
    cpus[i].gs.base = guest.per_cpu_offset(i == 0 ? 3 : 0);
  }
  MemoryImage image = guest.cpus(cpus).build();
  add_cpu_notes(image);
  const Normalised normalised = normalise(image);
  EXPECT_EQ(normalised.names()[1], "CORE a1");
  EXPECT_EQ(pid_of(normalised.header.notes[1]), 1U);
  EXPECT_EQ(pid_of(normalised.header.notes[2]), 4U);
}

TEST(Normalise, WithoutSymbolsTheOrderStaysAndItIsSaid) {
  GuestBuilder guest = sample_guest("5.15");
  guest.without_symbols();
  MemoryImage image = with_swapped_cpus(guest).build();
  add_cpu_notes(image);
  const Normalised normalised = normalise(image);
  EXPECT_THAT(normalised.names(), ElementsAre("VMCOREINFO", "CORE a0", "CORE a1", "QEMU a0",
                                              "QEMU a1", "OTHER", "VMCORECTL"));
  EXPECT_THAT(texts(normalised.remarks), HasSubstr("order of the vCPUs"));
}

TEST(Normalise, NotesThatAreNotOneAVcpuStayAsTheyWere) {
  GuestBuilder guest = sample_guest();
  MemoryImage image = with_swapped_cpus(guest).build();
  image.notes.push_back(builders::prstatus_note(0xa0, 1));
  EXPECT_THAT(normalise(image).names(), ElementsAre("VMCOREINFO", "CORE a0", "VMCORECTL"));
}

TEST(Normalise, AMissingVmcoreinfoIsWritten) {
  GuestBuilder guest = sample_guest();
  guest.without_note();
  const MemoryImage image = guest.build();
  const Normalised normalised = normalise(image);
  ASSERT_THAT(normalised.names(), ElementsAre("VMCOREINFO", "VMCORECTL"));
  EXPECT_EQ(normalised.header.notes[0].desc, builders::text(guest.vmcoreinfo_text()));
}

TEST(Normalise, WithoutAKernelNotesStayAsTheyWere) {
  MemoryImage image = sample_guest().build();
  image.memory = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 4096}});
  const std::vector<CpuState> cpus = std::exchange(image.cpus, {});
  EXPECT_THAT(normalise(image).names(), ElementsAre("VMCOREINFO", "VMCORECTL"));
  EXPECT_TRUE(normalise(image).header.segments.empty());
  EXPECT_EQ(normalise(image).header.release, "");
  image.cpus = cpus;  // which do not run what VMCOREINFO describes
  EXPECT_THAT(normalise(image).names(), ElementsAre("VMCORECTL"));
}

TEST(Normalise, OurOldNoteIsReplaced) {
  GuestBuilder guest = sample_guest();
  MemoryImage image = guest.build();
  image.notes.push_back(make_provenance_note({.version = "old", .level_asked = 8}));
  const Normalised normalised = normalise(image);
  EXPECT_THAT(normalised.names(), ElementsAre("VMCOREINFO", "VMCORECTL"));
  MemoryImage written;
  written.notes = normalised.header.notes;
  EXPECT_EQ(read_provenance(written)->level_asked, 31U);
}

TEST(Normalise, AddressesAreTheKernels) {
  const VirtAddr page_offset{0xffff'9000'0000'0000};
  GuestBuilder guest("6.12");
  guest.ram(96).kaslr(0x1000'0000, -0xe00'0000, page_offset).pages("2017 slab");
  const Normalised normalised = normalise(guest.build());
  EXPECT_EQ(normalised.header.phys_base, -0xe00'0000);
  ASSERT_EQ(normalised.header.segments.size(), 2U);
  const auto& image = normalised.header.segments[0];
  EXPECT_EQ(image.virtual_begin, VirtAddr{0xffff'ffff'9100'0000});
  EXPECT_EQ(image.physical.begin, PhysAddr{0x300'0000});
  const auto& direct = normalised.header.segments[1];
  EXPECT_EQ(direct.virtual_begin, page_offset);
  EXPECT_EQ(direct.physical, (PhysRange{{0}, 96ULL << 20}));
  EXPECT_EQ(normalised.header.release, "6.12.0-test");
  EXPECT_EQ(normalised.header.level, 31U);
  EXPECT_EQ(normalised.header.cpu_count, 1U);
}

TEST(Normalise, TheImageLiesWhereMemoryCanBe) {
  constexpr VirtAddr kBegin{0xffff'ffff'8100'0000};
  constexpr std::uint64_t kSize = 0x200'0000;
  constexpr PhysAddr kLast{kMaxPhysAddr - kSize};
  const auto found = image_segment({kBegin, kSize}, kLast);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->physical, (PhysRange{kLast, kSize}));
  EXPECT_EQ(found->virtual_begin, kBegin);
  EXPECT_TRUE(image_segment({kBegin, kSize}, PhysAddr{0}));
  EXPECT_FALSE(image_segment({kBegin, kSize}, PhysAddr{kLast.value + 1}));
  EXPECT_FALSE(image_segment({kBegin, kSize}, PhysAddr{~std::uint64_t{0}}));
  EXPECT_FALSE(image_segment({kBegin, 0}, PhysAddr{0}));
  EXPECT_FALSE(image_segment({kBegin, kMaxPhysAddr + 1}, PhysAddr{0}));
}

struct Clock {
  const char* crashtime;  // VMCOREINFO
  std::optional<std::uint64_t> provenance, host, header;
  std::optional<std::uint64_t> seconds;
  TimeSource source;
};

TEST(CrashTime, BestFirst) {
  const Clock clocks[] = {
      {"1700000001", 2, 3, 4, 1700000001, TimeSource::guest},
      {"0", 2, 3, 4, 2, TimeSource::host_event},
      {"soon", {}, 3, 4, 3, TimeSource::host_event},
      {nullptr, {}, {}, 4, 4, TimeSource::file_header},
      {nullptr, {}, {}, {}, {}, TimeSource::none},
  };
  for (const Clock& clock : clocks) {
    GuestBuilder guest = sample_guest();
    if (clock.crashtime != nullptr) {
      guest.vmcoreinfo("CRASHTIME", clock.crashtime);
    }
    MemoryImage image = guest.build();
    image.file.crash_time = clock.header;
    if (clock.provenance) {
      image.notes.push_back(make_provenance_note({.version = "1",
                                                  .crash_time = clock.provenance,
                                                  .crash_time_source = TimeSource::host_event}));
    }
    const auto found = kernel::find_kernels(image, kernel::Search::registers);
    const CrashTime time = crash_time(image, &found->kernels.at(0), clock.host);
    EXPECT_EQ(time.seconds, clock.seconds);
    EXPECT_EQ(time.source, clock.source);
  }
}

}  // namespace
}  // namespace vmcore::convert
