#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>

#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/verb.h"
#include "src/cli/worker_document.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/image/page.h"
#include "src/job/interrupt.h"

namespace vmcore::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string utc(std::int64_t epoch) {
  const std::time_t seconds = epoch;
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&seconds, &parts) != nullptr) {
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  }
  return text;
}

void line(std::string& out, std::string_view name, const std::string& value) {
  out += fmt::format("{:<16}{}\n", name, printable(value));
}

// Members are got with at(), which throws: what the worker says is not to be trusted.
std::string text(const Json& object, const char* member) {
  return printable(object.at(member).get<std::string>());
}

// What crashkernel= reserved, and whether a kernel waits there for a crash.
void describe_panic_kernel(const Json& kernel, std::string& out) {
  if (!kernel.contains("panic_kernel")) {
    return;
  }
  const Json& panic = kernel.at("panic_kernel");
  const std::uint64_t size = panic.at("size");
  const bool loaded = panic.at("loaded");
  line(out, "panic kernel",
       size == 0 ? "no memory is reserved for one (crashkernel=)"
                 : fmt::format("{}, {} reserved at {}", loaded ? "loaded" : "not loaded",
                               human_size(size), text(panic, "start")));
}

void describe_kernel(const Json& info, std::string& out) {
  if (!info.contains("kernel")) {
    line(out, "kernel", "not found");
    return;
  }
  const Json& kernel = info.at("kernel");
  const bool panicked = kernel.value("panicked", false);
  line(out, "kernel", text(kernel, "release") + (panicked ? ", in its panic" : ""));
  if (!text(kernel, "build_id").empty()) {
    line(out, "build-id", kernel.at("build_id"));
  }
  const std::string source = kernel.at("vmcoreinfo");
  line(out, "vmcoreinfo", source == "note" ? "note of the file" : "recovered (" + source + ")");
  if (!kernel.value("in_memory", true)) {
    line(out, "in memory", "not found: its pages are missing, or VMCOREINFO is another kernel's");
    return;
  }
  line(out, "kaslr offset", kernel.at("kaslr_offset"));
  line(out, "page tables", fmt::format("{} levels", int{kernel.at("page_table_levels")}));
  describe_panic_kernel(kernel, out);
}

void describe_time(const Json& info, std::string& out) {
  if (info.contains("crash_time")) {
    const Json& time = info.at("crash_time");
    line(out, "crash time",
         fmt::format("{} (from: {})", utc(time.at("epoch")), text(time, "source")));
  } else if (info.contains("last_log_stamp")) {
    line(out, "crash time",
         fmt::format("not known; last log record {:.3f} s after boot",
                     double{info.at("last_log_stamp")}));
  }
}

// convert/provenance.h: Capture.
std::string who_says_so(const std::string& crash) {
  if (crash == "ordered") {
    return "on purpose, by vmcorectl";
  }
  return crash == "event" ? "seen by the host: QEMU told of it" : "the guest's own claim";
}

void describe_capture(const Json& info, std::string& out) {
  if (!info.contains("capture")) {
    return;
  }
  const Json& capture = info.at("capture");
  std::string how = fmt::format("method {}, consistency {}", text(capture, "method"),
                                text(capture, "consistency"));
  if (capture.contains("pause_ms")) {
    how += fmt::format(", guest paused for {:.1f} ms", double{capture.at("pause_ms")});
  }
  line(out, "captured", how);
  if (capture.contains("crash")) {
    line(out, "crash", who_says_so(text(capture, "crash")));
  }
  if (capture.contains("tag")) {
    line(out, "tag", text(capture, "tag"));
  }
  if (capture.contains("host_memory")) {
    const std::int64_t grown = capture.at("host_memory");  // any, the least one as well
    const auto bytes = static_cast<std::uint64_t>(grown);
    line(out, "host memory",
         fmt::format("{}{} by the capture", grown < 0 ? "-" : "+",
                     human_size(grown < 0 ? 0 - bytes : bytes)));
  }
}

void describe_memory(const Json& info, std::string& out) {
  const Json& pages = info.at("pages");
  line(out, "memory", human_size(std::uint64_t{pages.at("ram")} * kPageSize));
  for (const Json& range : info.at("ram")) {
    out += fmt::format("  {:>18}  {}\n", text(range, "start"),
                       human_size(std::uint64_t{range.at("size")}));
  }
  line(out, "in the file",
       fmt::format("{} ({} left out)", human_size(std::uint64_t{pages.at("in_file")} * kPageSize),
                   human_size(std::uint64_t{pages.at("excluded")} * kPageSize)));
  for (const auto& [name, count] : pages.at("by_class").items()) {
    if (std::uint64_t{count} != 0) {
      out += fmt::format("  {:<16}{:>12}\n", printable(name),
                         human_size(std::uint64_t{count} * kPageSize));
    }
  }
}

void describe_cpus(const Json& info, std::string& out) {
  line(out, "CPUs", fmt::format("{}", info.at("cpus").size()));
  for (const Json& cpu : info.at("cpus")) {
    out += fmt::format("  {:>3}  {:<6}  rip {:<18}  rsp {:<18}", int{cpu.at("index")},
                       text(cpu, "mode"), text(cpu, "rip"), text(cpu, "rsp"));
    out += cpu.contains("cr3") ? fmt::format("  cr3 {}\n", text(cpu, "cr3")) : "\n";
  }
}

std::string describe(const Json& info) {
  std::string out;
  line(out, "format", info.at("format"));
  line(out, "machine", info.at("machine"));
  describe_kernel(info, out);
  describe_time(info, out);
  describe_capture(info, out);
  line(out, "level",
       fmt::format("{} reached, {} asked", int{info.at("level").at("reached")},
                   int{info.at("level").at("asked")}));
  if (info.at("incomplete")) {
    line(out, "complete", "NO: pages are missing");
  }
  describe_memory(info, out);
  describe_cpus(info, out);
  for (const Json& remark : info.at("remarks")) {
    line(out, "note", remark.at("text"));
  }
  return out;
}

int run(const GuestOptions& source, const Common& common) {
  job::Interrupt interrupt(kExitInterrupted);
  const job::PausedText read = read_source(source, sandbox::Operation::info, interrupt);
  const Result<job::TextResult>& result = read.text;
  if (!result) {
    return report_pause(read, report_error(result.error(), common), common);
  }
  const auto document = read_document(result->text);
  if (!document) {
    return report_pause(read, report_error(document.error(), common), common);
  }
  if (common.json) {
    std::fputs(document_text(*document).c_str(), stdout);
    return report_pause(read, kExitDone, common);
  }
  try {
    std::fputs(describe(*document).c_str(), stdout);
  } catch (const Json::exception& error) {
    return report_error({Errc::malformed, fmt::format("vmcore-worker's answer: {}", error.what())});
  }
  return report_pause(read, kExitDone, common);
}

}  // namespace

Run add_info(CLI::App& command, const Common& common) {
  const auto source = std::make_shared<GuestOptions>();
  add_source_options(command, *source);
  return [source, &common] { return run(*source, common); };
}

}  // namespace vmcore::cli
