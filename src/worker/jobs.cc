// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/jobs.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/sys.h"
#include "src/convert/crashed_kernel.h"
#include "src/convert/describe.h"
#include "src/convert/memory_use.h"
#include "src/kernel/early_log.h"
#include "src/kernel/printk_log.h"
#include "src/triage/log_report.h"
#include "src/triage/log_text.h"
#include "src/worker/conversion.h"
#include "src/worker/info_report.h"
#include "src/worker/input.h"
#include "src/worker/memory_report.h"
#include "src/worker/process_input.h"
#include "src/worker/text_output.h"
#include "src/worker/triage_report.h"

namespace vmcore::worker {
namespace {

using sandbox::Channel;
using sandbox::Done;
using sandbox::Operation;
using sandbox::Request;

// Where the kernel of a guest that still runs has its VMCOREINFO: not searched for again when the
// guest stands still.
std::optional<InfoPlace> find_place(const Channel& channel, const Request& request,
                                    const Reach& reach) {
  const auto live = open_live(channel, false, reach);
  if (!live) {
    return std::nullopt;
  }
  const auto found =
      kernel::find_kernels(live->image, kernel::Search::first, nullptr, request.hint);
  return found ? kernel::place_of(*found) : std::nullopt;
}

// A document, and what was `found` for it.
template <class Found>
Result<Done> hand_out(std::string_view document, const Found& found, const Fd& output) {
  TextOutput text(output.get(), sandbox::kMaxDocument);
  TRY(text.append(document));
  TRY(text.flush());
  return Done{.summary = {.incomplete = found.incomplete}, .place = found.place};
}

Result<Done> run_info(const Request& request, const MemoryImage& image, const Fd& output) {
  TRY_ASSIGN(const convert::Description description,
             convert::describe(image, options_of(request), {}));
  const MemoryImage& subject = description.crashed ? *description.crashed : image;
  return hand_out(report::to_json(info_report(subject, description)), description, output);
}

Result<Done> run_memory(const Request& request, const MemoryImage& image, const Fd& output) {
  TRY_ASSIGN(const convert::MemoryUse use, convert::memory_use(image, options_of(request), {}));
  return hand_out(report::to_json(memory_report(image, use, is_torn(request))), use, output);
}

// Of memory that the worker reads from a guest itself.
std::string consistency_of(const Request& request) {
  const bool of_guest = std::holds_alternative<sandbox::LiveInput>(request.input) ||
                        std::holds_alternative<sandbox::ProcessInput>(request.input);
  return !of_guest ? "" : is_torn(request) ? "torn" : "pause";
}

// A console is read as it comes: memory does not grow with it.
Result<triage::LogText> read_log(int source) {
  triage::LogReader reader;
  std::vector<std::byte> piece(64 << 10);
  for (std::uint64_t bytes = 0;;) {
    TRY_ASSIGN(const std::size_t size, sys::read_some(source, piece));
    bytes += size;
    if (size == 0) {
      return reader.finish();
    }
    if (bytes > sandbox::kMaxLogText) {
      return fail(Errc::limit,
                  "the log is longer than {0} MiB (give its end: tail -c {0}M FILE | vmcorectl "
                  "report --log -)",
                  sandbox::kMaxLogText >> 20);
    }
    reader.add({reinterpret_cast<const char*>(piece.data()), size});
  }
}

Result<Done> run_log(sandbox::Descriptors& descriptors) {
  TRY_ASSIGN(const Fd source, descriptors.take("source"));
  TRY_ASSIGN(const Fd output, descriptors.take("output"));
  TRY_ASSIGN(const triage::LogText log, read_log(source.get()));
  const report::TriageReport report = triage::report_of_log(log);
  TextOutput text(output.get(), sandbox::kMaxDocument);
  TRY(text.append(report::to_json(report)));
  TRY(text.flush());
  return Done{.summary = {.release = log.release, .incomplete = report.incomplete}};
}

// "Linux version RELEASE (...)"
std::string release_of(std::string_view banner) {
  constexpr std::string_view kBegin = "Linux version ";
  banner.remove_prefix(std::min(kBegin.size(), banner.size()));
  return std::string(banner.substr(0, std::min(banner.find(' '), report::kMaxName)));
}

// A log of which no line tells who wrote it, where that was asked for.
void remark_on_callers(bool asked, const char* why, report::Summary& summary) {
  if (asked && !summary.callers) {
    summary.remarks.push_back(
        {Errc::not_found, fmt::format("who wrote each line is not known: {}", why)});
  }
}

// A kernel that died before it described itself has a log all the same.
Result<Done> run_early_dmesg(const MemoryImage& image, const kernel::FoundKernels& found,
                             bool callers, const Fd& output) {
  TextOutput text(output.get(), sandbox::kMaxOutputText);
  Result<> written;
  std::string release;
  const auto log = kernel::read_early_log(*image.memory, [&](const kernel::LogRecord& record) {
    release = record.sequence == 0 ? release_of(record.text) : release;
    written = text.append(kernel::format_log_record(record, callers));
    return written.has_value();
  });
  if (!log) {
    return fail(log.error().code, "the guest's kernel was not found: {}",
                found.remarks.empty() ? "no VMCOREINFO" : found.remarks.back().text);
  }
  TRY(written);
  TRY(text.flush());
  report::Summary summary{.release = release,
                          .incomplete = true,
                          .callers = callers && log->callers,
                          .remarks = image.remarks};
  summary.remarks.push_back(kernel::remark_on_early_log());
  remark_on_callers(callers, "the ring's table of struct printk_info was not found", summary);
  return Done{.summary = std::move(summary)};
}

Result<Done> write_dmesg(const MemoryImage& image, const convert::Subject& subject, bool callers,
                         const Fd& output) {
  const kernel::FoundKernels& found = subject.found;
  const bool doubted = found.kernels.empty() && !found.doubted.empty();
  if (found.kernels.empty() && !doubted) {
    return run_early_dmesg(image, found, callers, output);
  }
  // The log of the boot before is worth having, as such.
  const kernel::GuestKernel& kernel =
      doubted ? found.doubted.front().kernel : found.kernels.front();
  TextOutput text(output.get(), sandbox::kMaxOutputText);
  Result<> written;
  TRY_ASSIGN(const kernel::LogSummary log,
             kernel::read_printk_log(kernel, [&](const kernel::LogRecord& record) {
               written = text.append(kernel::format_log_record(record, callers));
               return written.has_value();
             }));
  TRY(written);
  TRY(text.flush());
  report::Summary summary{.release = std::string(kernel.info().release()),
                          .build_id = std::string(kernel.info().build_id().value_or("")),
                          .incomplete = doubted || log.lost != 0 || image.file.doubted,
                          .callers = callers && log.callers,
                          .remarks = image.remarks};
  summary.remarks.insert(summary.remarks.end(), found.remarks.begin(), found.remarks.end());
  if (doubted) {
    summary.remarks.push_back(
        {Errc::guest_state,
         fmt::format("this is the log of kernel {}, which no vCPU runs: it is from an earlier boot",
                     summary.release)});
  }
  if (log.lost != 0) {
    summary.remarks.push_back(
        {Errc::unreadable, fmt::format("{} log records could not be read", log.lost)});
  }
  remark_on_callers(callers,
                    "this kernel does not record it (before v5.10 it needs CONFIG_PRINTK_CALLER)",
                    summary);
  return Done{.summary = std::move(summary), .place = subject.place()};
}

Result<Done> run_dmesg(const Request& request, const MemoryImage& image, const Fd& output) {
  TRY_ASSIGN(const convert::Subject subject,
             convert::find_subject(image, options_of(request).search, nullptr, request.hint));
  return write_dmesg(image, subject, request.operation == Operation::callers, output);
}

// The document of memory, or why there is none.
std::string memory_part(const Request& request, const MemoryImage& image,
                        const convert::Subject& subject) {
  const auto use = convert::memory_use(image, subject, options_of(request), {});
  return use ? report::to_json(memory_report(image, *use, is_torn(request))) : use.error().message;
}

// `log`, where there is one, gets the kernel log, and before the report: it takes less time, and is
// there even where the report never ends.
Result<Done> run_report(const Request& request, const MemoryImage& image, const Fd& output,
                        const Fd& log) {
  TRY_ASSIGN(const convert::Subject subject,
             convert::find_subject(image, options_of(request).search, nullptr, request.hint));
  std::vector<Remark> remarks;
  if (log) {
    if (const auto written = write_dmesg(image, subject, false, log); !written) {
      remarks.push_back({written.error().code, "the kernel log: " + written.error().message});
    }
  }
  const bool live = std::holds_alternative<sandbox::LiveInput>(request.input);
  const bool more = request.operation != Operation::report;
  std::optional<report::PanicStack> stack;
  const report::TriageReport report =
      triage_report(image, subject, {.live = live, .panic_stack = more ? &stack : nullptr},
                    consistency_of(request));
  struct {
    bool incomplete;
    std::optional<InfoPlace> place;
  } const found{report.incomplete, subject.place()};
  std::string document = report::to_json(report);
  if (more) {
    const bool page = request.operation == Operation::page;
    document += '\0' + (page ? memory_part(request, image, subject) : "");
    document += '\0' + (stack ? report::to_json(*stack) : "");
  }
  TRY_ASSIGN(Done done, hand_out(document, found, output));
  done.summary.remarks = std::move(remarks);
  return done;
}

// Null where no process is read.
Result<std::unique_ptr<sources::LineReader>> reader_of(const Request& request,
                                                       sandbox::Descriptors& descriptors) {
  const bool is_process = std::holds_alternative<sandbox::LiveInput>(request.input) ||
                          std::holds_alternative<sandbox::ProcessInput>(request.input);
  return is_process ? sources::LineReader::make(descriptors) : nullptr;
}

// Who asks for a dump tells how much time it took until then.
Clock::time_point begin_of(const Request& request) {
  const auto before = request.capture ? request.capture->cost.duration_us : std::nullopt;
  return Clock::now() - std::chrono::microseconds(before.value_or(0));
}

Result<Done> run_text(const Request& request, const MemoryImage& image, const Fd& output,
                      const Fd& log) {
  switch (request.operation) {
    case Operation::info:
      return run_info(request, image, output);
    case Operation::memory:
      return run_memory(request, image, output);
    case Operation::report:
    case Operation::symbols:
    case Operation::page:
      return run_report(request, image, output, log);
    default:
      return run_dmesg(request, image, output);
  }
}

}  // namespace

Result<Done> run_job(const Channel& channel, Request request, sandbox::Descriptors& descriptors) {
  if (request.operation == Operation::nothing) {
    return Done{};
  }
  if (request.operation == Operation::log) {
    return run_log(descriptors);
  }
  const auto begun = begin_of(request);
  TRY_ASSIGN(const auto reader, reader_of(request, descriptors));
  const Reach reach{.reader = reader.get()};
  const bool waits = has_rehearsal(request);
  if (is_copied(request) && request.operation == Operation::convert) {
    return run_convert_copied(channel, request, begun, *reader, descriptors);
  }
  std::optional<InfoPlace> place;
  if (waits && (place = find_place(channel, request, reach))) {
    request.hint = place;
  }
  TRY_ASSIGN(Input input, open_input(channel, request, {}, reach, descriptors));
  if (request.operation == Operation::convert) {
    return run_convert(channel, request, begun, input, descriptors);
  }
  TRY_ASSIGN(const Fd output, descriptors.take("output"));
  const Fd log = descriptors.take_if_there("log");
  TRY_ASSIGN(Done done, run_text(request, input.image, output, log));
  done.place = done.place ? done.place : place;
  if (input.held) {
    input.let_go(channel);
    TRY(input.check_lease());
  }
  return done;
}

}  // namespace vmcore::worker
