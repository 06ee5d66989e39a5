#include "src/worker/jobs.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "src/convert/convert.h"
#include "src/convert/copied_memory.h"
#include "src/convert/crashed_kernel.h"
#include "src/convert/describe.h"
#include "src/convert/draft.h"
#include "src/convert/memory_use.h"
#include "src/formats/dump_format.h"
#include "src/formats/dump_writer.h"
#include "src/kernel/printk_log.h"
#include "src/worker/info_json.h"
#include "src/worker/input.h"
#include "src/worker/memory_json.h"
#include "src/worker/process_input.h"
#include "src/worker/text_output.h"

namespace vmcore::worker {
namespace {

using sandbox::Channel;
using sandbox::Done;
using sandbox::Operation;
using sandbox::Request;

// Forwards progress, at most ten times a second.
class ChannelObserver : public convert::Observer {
 public:
  // `hold`: the source is still needed when it was read.
  ChannelObserver(const Channel& channel, Input& input, bool hold)
      : channel_(channel), input_(input), hold_(hold) {}

  void progress(std::uint64_t done, std::uint64_t all) override {
    const std::unique_lock lock(mutex_, std::try_to_lock);
    const auto now = std::chrono::steady_clock::now();
    if (lock.owns_lock() && (done == all || now >= next_)) {
      next_ = now + std::chrono::milliseconds(100);
      tell(channel_, sandbox::Progress{done, all});
    }
  }
  void source_read() override {
    if (!hold_) {
      input_.let_go(channel_);
    }
  }

 private:
  const Channel& channel_;
  Input& input_;
  bool hold_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point next_{};
};

Result<std::unique_ptr<formats::DumpWriter>> make_writer(const Request& request, int output) {
  if (request.format == "elf") {
    return formats::make_elf_writer(output);
  }
  const auto codec = formats::codec_from_name(request.codec);
  if (request.format != "kdump" || !codec) {
    return fail(Errc::invalid, "worker protocol: unknown format or codec");
  }
  return formats::make_kdump_writer(output, *codec, request.compress_level);
}

std::optional<convert::Capture> capture_of(const Request& request) {
  return request.capture
             ? std::optional(convert::Capture{.method = request.capture->method,
                                              .consistency = request.capture->consistency,
                                              .crash = request.capture->crash})
             : std::nullopt;
}

// Whether a guest waits until what was written is compared with its memory.
bool holds_guest(const Request& request) { return request.draft && request.verify; }

convert::ConvertOptions options_of(const Request& request) {
  return {.level = request.level,
          .threads = std::clamp(request.threads, 1U, 256U),
          .bandwidth = holds_guest(request) ? 0 : request.bandwidth,
          .search = request.search_memory ? kernel::Search::memory : kernel::Search::registers,
          .hint = request.hint,
          .host_event_time = request.host_event_time,
          .capture = capture_of(request)};
}

Done done_of(const convert::Outcome& outcome) {
  Done done{.release = outcome.release,
            .level_asked = outcome.plan.level_asked,
            .level_reached = outcome.plan.level_reached,
            .incomplete = outcome.incomplete,
            .ram_pages = outcome.plan.ram_pages,
            .kept_pages = outcome.plan.kept_pages + outcome.plan.lost_pages,
            .lost_pages = outcome.lost_pages,
            .crashed = outcome.provenance.crash_time_source == convert::TimeSource::guest,
            .armed = outcome.armed,
            .classes = {},
            .place = outcome.place,
            .remarks = outcome.remarks};
  for (const filters::ClassName& entry : filters::kClassNames) {
    done.classes.push_back(
        {std::string(entry.name), std::string(entry.title),
         outcome.plan.pages_by_class[static_cast<std::size_t>(entry.page_class)]});
  }
  return done;
}

Result<> verify_written(const MemoryImage& source, int output, const convert::Outcome& outcome) {
  TRY_ASSIGN(Fd again, duplicate(output));
  auto written = formats::open_dump(std::move(again));
  if (!written) {
    return in_context(std::move(written).error(), "verify");
  }
  return convert::verify(source, *written, outcome, {});
}

// What reading the guest cost is told when it runs again.
Result<> take_cost(const Channel& channel, formats::DumpWriter& writer, convert::Outcome& outcome) {
  TRY_ASSIGN(const sandbox::Packet packet, channel.receive());
  TRY_ASSIGN(const sandbox::Cost cost, sandbox::decode_cost(packet.text));
  return convert::record_cost(writer, {cost.pause_us, cost.host_memory}, outcome);
}

// A look at the guest while it still runs.
struct Prepared {
  Input live;  // the draft refers to its memory
  convert::Draft draft;
};

Result<Prepared> prepare(const Channel& channel, const Request& request, const Copier& copier) {
  TRY_ASSIGN(Input live, open_live(channel, false, &copier));
  convert::ConvertOptions options = options_of(request);
  options.search = kernel::Search::first;  // where another runs, that is found in the pause
  TRY_ASSIGN(convert::Draft draft, convert::make_draft(live.image, options, copier.room(), {}));
  return Prepared{std::move(live), std::move(draft)};
}

// Where the kernel of a guest that still runs has its VMCOREINFO: not searched for again when the
// guest stands still.
std::optional<InfoPlace> find_place(const Channel& channel, const Request& request) {
  const auto live = open_live(channel, false);
  if (!live) {
    return std::nullopt;
  }
  const auto found =
      kernel::find_kernels(live->image, kernel::Search::first, nullptr, request.hint);
  return found ? kernel::place_of(*found) : std::nullopt;
}

sandbox::Ready ready_by(const convert::Draft& draft, const Request& request) {
  // A thread compresses, writes, reads and compares about as many bytes in a microsecond
  // (docs/performance.md).
  constexpr std::uint64_t kVerified = 250;
  const std::uint64_t verifying =
      holds_guest(request) ? draft.kept_pages * 4096 / kVerified / std::max(1U, request.threads)
                           : 0;
  return {.pause_us = static_cast<std::uint64_t>(draft.pause.count()) + verifying,
          .kept_pages = draft.kept_pages};
}

Result<> check_lease(const Input& input) {
  if (input.lease_lost) {
    return fail(
        Errc::guest_state,
        "QEMU's dump, which held the guest, ended by itself: the guest may have run meanwhile");
  }
  return {};
}

Result<Done> run_convert(const Channel& channel, const Request& request, Input& input,
                         const Fd* output, const convert::Waiting& waiting = {}) {
  const MemoryImage& image = input.image;
  const convert::ConvertOptions options = options_of(request);
  if (request.dry_run) {
    TRY_ASSIGN(const convert::Outcome outcome, convert::plan_only(image, options, {}));
    return done_of(outcome);
  }
  if (output == nullptr) {
    return fail(Errc::malformed, "worker protocol: no output");
  }
  TRY_ASSIGN(const auto writer, make_writer(request, output->get()));
  ChannelObserver observer(channel, input, request.verify);
  auto outcome = convert::convert(image, *writer, options, observer, {}, waiting);
  if (!outcome) {
    // Only what is written can lack room.
    return outcome.error().code == Errc::no_space ? in_context(outcome.error(), "writing the dump")
                                                  : tl::unexpected(outcome.error());
  }
  if (request.verify) {
    if (waiting.copied != nullptr) {
      waiting.copied->forget();  // it is compared with what it was copied from
    }
    TRY(verify_written(image, output->get(), *outcome));
    input.let_go(channel);
  }
  TRY(check_lease(input));
  if (request.capture) {
    TRY(take_cost(channel, *writer, *outcome));
  }
  return done_of(*outcome);
}

// A guest that waits: what it will keep is found out before, and copied when it stands still.
Result<Done> run_convert_waiting(const Channel& channel, const Request& request,
                                 std::vector<Fd> fds) {
  if (fds.empty()) {
    return fail(Errc::malformed, "worker protocol: no room");
  }
  TRY_ASSIGN(const sandbox::CopyRoom room, sandbox::CopyRoom::map(fds.front().get()));
  fds.erase(fds.begin());
  const Copier copier(channel, room);
  const auto prepared = prepare(channel, request, copier);  // without it the guest waits longer
  TRY_ASSIGN(
      Input input,
      open_input(channel, request, prepared ? ready_by(prepared->draft, request) : sandbox::Ready(),
                 &copier, fds));
  const std::unique_ptr<PhysicalMemory> guest = std::move(input.image.memory);
  auto copied =
      std::make_unique<convert::CopiedMemory>(*guest, copier.room(), options_of(request).threads);
  if (prepared) {
    TRY(copied->take(prepared->draft.pages));
  }
  convert::Waiting waiting{.copied = copied.get(),
                           .kernels = prepared ? &prepared->draft.kernels : nullptr};
  input.image.memory = std::move(copied);
  return run_convert(channel, request, input, fds.empty() ? nullptr : &fds.front(), waiting);
}

Result<Done> run_info(const Request& request, const MemoryImage& image, const Fd& output) {
  TRY_ASSIGN(const convert::Description description,
             convert::describe(image, options_of(request), {}));
  TextOutput text(output.get(), sandbox::kMaxOutputText);
  TRY(text.append(info_json(description.crashed ? *description.crashed : image, description)));
  TRY(text.flush());
  Done done;
  done.incomplete = description.incomplete;
  done.place = description.place;
  return done;
}

Result<Done> run_memory(const Request& request, const MemoryImage& image, const Fd& output) {
  TRY_ASSIGN(const convert::MemoryUse use, convert::memory_use(image, options_of(request), {}));
  TextOutput text(output.get(), sandbox::kMaxOutputText);
  TRY(text.append(memory_json(image, use, request.torn)));
  TRY(text.flush());
  Done done;
  done.incomplete = use.incomplete;
  done.place = use.place;
  return done;
}

Result<Done> run_dmesg(const Request& request, const MemoryImage& image, const Fd& output) {
  TRY_ASSIGN(const convert::Subject subject,
             convert::find_subject(image, options_of(request).search, nullptr, request.hint));
  const kernel::FoundKernels& found = subject.found;
  if (found.kernels.empty()) {
    return fail(Errc::not_found, "the guest's kernel was not found: {}",
                found.remarks.empty() ? "no VMCOREINFO" : found.remarks.back().text);
  }
  TextOutput text(output.get(), sandbox::kMaxOutputText);
  Result<> written;
  TRY_ASSIGN(const kernel::LogSummary summary,
             kernel::read_printk_log(found.kernels.front(), [&](const kernel::LogRecord& record) {
               written = text.append(kernel::format_log_record(record));
               return written.has_value();
             }));
  TRY(written);
  TRY(text.flush());
  Done done;
  done.release = found.kernels.front().info().release();
  done.incomplete = summary.lost != 0;
  done.place = subject.place();
  done.remarks = image.remarks;
  done.remarks.insert(done.remarks.end(), found.remarks.begin(), found.remarks.end());
  if (summary.lost != 0) {
    done.remarks.push_back(
        {Errc::unreadable, fmt::format("{} log records could not be read", summary.lost)});
  }
  return done;
}

Result<Done> run_text(const Request& request, const MemoryImage& image, const Fd& output) {
  switch (request.operation) {
    case Operation::info:
      return run_info(request, image, output);
    case Operation::memory:
      return run_memory(request, image, output);
    default:
      return run_dmesg(request, image, output);
  }
}

}  // namespace

Result<Done> run_job(const Channel& channel, Request request, std::vector<Fd> fds) {
  const bool waits = request.draft && request.input == sandbox::InputKind::process;
  if (waits && request.operation == Operation::convert) {
    return run_convert_waiting(channel, request, std::move(fds));
  }
  std::optional<InfoPlace> place;
  if (waits && (place = find_place(channel, request))) {
    request.hint = place;
  }
  TRY_ASSIGN(Input input, open_input(channel, request, {}, nullptr, fds));
  const Fd* output = fds.empty() ? nullptr : &fds.front();
  if (request.operation == Operation::convert) {
    return run_convert(channel, request, input, output);
  }
  if (output == nullptr) {
    return fail(Errc::malformed, "worker protocol: no output");
  }
  TRY_ASSIGN(Done done, run_text(request, input.image, *output));
  done.place = done.place ? done.place : place;
  if (input.held) {
    input.let_go(channel);
    TRY(check_lease(input));
  }
  return done;
}

}  // namespace vmcore::worker
