// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/info_text.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "src/base/printable.h"
#include "src/base/units.h"
#include "src/base/utc.h"
#include "src/image/page.h"
#include "src/show/text_line.h"

namespace vmcore::show {
namespace {

// What crashkernel= reserved, and whether a kernel waits there for a crash.
void describe_capture_kernel(const report::KernelInfo& kernel, std::string& out) {
  if (const auto& panic = kernel.capture_kernel) {
    line(out, "capture kernel",
         panic->size == 0
             ? "none: no memory is reserved for it (crashkernel=)"
             : fmt::format("{}, {} reserved at {:#x}", panic->loaded ? "loaded" : "not loaded",
                           human_size(panic->size), panic->start));
  }
}

void describe_kernel(const report::InfoReport& info, std::string& out) {
  if (!info.kernel) {
    line(out, "kernel", "not found");
    return;
  }
  const report::KernelInfo& kernel = *info.kernel;
  line(out, "kernel", kernel.release + (kernel.panicked ? ", in its panic" : ""));
  if (!kernel.build_id.empty()) {
    line(out, "build-id", kernel.build_id);
  }
  line(out, "vmcoreinfo",
       kernel.vmcoreinfo == "note" ? "note of the file" : "recovered (" + kernel.vmcoreinfo + ")");
  if (!kernel.in_memory) {
    line(out, "in memory",
         "not found: its pages are missing, or VMCOREINFO belongs to another kernel");
    return;
  }
  line(out, "kaslr offset", fmt::format("{:#x}", kernel.kaslr_offset));
  line(out, "page tables", fmt::format("{} levels", kernel.page_table_levels));
  describe_capture_kernel(kernel, out);
}

void describe_time(const report::InfoReport& info, std::string& out) {
  if (const auto& time = info.crash_time) {
    line(out, "crash time", fmt::format("{} (from: {})", utc_text(time->epoch), time->source));
  } else if (info.last_log_stamp) {
    line(out, "crash time",
         fmt::format("not known; the last log record is from {:.3f} s after boot",
                     *info.last_log_stamp));
  }
}

// "vm1 (UUID) on host1, QEMU 7.2.22, captured 2026-11-29 17:00:00 UTC", as far as that is known.
std::string whose(const Capture& capture) {
  const auto known = [](std::string_view before, const std::string& value,
                        std::string_view behind = "") {
    return value.empty() ? "" : fmt::format("{}{}{}", before, value, behind);
  };
  const GuestIdentity& guest = capture.guest;
  const auto& time = capture.cost.time;
  std::string text = guest.name + known(" (", guest.uuid, ")") + known(" on ", guest.host) +
                     known(", QEMU ", guest.qemu) +
                     known(", captured ", time ? utc_text(static_cast<std::int64_t>(*time)) : "");
  return text.erase(0, text.find_first_not_of(", "));
}

void describe_capture(const report::InfoReport& info, std::string& out) {
  if (!info.capture) {
    return;
  }
  const Capture& capture = *info.capture;
  if (const std::string guest = whose(capture); !guest.empty()) {
    line(out, "guest", guest);
  }
  std::string how = fmt::format("method {}, consistency {}", capture.method, capture.consistency);
  if (const auto& pause = capture.cost.pause_us) {
    how += fmt::format(", guest paused for {:.1f} ms", static_cast<double>(*pause) / 1000);
  }
  if (const auto& forecast = capture.cost.forecast_us) {
    how += fmt::format(" ({:.1f} ms expected)", static_cast<double>(*forecast) / 1000);
  }
  line(out, "captured", how);
  if (!capture.crash.empty()) {
    line(out, "crash", who_says_so(capture.crash));
  }
  if (!capture.tag.empty()) {
    line(out, "tag", capture.tag);
  }
  if (const auto& grown = capture.cost.host_memory) {  // any, the least one as well
    const auto bytes = static_cast<std::uint64_t>(*grown);
    line(out, "host memory",
         fmt::format("{}{} by the capture", *grown < 0 ? "-" : "+",
                     human_size(*grown < 0 ? 0 - bytes : bytes)));
  }
}

void describe_memory(const report::InfoReport& info, std::string& out) {
  line(out, "memory", human_size(info.ram_pages * kPageSize));
  for (const PhysRange& range : info.ram) {
    out += fmt::format("  {:>18}  {}\n", fmt::format("{:#x}", range.begin.value),
                       human_size(range.size));
  }
  line(out, "in the file",
       fmt::format("{} ({} left out)", human_size(info.pages_in_file * kPageSize),
                   human_size(info.pages_excluded * kPageSize)));
  for (const auto& [name, pages] : info.pages_by_class) {
    if (pages != 0) {
      out += fmt::format("  {:<16}{:>12}\n", printable(name), human_size(pages * kPageSize));
    }
  }
}

void describe_cpus(const report::InfoReport& info, std::string& out) {
  line(out, "CPUs", fmt::format("{}", info.cpus.size()));
  for (const report::CpuInfo& cpu : info.cpus) {
    out += fmt::format("  {:>3}  {:<6}  rip {:<#18x}  rsp {:<#18x}", cpu.index, printable(cpu.mode),
                       cpu.rip, cpu.rsp);
    out += cpu.cr3 ? fmt::format("  cr3 {:#x}\n", *cpu.cr3) : "\n";
  }
}

}  // namespace

std::string who_says_so(const std::string& crash) {
  if (crash == "ordered") {
    return "on purpose, by vmcorectl";
  }
  return crash == "event" ? "seen by the host: QEMU reported it" : "the guest's own claim";
}

std::string info_text(const report::InfoReport& info) {
  std::string out;
  line(out, "format", info.format);
  line(out, "machine", info.machine);
  describe_kernel(info, out);
  describe_time(info, out);
  describe_capture(info, out);
  line(out, "level", fmt::format("{} reached, {} asked", info.level_reached, info.level_asked));
  if (info.incomplete) {
    line(out, "complete", "NO: pages are missing");
  }
  describe_memory(info, out);
  describe_cpus(info, out);
  for (const Remark& remark : info.remarks) {
    line(out, remark_label(remark), remark.text);
  }
  return out;
}

}  // namespace vmcore::show
