// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/crash_segments.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "guest/root/read_word.h"
#include "src/base/elf_core.h"
#include "src/base/little_endian.h"
#include "src/base/number.h"

// Runs between the kernels. kexec leaves the CPU in 64-bit mode, with memory mapped one to one and
// without a usable GDT (arch/x86/kernel/relocate_kernel_64.S). The 64-bit boot protocol wants flat
// segments 0x10 and 0x18, and the boot parameters in RSI (Documentation/arch/x86/boot.rst). They
// lie in the page behind this one; the end of this page is the stack.
asm(R"(
  .pushsection .rodata
  .balign 16
vmcore_purgatory:
  lea 2f(%rip), %rax
  mov %rax, 3f+2(%rip)
  lgdt 3f(%rip)
  mov $0x18, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  mov %eax, %fs
  mov %eax, %gs
  lea vmcore_purgatory+4096(%rip), %rsp
  mov %rsp, %rsi
  pushq $0x10
  pushq vmcore_purgatory_entry(%rip)
  lretq
  .balign 8
vmcore_purgatory_entry:
  .quad 0
2:
  .quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
3:
  .word 31
  .quad 0
vmcore_purgatory_end:
  .popsection
)");
extern "C" {
extern const std::byte vmcore_purgatory[];
extern const std::byte vmcore_purgatory_entry[];
extern const std::byte vmcore_purgatory_end[];
}

namespace vmcore::guest::kexec {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLowMemory = 1U << 20;

// The setup header of a bzImage, at the same offsets in the file and in the boot parameters, and
// fields of the boot parameters (arch/x86/include/uapi/asm/bootparam.h).
constexpr std::size_t kSetupSectors = 0x1f1;
constexpr std::size_t kHeaderLength = 0x201;
constexpr std::size_t kHeaderEnd = 0x202;    // plus the length
constexpr std::size_t kHeaderLimit = 0x290;  // the next field of the boot parameters
constexpr std::size_t kLoaderType = 0x210;
constexpr std::size_t kInitrd = 0x218;
constexpr std::size_t kInitrdSize = 0x21c;
constexpr std::size_t kCommandLine = 0x228;
constexpr std::size_t kAlignment = 0x230;
constexpr std::size_t kLoadFlags = 0x236;
constexpr std::size_t kInitSize = 0x260;
constexpr std::size_t kScreenSize = 0x40;
constexpr std::size_t kRsdp = 0x070;
constexpr std::size_t kInitrdHigh = 0x0c0;
constexpr std::size_t kInitrdSizeHigh = 0x0c4;
constexpr std::size_t kCommandLineHigh = 0x0c8;
constexpr std::size_t kMapEntries = 0x1e8;
constexpr std::size_t kMap = 0x2d0;
constexpr std::size_t kMostMapEntries = 128;
constexpr std::uint16_t kAnywhere = 3;     // XLF_KERNEL_64, XLF_CAN_BE_LOADED_ABOVE_4G
constexpr std::uint64_t kEntry64 = 0x200;  // startup_64, from the start of the kernel proper
constexpr std::uint8_t kOtherLoader = 0xff;

struct MapEntry {
  ul64 address;
  ul64 size;
  ul32 type;
};
static_assert(sizeof(MapEntry) == 20);
constexpr std::uint32_t kRam = 1;
constexpr std::uint32_t kReserved = 2;
constexpr std::uint32_t kAcpi = 3;
constexpr std::uint32_t kNvs = 4;

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

template <class T>
void put(std::span<std::byte> bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

bool is_ram(const Resource& resource) {
  return resource.name == "System RAM" || resource.name.starts_with("System RAM (");
}

// The parts of `from` outside `hole`.
std::vector<MemoryRange> without(const std::vector<MemoryRange>& from, MemoryRange hole) {
  std::vector<MemoryRange> rest;
  for (const MemoryRange& range : from) {
    if (range.last < hole.first || range.first > hole.last) {
      rest.push_back(range);
      continue;
    }
    if (range.first < hole.first) {
      rest.push_back({range.first, hole.first - 1});
    }
    if (range.last > hole.last) {
      rest.push_back({hole.last + 1, range.last});
    }
  }
  return rest;
}

// What /proc/vmcore shall show: all RAM but the reserved ranges, and the first MiB, which the
// kernel reserves for the capture kernel (Linux 5.5, 6f599d84231f).
std::vector<MemoryRange> crashed_memory(const CrashInput& input,
                                        const std::vector<MemoryRange>& reserved) {
  std::vector<MemoryRange> ranges;
  for (const Resource& resource : input.memory) {
    if (is_ram(resource)) {
      ranges.push_back(resource.range);
    }
  }
  ranges = without(ranges, {0, kLowMemory - 1});
  for (const MemoryRange& range : reserved) {
    ranges = without(ranges, range);
  }
  return ranges;
}

// The header that elfcorehdr= points to (fs/proc/vmcore.c). Virtual addresses are unknown and 0, as
// in a dump of QEMU.
std::vector<std::byte> elf_header(const CrashInput& input,
                                  const std::vector<MemoryRange>& reserved) {
  std::vector<Elf64_Phdr> parts;
  const auto add = [&parts](std::uint32_t type, std::uint32_t flags, const MemoryRange& range) {
    const std::uint64_t size = range.last - range.first + 1;
    parts.push_back({.p_type = type,
                     .p_flags = flags,
                     .p_offset = range.first,
                     .p_vaddr = 0,
                     .p_paddr = range.first,
                     .p_filesz = size,
                     .p_memsz = size,
                     .p_align = 0});
  };
  for (const MemoryRange& note : input.notes) {
    add(PT_NOTE, 0, note);
  }
  for (const MemoryRange& range : crashed_memory(input, reserved)) {
    add(PT_LOAD, PF_R | PF_W | PF_X, range);
  }
  const Elf64_Ehdr header = elf_core_header(EM_X86_64, static_cast<Elf64_Half>(parts.size()));
  std::vector<std::byte> bytes(sizeof header + parts.size() * sizeof(Elf64_Phdr));
  put(bytes, 0, header);
  std::memcpy(bytes.data() + sizeof header, parts.data(), parts.size() * sizeof(Elf64_Phdr));
  return bytes;
}

std::uint32_t firmware_type(std::string_view name) {
  return name == "ACPI Tables"                 ? kAcpi
         : name == "ACPI Non-volatile Storage" ? kNvs
         : name == "Reserved"                  ? kReserved
                                               : 0;
}

// The memory map of the capture kernel: the first MiB, its own memory without the ELF header, and
// what the firmware owns.
std::vector<MapEntry> memory_map(const CrashInput& input, const std::vector<MemoryRange>& reserved,
                                 MemoryRange elf) {
  std::vector<MapEntry> map;
  const auto add = [&map](const MemoryRange& range, std::uint32_t type) {
    map.push_back({range.first, range.last - range.first + 1, type});
  };
  for (const Resource& resource : input.memory) {
    if (is_ram(resource) && resource.range.first < kLowMemory) {
      add({resource.range.first, std::min(resource.range.last, kLowMemory - 1)}, kRam);
    }
  }
  for (const MemoryRange& range : without(reserved, elf)) {
    add(range, kRam);
  }
  for (const Resource& resource : input.memory) {
    if (const std::uint32_t type = firmware_type(resource.name); type != 0) {
      add(resource.range, type);
    }
  }
  map.resize(std::min(map.size(), kMostMapEntries));
  return map;
}

// The reserved memory, taken from its end.
class Room {
 public:
  explicit Room(MemoryRange range) : first_(range.first), end_((range.last + 1) / kPage * kPage) {}
  std::uint64_t first() const { return first_; }
  std::uint64_t end() const { return end_; }
  // The address of `size` bytes; 0 if there are not so many.
  std::uint64_t take(std::uint64_t size) {
    size = round_up(size, kPage);
    const bool fits = end_ >= first_ && end_ - first_ >= size;
    end_ = fits ? end_ - size : first_;
    return fits ? end_ : 0;
  }

 private:
  std::uint64_t first_;
  std::uint64_t end_;
};

struct Layout {
  std::uint64_t elf;
  std::uint64_t start;  // purgatory, boot parameters, command line: a page each
  std::uint64_t initrd;
  std::uint64_t kernel;
};
constexpr std::uint64_t kStartSize = 3 * kPage;

Result<Layout> lay_out(const CrashInput& input, MemoryRange range, std::size_t elf_size) {
  const std::uint64_t alignment = load<ul32>(input.kernel, kAlignment).value_or(0);
  const std::uint64_t init_size = load<ul32>(input.kernel, kInitSize).value_or(0);
  Room room(range);
  Layout layout{.elf = room.take(elf_size),
                .start = room.take(kStartSize),
                .initrd = room.take(input.initrd.size()),
                .kernel = round_up(range.first, std::max(alignment, kPage))};
  if (layout.initrd == 0 || layout.kernel > room.end() ||
      room.end() - layout.kernel < round_up(init_size, kPage)) {
    return fail(Errc::no_space,
                "the reserved memory ({} MiB) is too small: run vmcore-guest estimate, and boot "
                "with a larger crashkernel=",
                (range.last - range.first + 1) >> 20);
  }
  return layout;
}

std::vector<std::byte> boot_parameters(const CrashInput& input, const Layout& layout,
                                       const std::vector<MapEntry>& map) {
  std::vector<std::byte> page(kPage);
  const std::span<std::byte> out(page);
  const std::size_t header_end =
      std::min(kHeaderEnd + static_cast<std::size_t>(input.kernel[kHeaderLength]), kHeaderLimit);
  std::memcpy(&page[kSetupSectors], &input.kernel[kSetupSectors], header_end - kSetupSectors);
  std::copy_n(input.screen.begin(), std::min(input.screen.size(), kScreenSize), page.begin());
  const std::uint64_t line = layout.start + 2 * kPage;
  put(out, kRsdp, input.rsdp);
  put(out, kLoaderType, kOtherLoader);
  put(out, kInitrd, static_cast<std::uint32_t>(layout.initrd));
  put(out, kInitrdHigh, static_cast<std::uint32_t>(layout.initrd >> 32));
  put(out, kInitrdSize, static_cast<std::uint32_t>(input.initrd.size()));
  put(out, kInitrdSizeHigh, static_cast<std::uint32_t>(std::uint64_t{input.initrd.size()} >> 32));
  put(out, kCommandLine, static_cast<std::uint32_t>(line));
  put(out, kCommandLineHigh, static_cast<std::uint32_t>(line >> 32));
  put(out, kMapEntries, static_cast<std::uint8_t>(map.size()));
  std::memcpy(&page[kMap], map.data(), map.size() * sizeof(MapEntry));
  return page;
}

std::vector<std::byte> purgatory(std::uint64_t kernel_entry) {
  std::vector<std::byte> code(vmcore_purgatory, vmcore_purgatory_end);
  put(std::span(code), static_cast<std::size_t>(vmcore_purgatory_entry - vmcore_purgatory),
      kernel_entry);
  return code;
}

Result<std::vector<std::byte>> start_pages(const CrashInput& input, const Layout& layout,
                                           const std::vector<MapEntry>& map) {
  const std::vector<std::byte> line =
      bytes_of(fmt::format("elfcorehdr={:#x} {}", layout.elf, input.command_line));
  if (line.size() >= kPage) {
    return fail(Errc::limit, "the command line has {} bytes, more than a page", line.size());
  }
  std::vector<std::byte> pages = purgatory(layout.kernel + kEntry64);
  pages.resize(kPage);
  const std::vector<std::byte> parameters = boot_parameters(input, layout, map);
  pages.insert(pages.end(), parameters.begin(), parameters.end());
  pages.insert(pages.end(), line.begin(), line.end());
  pages.push_back(std::byte{0});
  return pages;
}

// The kernel proper, behind the sectors of real-mode code.
Result<std::vector<std::byte>> kernel_proper(const std::vector<std::byte>& image) {
  constexpr std::size_t kSector = 512;
  constexpr std::size_t kOldSectors = 4;
  const auto flags = load<ul16>(image, kLoadFlags);
  if (!flags || !load<ul32>(image, kInitSize) || (*flags & kAnywhere) != kAnywhere) {
    return fail(Errc::unsupported,
                "the kernel cannot be entered in 64-bit mode anywhere in memory");
  }
  const auto sectors = static_cast<std::size_t>(image[kSetupSectors]);
  const std::size_t begin = ((sectors == 0 ? kOldSectors : sectors) + 1) * kSector;
  if (begin >= image.size()) {
    return fail(Errc::truncated, "the kernel ends inside its real-mode code");
  }
  return std::vector<std::byte>(image.begin() + static_cast<std::ptrdiff_t>(begin), image.end());
}

// "0x000000003fe2b000 1024": hexadecimal numbers.
std::optional<MemoryRange> parse_vmcoreinfo(std::string_view text) {
  text.remove_prefix(text.starts_with("0x") ? 2 : 0);
  const auto address = take_number<std::uint64_t>(text, 16);
  text.remove_prefix(text.starts_with(' ') ? 1 : 0);
  const auto size = parse_number<std::uint64_t>(text, 16);
  return address && size && *size != 0 ? std::optional(MemoryRange{*address, *address + *size - 1})
                                       : std::nullopt;
}

// Where the crashing kernel stores the registers of a CPU.
std::optional<MemoryRange> notes_of_cpu(const root::Root& root, std::string_view cpu) {
  const auto at = [&](std::string_view file) {
    return root::read_word(root, {fmt::format("/sys/devices/system/cpu/{}/{}", cpu, file)});
  };
  const auto address = parse_number<std::uint64_t>(at("crash_notes").value_or(""), 16);
  const auto size = parse_number<std::uint64_t>(at("crash_notes_size").value_or(""), 10);
  return address && size && *size != 0 ? std::optional(MemoryRange{*address, *address + *size - 1})
                                       : std::nullopt;
}

bool is_cpu(std::string_view name) {
  return name.starts_with("cpu") && parse_number<unsigned>(name.substr(3)).has_value();
}

// The kernel does not find ACPI's tables under EFI by itself. "ACPI20=0x3fb7e014"
std::uint64_t read_rsdp(const root::Root& root) {
  const std::string table = root.read("/sys/firmware/efi/systab").value_or("");
  for (const std::string_view key : {"ACPI20=0x", "ACPI=0x"}) {
    const std::size_t at = table.find(key);
    if (at != std::string::npos) {
      std::string_view number = std::string_view(table).substr(at + key.size());
      return take_number<std::uint64_t>(number, 16).value_or(0);
    }
  }
  return 0;
}

}  // namespace

Result<CrashInput> read_crash_input(const root::Root& root) {
  CrashInput input{};
  TRY_ASSIGN(const std::string iomem, root.read("/proc/iomem"));
  input.memory = parse_resources(iomem);
  const auto vmcoreinfo =
      parse_vmcoreinfo(root::read_word(root, {"/sys/kernel/vmcoreinfo"}).value_or(""));
  if (!vmcoreinfo) {
    return fail(Errc::unsupported,
                "/sys/kernel/vmcoreinfo does not tell where VMCOREINFO is: boot a kernel with "
                "CONFIG_CRASH_DUMP");
  }
  input.notes.push_back(*vmcoreinfo);
  TRY_ASSIGN(const auto names, root.list("/sys/devices/system/cpu"));
  for (const std::string& name : names) {
    const auto notes = is_cpu(name) ? notes_of_cpu(root, name) : std::nullopt;
    if (notes) {
      input.notes.push_back(*notes);
    }
  }
  input.rsdp = read_rsdp(root);
  input.screen = bytes_of(root.read("/sys/kernel/boot_params/data").value_or(""));
  input.screen.resize(std::min(input.screen.size(), kScreenSize));
  return input;
}

Result<CrashSegments> make_crash_segments(const CrashInput& input) {
  const std::vector<MemoryRange> reserved = crash_ranges(input.memory);
  if (reserved.empty()) {
    return fail(Errc::no_space,
                "no memory is reserved for a capture kernel: boot with crashkernel=");
  }
  TRY_ASSIGN(std::vector<std::byte> kernel, kernel_proper(input.kernel));
  std::vector<std::byte> elf = elf_header(input, reserved);
  // The kernel takes segments only in the last range; one below it is for DMA (crashkernel=,high).
  TRY_ASSIGN(const Layout layout, lay_out(input, reserved.back(), elf.size()));
  const std::uint64_t elf_size = round_up(elf.size(), kPage);
  const std::vector<MapEntry> map =
      memory_map(input, reserved, {layout.elf, layout.elf + elf_size - 1});
  TRY_ASSIGN(std::vector<std::byte> start, start_pages(input, layout, map));
  const std::uint64_t kernel_size =
      round_up(std::max<std::uint64_t>(*load<ul32>(input.kernel, kInitSize), kernel.size()), kPage);
  CrashSegments result{.entry = layout.start, .segments = {}};
  result.segments.push_back({layout.kernel, kernel_size, std::move(kernel)});
  if (!input.initrd.empty()) {
    result.segments.push_back({layout.initrd, round_up(input.initrd.size(), kPage), input.initrd});
  }
  result.segments.push_back({layout.start, kStartSize, std::move(start)});
  result.segments.push_back({layout.elf, elf_size, std::move(elf)});
  return result;
}

}  // namespace vmcore::guest::kexec
