// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/crash_segments.h"

#include <elf.h>
#include <gmock/gmock.h>

#include <cstring>

#include "src/base/little_endian.h"
#include "tests/unit/guest/folder.h"

namespace vmcore::guest::kexec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1U << 20;
constexpr const char* kIomem =
    "00000000-00000fff : Reserved\n"
    "00001000-0009fbff : System RAM\n"
    "000f0000-000fffff : Reserved\n"
    "00100000-3ffdffff : System RAM\n"
    "  10000000-17ffffff : Crash kernel\n"
    "3ffe0000-3fffffff : ACPI Tables\n"
    "b0000000-bfffffff : PCI MMCONFIG 0000 [bus 00-ff]\n"
    "  b0000000-bfffffff : Reserved\n";

template <class T>
void put(std::vector<std::byte>& bytes, std::size_t offset, T value) {
  std::memcpy(&bytes[offset], &value, sizeof value);
}

// One sector of real-mode code behind the first, then 5 bytes of kernel.
std::vector<std::byte> kernel_of(std::uint32_t init_size, std::uint16_t load_flags = 3) {
  std::vector<std::byte> image(2 * 512 + 5, std::byte{'k'});
  put<std::uint8_t>(image, 0x1f1, 1);
  put<std::uint8_t>(image, 0x201, 0x6a);
  put<std::uint32_t>(image, 0x202, 0x53726448);
  put<std::uint32_t>(image, 0x230, 2 * kMiB);
  put<std::uint16_t>(image, 0x236, load_flags);
  put<std::uint32_t>(image, 0x260, init_size);
  return image;
}

CrashInput input_of(const char* iomem, std::uint32_t init_size = 60 * kMiB) {
  CrashInput input{};
  input.kernel = kernel_of(init_size);
  input.initrd.resize(3 * kMiB + 1, std::byte{'i'});
  input.command_line = "panic=90 rdinit=/init";
  input.memory = parse_resources(iomem);
  input.notes = {{0x5000, 0x5fff}, {0x20000100, 0x20000263}};
  input.rsdp = 0x3fb7e014;
  return input;
}

TEST(CrashSegments, LieInTheReservedMemoryBesideEachOther) {
  const auto load = make_crash_segments(input_of(kIomem));
  ASSERT_TRUE(load) << load.error().message;
  std::uint64_t end = 0x10000000;
  for (const Segment* segment :
       {&load->segments[0], &load->segments[1], &load->segments[2], &load->segments[3]}) {
    EXPECT_GE(segment->address, end);
    EXPECT_LE(segment->data.size(), segment->size);
    EXPECT_EQ(segment->address % 4096 + segment->size % 4096, 0U);
    end = segment->address + segment->size;
  }
  EXPECT_EQ(end, 0x18000000U);
  EXPECT_EQ(load->segments[0].address % (2 * kMiB), 0U);
  EXPECT_EQ(load->segments[0].size, 60 * kMiB);
  EXPECT_EQ(load->segments[0].data.size(), 5U);
  EXPECT_EQ(load->entry, load->segments[2].address);
}

struct Boot {  // what the kernel is told
  std::uint64_t initrd;
  std::string command_line;
  std::vector<std::string> map;
};

Boot boot_of(const CrashSegments& load) {
  const Segment& start = load.segments[2];
  const auto parameters = std::span(start.data).subspan(4096);
  Boot boot{};
  boot.initrd = *vmcore::load<ul32>(parameters, 0x218) +
                (std::uint64_t{*vmcore::load<ul32>(parameters, 0xc0)} << 32);
  const std::uint64_t line = *vmcore::load<ul32>(parameters, 0x228) +
                             (std::uint64_t{*vmcore::load<ul32>(parameters, 0xc8)} << 32);
  boot.command_line = reinterpret_cast<const char*>(&start.data[line - start.address]);
  for (unsigned i = 0; i < static_cast<unsigned>(parameters[0x1e8]); ++i) {
    const std::size_t at = 0x2d0 + i * 20U;
    const std::uint64_t first = *vmcore::load<ul64>(parameters, at);
    boot.map.push_back(fmt::format("{:x}-{:x} {}", first,
                                   first + *vmcore::load<ul64>(parameters, at + 8) - 1,
                                   std::uint32_t{*vmcore::load<ul32>(parameters, at + 16)}));
  }
  return boot;
}

TEST(CrashSegments, TellTheKernelWhatIsItsOwn) {
  const auto load = make_crash_segments(input_of(kIomem));
  ASSERT_TRUE(load);
  const Boot boot = boot_of(*load);
  const std::uint64_t elf = load->segments[3].address;
  EXPECT_EQ(boot.initrd, load->segments[1].address);
  EXPECT_EQ(boot.command_line, fmt::format("elfcorehdr={:#x} panic=90 rdinit=/init", elf));
  EXPECT_THAT(boot.map,
              ElementsAre("1000-9fbff 1", fmt::format("10000000-{:x} 1", elf - 1), "0-fff 2",
                          "f0000-fffff 2", "3ffe0000-3fffffff 3", "b0000000-bfffffff 2"));
  const auto parameters = std::span(load->segments[2].data).subspan(4096);
  EXPECT_EQ(*vmcore::load<ul32>(parameters, 0x202), 0x53726448U);
  EXPECT_EQ(*vmcore::load<ul64>(parameters, 0x70), 0x3fb7e014U);
  EXPECT_EQ(*vmcore::load<ul32>(parameters, 0x21c), 3 * kMiB + 1);
}

TEST(CrashSegments, TellTheDumpWhatIsTheCrashedKernels) {
  const auto load = make_crash_segments(input_of(kIomem));
  ASSERT_TRUE(load);
  const std::vector<std::byte>& elf = load->segments[3].data;
  const auto header = *vmcore::load<Elf64_Ehdr>(elf, 0);
  EXPECT_EQ(header.e_type, ET_CORE);
  ASSERT_EQ(elf.size(), sizeof header + header.e_phnum * sizeof(Elf64_Phdr));
  std::vector<std::string> parts;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto part = *vmcore::load<Elf64_Phdr>(elf, sizeof header + i * sizeof(Elf64_Phdr));
    EXPECT_EQ(part.p_offset, part.p_paddr);
    EXPECT_EQ(part.p_filesz, part.p_memsz);
    parts.push_back(fmt::format("{} {:x}+{:x}", static_cast<unsigned>(part.p_type), part.p_paddr,
                                part.p_memsz));
  }
  EXPECT_THAT(parts, ElementsAre("4 5000+1000", "4 20000100+164", "1 100000+ff00000",
                                 "1 18000000+27fe0000"));
}

TEST(CrashSegments, TheUpperOfTwoReservations) {
  const auto load =
      make_crash_segments(input_of("00100000-bfffffff : System RAM\n"
                                   "  a0000000-afffffff : Crash kernel\n"
                                   "100000000-23fffffff : System RAM\n"
                                   "  220000000-22fffffff : Crash kernel\n"));
  ASSERT_TRUE(load) << load.error().message;
  EXPECT_EQ(load->segments[0].address, 0x220000000U);
  const Boot boot = boot_of(*load);
  EXPECT_EQ(boot.initrd, load->segments[1].address);
  EXPECT_THAT(boot.map, ElementsAre("a0000000-afffffff 1", HasSubstr("220000000-22f")));
}

TEST(CrashSegments, RefuseWhatCannotRun) {
  const auto error = [](const CrashInput& input) {
    const auto load = make_crash_segments(input);
    return load ? "none" : load.error().message;
  };
  EXPECT_THAT(error(input_of(kIomem, 126 * kMiB)), HasSubstr("(128 MiB) is too small"));
  EXPECT_THAT(error(input_of("00100000-3ffdffff : System RAM\n")),
              HasSubstr("no memory is reserved"));
  CrashInput input = input_of(kIomem);
  input.kernel = kernel_of(kMiB, 1);
  EXPECT_THAT(error(input), HasSubstr("64-bit mode"));
  input.kernel.resize(100);
  EXPECT_THAT(error(input), HasSubstr("64-bit mode"));
  input = input_of(kIomem);
  input.kernel.resize(1024);
  EXPECT_THAT(error(input), HasSubstr("real-mode code"));
  input = input_of(kIomem);
  input.command_line.resize(4096, 'x');
  EXPECT_THAT(error(input), HasSubstr("command line"));
}

TEST(CrashInput, WhereTheNotesAre) {
  const Folder guest;
  guest.write("/proc/iomem", kIomem);
  EXPECT_THAT(read_crash_input(guest.root()).error().message, HasSubstr("VMCOREINFO"));
  guest.write("/sys/kernel/vmcoreinfo", "0x000000003fe2b000 1024\n");
  guest.write("/sys/devices/system/cpu/cpu0/crash_notes", "3fc2d800\n");
  guest.write("/sys/devices/system/cpu/cpu0/crash_notes_size", "356\n");
  guest.write("/sys/devices/system/cpu/cpufreq/crash_notes", "1000\n");
  guest.write("/sys/devices/system/cpu/cpu1/online", "1\n");
  guest.write("/sys/firmware/efi/systab", "MPS=0x1\nACPI20=0x3fb7e014\nACPI=0x3fb7e000\n");
  const auto input = read_crash_input(guest.root());
  ASSERT_TRUE(input);
  EXPECT_THAT(input->notes, ElementsAre(MemoryRange{0x3fe2b000, 0x3fe2b000 + 0x1024 - 1},
                                        MemoryRange{0x3fc2d800, 0x3fc2d800 + 356 - 1}));
  EXPECT_EQ(input->rsdp, 0x3fb7e014U);
  EXPECT_EQ(input->memory.size(), 8U);
}

}  // namespace
}  // namespace vmcore::guest::kexec
