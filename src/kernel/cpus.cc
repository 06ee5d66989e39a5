// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/cpus.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "src/kernel/arch/arch.h"

namespace vmcore::kernel {
namespace {

constexpr std::size_t kMaxCpus = 8192;  // NR_CPUS of CONFIG_MAXSMP
constexpr unsigned kNone = ~0U;

// The Linux CPU of a vCPU.
unsigned linux_cpu(const GuestKernel& kernel, const CpuState& cpu,
                   std::span<const std::uint64_t> offsets) {
  for (const auto& base : kernel.arch().per_cpu_bases(cpu)) {
    const auto found =
        base && *base != 0 ? std::find(offsets.begin(), offsets.end(), *base) : offsets.end();
    if (found != offsets.end()) {
      return static_cast<unsigned>(found - offsets.begin());
    }
  }
  return kNone;
}

std::vector<unsigned> given_order(std::size_t count) {
  std::vector<unsigned> order(count);
  for (std::size_t i = 0; i < count; ++i) {
    order[i] = static_cast<unsigned>(i);
  }
  return order;
}

// A struct cpumask.
Result<std::vector<std::uint64_t>> read_mask(const GuestKernel& kernel,
                                             std::optional<VirtAddr> mask, std::size_t cpus) {
  if (!mask) {
    return fail(Errc::not_found, "the kernel has no symbols for its CPU masks");
  }
  std::vector<std::uint64_t> words((cpus + 63) / 64);
  TRY(kernel.read_exactly(*mask, std::as_writable_bytes(std::span(words))));
  return words;
}

Result<unsigned> count_bits(const GuestKernel& kernel, std::optional<VirtAddr> mask,
                            std::size_t cpus) {
  TRY_ASSIGN(const auto words, read_mask(kernel, mask, cpus));
  int sum = 0;
  for (const std::uint64_t word : words) {
    sum += std::popcount(word);
  }
  return static_cast<unsigned>(sum);
}

}  // namespace

Result<std::vector<std::uint64_t>> read_per_cpu_offsets(const GuestKernel& kernel,
                                                        const Kallsyms& kallsyms) {
  const auto symbols = kallsyms.find({"__per_cpu_offset", "nr_cpu_ids"});
  if (!symbols[0] || !symbols[1]) {
    return fail(Errc::not_found, "no __per_cpu_offset among the kernel's symbols");
  }
  TRY_ASSIGN(const auto count, kernel.read_value<std::uint32_t>(*symbols[1]));
  if (count == 0 || count > kMaxCpus) {
    return fail(Errc::limit, "nr_cpu_ids={} is not plausible", count);
  }
  std::vector<std::uint64_t> offsets(count);
  TRY(kernel.read_exactly(*symbols[0], std::as_writable_bytes(std::span(offsets))));
  return offsets;
}

Result<std::vector<PossibleCpu>> read_possible_cpus(const GuestKernel& kernel,
                                                    const Kallsyms& kallsyms) {
  TRY_ASSIGN(const auto offsets, read_per_cpu_offsets(kernel, kallsyms));
  TRY_ASSIGN(const auto mask,
             read_mask(kernel, kallsyms.find("__cpu_possible_mask"), offsets.size()));
  std::vector<PossibleCpu> possible;
  for (unsigned cpu = 0; cpu < offsets.size(); ++cpu) {
    if ((mask[cpu / 64] >> cpu % 64 & 1) != 0) {
      possible.push_back({cpu, offsets[cpu]});
    }
  }
  return possible;
}

Result<std::vector<unsigned>> cpus_with_crash_notes(const GuestKernel& kernel,
                                                    const Kallsyms& kallsyms) {
  const auto symbol = kallsyms.find("crash_notes");
  if (!symbol) {
    return fail(Errc::not_found, "the kernel has no symbol crash_notes");
  }
  TRY_ASSIGN(const auto notes, kernel.read_value<std::uint64_t>(*symbol));
  TRY_ASSIGN(const auto possible, read_possible_cpus(kernel, kallsyms));
  std::vector<unsigned> saved;
  for (const PossibleCpu& cpu : possible) {
    // The sizes of the name and the contents of a note; a note of no size ends them.
    TRY_ASSIGN(const auto sizes,
               kernel.read_value<std::uint64_t>(VirtAddr{notes + cpu.per_cpu_offset}));
    if (sizes != 0) {
      saved.push_back(cpu.number);
    }
  }
  return saved;
}

CpuOrder linux_cpu_order(const GuestKernel& kernel, const Kallsyms& kallsyms,
                         std::span<const CpuState> cpus) {
  const auto keep_order = [&](Errc code, std::string_view why) {
    return CpuOrder{given_order(cpus.size()),
                    std::vector<std::optional<unsigned>>(cpus.size()),
                    {{code, fmt::format("the CPUs keep the order of the dump: {}", why)}}};
  };
  const auto offsets = read_per_cpu_offsets(kernel, kallsyms);
  if (!offsets) {
    return keep_order(offsets.error().code, offsets.error().message);
  }
  std::vector<unsigned> order(cpus.size(), kNone);
  std::vector<std::optional<unsigned>> numbers(cpus.size());
  std::vector<unsigned> unmatched;
  for (unsigned i = 0; i < cpus.size(); ++i) {
    const unsigned number = linux_cpu(kernel, cpus[i], *offsets);
    numbers[i] = number == kNone ? std::nullopt : std::optional(number);
    if (number >= order.size()) {
      unmatched.push_back(i);
    } else if (order[number] != kNone) {
      return keep_order(Errc::malformed,
                        fmt::format("two of them claim to be Linux CPU {}", number));
    } else {
      order[number] = i;
    }
  }
  if (!cpus.empty() && unmatched.size() == cpus.size()) {
    return keep_order(Errc::not_found, "no CPU has a GS base of Linux");
  }
  auto next = unmatched.begin();
  for (unsigned& position : order) {
    if (position == kNone) {
      position = *next++;
    }
  }
  CpuOrder result{std::move(order), std::move(numbers), {}};
  if (unmatched.size() > 1) {
    result.remarks.push_back({Errc::not_found, fmt::format("{} of {} CPUs have no GS base of Linux",
                                                           unmatched.size(), cpus.size())});
  }
  return result;
}

Result<CpuCounts> read_cpu_counts(const GuestKernel& kernel, const Kallsyms& kallsyms) {
  const auto symbols = kallsyms.find({"nr_cpu_ids", "__cpu_possible_mask", "__cpu_online_mask"});
  if (!symbols[0]) {
    return fail(Errc::not_found, "the kernel has no symbol nr_cpu_ids");
  }
  TRY_ASSIGN(const auto ids, kernel.read_value<std::uint32_t>(*symbols[0]));
  if (ids == 0 || ids > kMaxCpus) {
    return fail(Errc::limit, "nr_cpu_ids={} is not plausible", ids);
  }
  CpuCounts counts;
  TRY_ASSIGN(counts.possible, count_bits(kernel, symbols[1], ids));
  TRY_ASSIGN(counts.online, count_bits(kernel, symbols[2], ids));
  return counts;
}

}  // namespace vmcore::kernel
