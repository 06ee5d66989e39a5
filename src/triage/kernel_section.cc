// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/kernel_section.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "src/kernel/build_id.h"

namespace vmcore::triage {
namespace {

using report::Taint;

struct TaintFlag {
  char letter;
  std::string_view meaning;
};

// By bit: include/linux/panic.h. A kernel uses the first ones of them: N came with v6.0
// (2852ca7fba9f), J with v6.15.
constexpr std::array<TaintFlag, 20> kTaints{{
    {'P', "a proprietary module was loaded"},
    {'F', "a module was loaded by force"},
    {'S', "the kernel runs on an unsupported system"},
    {'R', "a module was unloaded by force"},
    {'M', "the processor reported a machine check"},
    {'B', "a bad page was found"},
    {'U', "user space asked for the taint"},
    {'D', "the kernel died before (oops or BUG)"},
    {'A', "an ACPI table was overridden"},
    {'W', "the kernel issued a warning before"},
    {'C', "a staging driver was loaded"},
    {'I', "a bug of the firmware is worked around"},
    {'O', "an out-of-tree module was loaded"},
    {'E', "an unsigned module was loaded"},
    {'L', "a soft lockup occurred before"},
    {'K', "the kernel was live-patched"},
    {'X', "the distribution defines this taint"},
    {'T', "the kernel was built with randomised structs"},
    {'N', "an in-kernel test was run"},
    {'J', "user space used a mutating debug operation of fwctl"},
}};

constexpr unsigned kProprietary = 0, kOutOfTree = 12;

std::string letters_of(std::uint64_t mask) {
  std::string letters;
  for (const Taint& taint : taints_of(mask)) {
    letters += taint.letter;
  }
  return letters;
}

Result<std::string> read_banner(Knowledge& knowledge) {
  TRY_ASSIGN(const VirtAddr banner, knowledge.symbol("linux_banner"));
  TRY_ASSIGN(std::string text, knowledge.text_at(banner, report::kMaxText));
  text.erase(std::ranges::find(text, '\n'), text.end());
  return text;
}

// The seconds of CLOCK_MONOTONIC at the last tick: timekeeper.ktime_sec, in
// tk_core: a sequence counter of 4 bytes and the timekeeper; a struct tk_data since v6.13, and the
// first one of timekeeper_data[] since v6.17.
Result<double> read_uptime(Knowledge& knowledge) {
  constexpr std::uint64_t kBehindCounter = 8;
  auto core = knowledge.symbol("tk_core");
  if (!core) {
    core = knowledge.symbol("timekeeper_data");
  }
  TRY_ASSIGN(const VirtAddr data, core);
  const auto field = knowledge.field("tk_data.timekeeper");
  const VirtAddr keeper = data + (field ? field->offset() : kBehindCounter);
  TRY_ASSIGN(const std::uint64_t seconds, knowledge.number(keeper, "timekeeper.ktime_sec"));
  constexpr std::uint64_t kMostSeconds = 3'000'000'000;  // a century
  if (seconds > kMostSeconds) {
    return fail(Errc::malformed, "an uptime of {} s", seconds);
  }
  return static_cast<double>(seconds);
}

report::TriageModule module_of(Knowledge& knowledge, const kernel::Module& module) {
  report::TriageModule listed{.name = module.name, .build_id = module.build_id};
  for (const kernel::Module::Range& range : module.ranges) {
    listed.size += range.size;
  }
  listed.address = module.ranges.empty() ? 0 : module.ranges.front().begin.value;
  const std::uint64_t mask = knowledge.number(module.address, "module.taints").value_or(0);
  listed.taints = letters_of(mask);
  listed.out_of_tree = (mask >> kProprietary & 1) != 0 || (mask >> kOutOfTree & 1) != 0;
  return listed;
}

}  // namespace

std::vector<Taint> taints_of(std::uint64_t mask) {
  std::vector<Taint> taints;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((mask >> bit & 1) == 0) {
      continue;
    }
    if (bit < kTaints.size()) {
      taints.push_back({kTaints[bit].letter, std::string(kTaints[bit].meaning)});
    } else {
      taints.push_back({'?', fmt::format("bit {}, of an unknown meaning", bit)});
    }
  }
  return taints;
}

std::uint64_t taint_mask_of(std::string_view letters) {
  std::uint64_t mask = 0;
  for (std::size_t bit = 0; bit < kTaints.size(); ++bit) {
    mask |= letters.find(kTaints[bit].letter) != std::string_view::npos ? 1ULL << bit : 0;
  }
  return mask;
}

report::TriageKernel kernel_by_info(const kernel::GuestKernel& kernel) {
  return {.release = std::string(kernel.info().release()),
          .build_id = std::string(kernel.info().build_id().value_or(""))};
}

report::TriageKernel kernel_section(Knowledge& knowledge) {
  report::TriageKernel section = kernel_by_info(knowledge.kernel);
  section.banner = read_banner(knowledge).value_or("");
  if (section.build_id.empty()) {
    section.build_id = kernel::read_build_id(knowledge.kernel, knowledge.kallsyms).value_or("");
  }
  if (const auto uptime = read_uptime(knowledge)) {
    section.uptime_seconds = *uptime;
  }
  const auto mask = knowledge.symbol("tainted_mask");
  const auto taint =
      mask ? knowledge.kernel.read_value<std::uint64_t>(*mask) : tl::unexpected(mask.error());
  if (taint) {
    section.taint_mask = *taint;
    section.taints = taints_of(*taint);
  }
  return section;
}

report::Known<std::vector<report::TriageModule>> module_section(Knowledge& knowledge,
                                                                std::vector<Remark>& remarks) {
  if (!knowledge.modules) {
    return {.why_not = knowledge.modules.error().message};
  }
  const auto& found = knowledge.modules->modules;
  std::vector<report::TriageModule> list;
  for (const kernel::Module& module : found) {
    if (list.size() == report::kMaxTriageModules) {
      remarks.push_back({Errc::limit,
                         fmt::format("{} more modules are not listed", found.size() - list.size()),
                         Severity::fact});
      break;
    }
    list.push_back(module_of(knowledge, module));
  }
  const auto& doubts = knowledge.modules->remarks;
  remarks.insert(remarks.end(), doubts.begin(), doubts.end());
  return {.value = std::move(list)};
}

}  // namespace vmcore::triage
