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

// "GS =0000 ffff88803ec00000 ffffffff 00c00000", "IDT=     fffffe0000000000 00000fff"
std::optional<std::uint64_t> base_in(std::string_view line) {
  line.remove_prefix(std::min(line.find(' ', 4), line.size()));
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return number_at_start<std::uint64_t>(line, 16);
}

// What a CPU has been seen to have so far.
struct Seen {
  CpuState cpu;
  bool rip = false, rsp = false, cs = false;
  bool is_whole() const { return rip && rsp && cs && cpu.cr0 && cpu.cr3 && cpu.cr4; }
};

void read_segment(Seen& seen, std::string_view line) {
  if (line.starts_with("CS =")) {
    if (const auto selector = number_at_start<std::uint16_t>(line.substr(4), 16)) {
      seen.cpu.cs = *selector;
      seen.cs = true;
    }
  } else if (line.starts_with("GS =")) {
    seen.cpu.gs_base = base_in(line).value_or(0);
  } else if (line.starts_with("IDT=")) {
    seen.cpu.idt_base = base_in(line);
  }
}

void read_line(Seen& seen, std::string_view line) {
  const auto take = [&](std::string_view name, auto& into, bool* had = nullptr) {
    if (const auto value = value_of(name, line)) {
      into = *value;
      if (had != nullptr) {
        *had = true;
      }
    }
  };
  read_segment(seen, line);
  take("RSP=", seen.cpu.rsp, &seen.rsp);
  take("ESP=", seen.cpu.rsp, &seen.rsp);
  take("RIP=", seen.cpu.rip, &seen.rip);
  take("EIP=", seen.cpu.rip, &seen.rip);
  take("RFL=", seen.cpu.rflags);
  take("EFL=", seen.cpu.rflags);
  take("CR0=", seen.cpu.cr0);
  take("CR3=", seen.cpu.cr3);
  take("CR4=", seen.cpu.cr4);
  take("EFER=", seen.cpu.efer);
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
                    "QEMU tells the registers (info registers) of CPUs that "
                    "cannot be");
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
    return fail(Errc::unsupported,
                "QEMU's registers (info registers) are not those of an x86 CPU, or have a form "
                "that is not known");
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
    return fail(Errc::unsupported, "QEMU does not tell what CPUs the guest has (query-cpus-fast)");
  }
  std::vector<CpuState> cpus;
  for (const Json& one : known) {
    const auto index = qmp::number_member(one, "cpu-index");
    if (!index || *index > UINT16_MAX) {
      return fail(Errc::unsupported, "QEMU tells of a CPU without a number (query-cpus-fast)");
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
  constexpr std::uint64_t kPaging = 1U << 31;    // CR0.PG
  constexpr std::uint64_t kLongMode = 1U << 10;  // EFER.LMA
  const auto pages = [](const CpuState& cpu) { return !cpu.cr0 || (*cpu.cr0 & kPaging) != 0; };
  const auto is_long = [](const CpuState& cpu) { return cpu.efer && (*cpu.efer & kLongMode) != 0; };
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
