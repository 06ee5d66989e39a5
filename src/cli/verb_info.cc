// SPDX-License-Identifier: GPL-2.0-or-later
#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "src/base/utc.h"
#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/self_check.h"
#include "src/cli/store.h"
#include "src/cli/text_line.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/image/page.h"
#include "src/job/interrupt.h"
#include "src/report/info.h"

namespace vmcore::cli {
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

// image/capture.h.
std::string who_says_so(const std::string& crash) {
  if (crash == "ordered") {
    return "on purpose, by vmcorectl";
  }
  return crash == "event" ? "seen by the host: QEMU reported it" : "the guest's own claim";
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

std::string describe(const report::InfoReport& info) {
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

// What the store knows of it, before what its dump says.
std::string describe_stored(const vault::OpenCrash& open) {
  const report::ListedCrash& crash = open.crash;
  std::string out;
  line(out, "crash", crash.id);
  line(out, "folder", fmt::format("{} ({})", open.path, human_size(crash.bytes)));
  if (const std::string flags = flags_of(crash); !flags.empty()) {
    line(out, "state", flags);
  }
  if (!crash.damage.empty()) {
    line(out, "damage", crash.damage);
  }
  if (const auto& policy = crash.state.policy) {
    line(out, "policy",
         policy->action + (policy->why.empty() ? "" : " (" + policy->why + ")") +
             (policy->done ? ": done" : ": not done: " + policy->error));
  }
  if (!crash.manifest) {
    return out;
  }
  const report::Manifest& manifest = *crash.manifest;
  const std::string& witness = manifest.witness;
  line(out, "reason",
       manifest.reason + (witness.empty()       ? ""
                          : witness == "memory" ? " (the state of its kernel)"
                                                : " (" + who_says_so(witness) + ")"));
  line(out, "stored",
       fmt::format("{} by {}", utc_text(static_cast<std::int64_t>(manifest.time)), manifest.tool));
  if (!manifest.signature.title.empty()) {
    line(out, "signature", manifest.signature.title);
  }
  if (!manifest.memory_left_out.empty()) {
    line(out, "memory", "not kept: " + manifest.memory_left_out);
  }
  if (manifest.self_check) {
    out += describe_self_check(*manifest.self_check);
  }
  for (const report::StoredFile& file : manifest.files) {
    out += fmt::format("  {:<24}{:>12}  {}\n", printable(file.name), human_size(file.size),
                       file.sha256);
  }
  // With a dump that is read they are among its own.
  for (const Remark& remark : manifest.dump ? std::vector<Remark>() : manifest.remarks) {
    line(out, remark_label(remark), remark.text);
  }
  return out;
}

// Who may read no more than the manifest gets that.
int tell_crash(const vault::OpenCrash& open, const Common& common) {
  const auto text = read_crash(open, sandbox::Operation::info);
  std::optional<report::InfoReport> info;
  std::optional<Error> error;
  if (text) {
    auto read = report::info_from_json(text->text);
    if (!read) {
      return report_error(in_context(read.error(), "vmcore-worker's answer").value(), common);
    }
    info = *std::move(read);
  } else if (open.crash.manifest && open.crash.manifest->dump) {
    error = text.error();
  }
  std::fputs((common.json ? report::to_json(open.crash, info)
                          : describe_stored(open) + (info ? describe(*info) : ""))
                 .c_str(),
             stdout);
  if (error) {
    print_remarks({{error->code, error->message}});
  }
  return error || !open.crash.damage.empty() ? kExitNotAsAsked : kExitDone;
}

int run(const GuestOptions& source, const Common& common) {
  const auto crash = find_crash(source);
  if (!crash) {
    return report_error(crash.error(), common);
  }
  if (*crash && !source.pause) {
    return tell_crash(**crash, common);
  }
  job::Interrupt interrupt(kExitInterrupted);
  const job::PausedText read = read_source(source, sandbox::Operation::info, interrupt);
  const Result<job::TextResult>& result = read.text;
  if (!result) {
    return report_pause(read, report_error(result.error(), common), common);
  }
  const Result<report::InfoReport> info = report::info_from_json(result->text);
  if (!info) {
    return report_pause(
        read, report_error(in_context(info.error(), "vmcore-worker's answer").value(), common),
        common);
  }
  std::fputs((common.json ? report::to_json(*info) : describe(*info)).c_str(), stdout);
  return report_pause(read, kExitDone, common);
}

}  // namespace

Run add_info(CLI::App& command, const Common& common) {
  const auto source = std::make_shared<GuestOptions>();
  add_source_options(command, *source);
  return [source, &common] { return run(*source, common); };
}

}  // namespace vmcore::cli
