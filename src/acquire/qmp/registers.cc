// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/registers.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "src/base/number.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

template <class Number>
std::optional<Number> number_at_start(std::string_view text, int base) {
  const auto value = take_number<Number>(text, base);
  return text.empty() || text.front() == ' ' ? value : std::nullopt;
}

// The hexadecimal number behind the name ("CR3="), which begins the line or follows a space.
std::optional<std::uint64_t> value_of(std::string_view name, std::string_view line) {
  for (std::size_t at = line.find(name); at != std::string_view::npos;
       at = line.find(name, at + 1)) {
    if (at == 0 || line[at - 1] == ' ') {
      return number_at_start<std::uint64_t>(line.substr(at + name.size()), 16);
    }
  }
  return std::nullopt;
}

// "GS =0000 ffff88803ec00000 ffffffff 00c00000": selector, base, limit, flags. A table has neither
// selector nor flags: "IDT=     fffffe0000000000 00000fff".
std::optional<Segment> segment_in(std::string_view line) {
  constexpr std::size_t kName = 4;
  line.remove_prefix(std::min(kName, line.size()));
  const auto word = [&line] {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const std::string_view first = line.substr(0, line.find(' '));
    line.remove_prefix(first.size());
    return first;
  };
  const bool is_table = line.starts_with(' ');
  const auto selector = is_table ? std::uint16_t{0} : number_at_start<std::uint16_t>(word(), 16);
  const auto base = number_at_start<std::uint64_t>(word(), 16);
  const auto limit = number_at_start<std::uint32_t>(word(), 16);
  const auto flags = number_at_start<std::uint32_t>(word(), 16);
  if (!selector || !base) {
    return std::nullopt;
  }
  return Segment{*selector, limit.value_or(0), is_table ? 0 : flags.value_or(0), *base};
}

struct NamedNumber {
  std::string_view name;
  std::uint64_t CpuState::*into;
};
constexpr NamedNumber kNumbers[]{
    {"RAX=", &CpuState::rax},    {"EAX=", &CpuState::rax}, {"RBX=", &CpuState::rbx},
    {"EBX=", &CpuState::rbx},    {"RCX=", &CpuState::rcx}, {"ECX=", &CpuState::rcx},
    {"RDX=", &CpuState::rdx},    {"EDX=", &CpuState::rdx}, {"RSI=", &CpuState::rsi},
    {"ESI=", &CpuState::rsi},    {"RDI=", &CpuState::rdi}, {"EDI=", &CpuState::rdi},
    {"RBP=", &CpuState::rbp},    {"EBP=", &CpuState::rbp}, {"RSP=", &CpuState::rsp},
    {"ESP=", &CpuState::rsp},    {"R8 =", &CpuState::r8},  {"R9 =", &CpuState::r9},
    {"R10=", &CpuState::r10},    {"R11=", &CpuState::r11}, {"R12=", &CpuState::r12},
    {"R13=", &CpuState::r13},    {"R14=", &CpuState::r14}, {"R15=", &CpuState::r15},
    {"RIP=", &CpuState::rip},    {"EIP=", &CpuState::rip}, {"RFL=", &CpuState::rflags},
    {"EFL=", &CpuState::rflags},
};

struct NamedControl {
  std::string_view name;
  std::optional<std::uint64_t> CpuState::*into;
};
constexpr NamedControl kControls[]{
    {"CR0=", &CpuState::cr0}, {"CR2=", &CpuState::cr2},   {"CR3=", &CpuState::cr3},
    {"CR4=", &CpuState::cr4}, {"EFER=", &CpuState::efer},
};

struct NamedSegment {
  std::string_view name;
  Segment CpuState::*into;
};
constexpr NamedSegment kSegments[]{
    {"CS =", &CpuState::cs}, {"DS =", &CpuState::ds}, {"ES =", &CpuState::es},
    {"FS =", &CpuState::fs}, {"GS =", &CpuState::gs}, {"SS =", &CpuState::ss},
};

struct NamedTable {
  std::string_view name;
  std::optional<Segment> CpuState::*into;
};
constexpr NamedTable kTables[]{
    {"LDT=", &CpuState::ldt},
    {"TR =", &CpuState::tr},
    {"GDT=", &CpuState::gdt},
    {"IDT=", &CpuState::idt},
};

// What a CPU has been seen to have so far.
struct Seen {
  CpuState cpu;
  bool rip = false, rsp = false, cs = false;
  bool is_whole() const { return rip && rsp && cs && cpu.cr0 && cpu.cr3 && cpu.cr4; }
};

void read_segment(Seen& seen, std::string_view line) {
  const auto segment = segment_in(line);
  if (!segment) {
    return;
  }
  for (const NamedSegment& named : kSegments) {
    if (line.starts_with(named.name)) {
      seen.cpu.*named.into = *segment;
      seen.cs = seen.cs || named.into == &CpuState::cs;
    }
  }
  for (const NamedTable& named : kTables) {
    if (line.starts_with(named.name)) {
      seen.cpu.*named.into = segment;
    }
  }
}

void read_line(Seen& seen, std::string_view line) {
  read_segment(seen, line);
  for (const NamedNumber& named : kNumbers) {
    if (const auto value = value_of(named.name, line)) {
      seen.cpu.*named.into = *value;
      seen.rip = seen.rip || named.into == &CpuState::rip;
      seen.rsp = seen.rsp || named.into == &CpuState::rsp;
    }
  }
  for (const NamedControl& named : kControls) {
    if (const auto value = value_of(named.name, line)) {
      seen.cpu.*named.into = value;
    }
  }
  if (const auto halted = value_of("HLT=", line)) {
    seen.cpu.halted = *halted != 0;
  }
}

std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  while (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return line;
}

}  // namespace

Result<std::vector<CpuState>> parse_registers(std::string_view text, unsigned first) {
  constexpr std::string_view kHeader = "CPU#";
  std::vector<Seen> all;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    if (line.starts_with(kHeader)) {
      const auto index = number_at_start<std::uint16_t>(line.substr(kHeader.size()), 10);
      if (!index || all.size() == kMostCpus) {
        return fail(Errc::unsupported,
                    "QEMU reports registers (info registers) of impossible CPUs");
      }
      all.emplace_back().cpu.index = *index;
      continue;
    }
    if (all.empty() && !line.empty()) {
      all.emplace_back().cpu.index = first;
    }
    if (!all.empty()) {
      read_line(all.back(), line);
    }
  }
  if (all.empty() || !std::ranges::all_of(all, &Seen::is_whole)) {
    return fail(
        Errc::unsupported,
        "QEMU's registers (info registers) are not those of an x86 CPU, or have an unknown form");
  }
  std::vector<CpuState> cpus;
  for (const Seen& seen : all) {
    cpus.push_back(seen.cpu);
  }
  return cpus;
}

Result<std::vector<CpuState>> read_registers(const Execute& execute) {
  TRY_ASSIGN(const Json known, execute("query-cpus-fast", Json::object()));
  if (!known.is_array() || known.empty() || known.size() > kMostCpus) {
    return fail(Errc::unsupported, "QEMU does not list the guest's CPUs (query-cpus-fast)");
  }
  std::vector<CpuState> cpus;
  for (const Json& one : known) {
    const auto index = qmp::number_member(one, "cpu-index");
    if (!index || *index > UINT16_MAX) {
      return fail(Errc::unsupported, "QEMU lists a CPU without a number (query-cpus-fast)");
    }
    TRY_ASSIGN(const Json text,
               execute("human-monitor-command",
                       {{"command-line", "info registers"}, {"cpu-index", *index}}));
    TRY_ASSIGN(const std::vector<CpuState> told,
               parse_registers(text.is_string() ? text.get_ref<const std::string&>() : "",
                               static_cast<unsigned>(*index)));
    cpus.push_back(told.front());
    cpus.back().index = static_cast<unsigned>(*index);
  }
  return cpus;
}

CpuMode mode_of(std::span<const CpuState> cpus) {
  const auto pages = [](const CpuState& cpu) { return cpu.paging().value_or(true); };
  const auto is_long = [](const CpuState& cpu) { return cpu.long_mode().value_or(false); };
  const auto is_unknown = [&](const CpuState& cpu) {
    return !cpu.cr0 || (pages(cpu) && !cpu.efer);
  };
  if (std::ranges::any_of(cpus, is_long)) {
    return CpuMode::paging_64;
  }
  if (cpus.empty() || std::ranges::any_of(cpus, is_unknown)) {
    return CpuMode::unknown;
  }
  return std::ranges::any_of(cpus, pages) ? CpuMode::paging_32 : CpuMode::no_paging;
}

}  // namespace vmcore::acquire
