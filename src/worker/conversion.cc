// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/conversion.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "src/convert/copied_memory.h"
#include "src/convert/rehearsal.h"
#include "src/formats/dump_format.h"
#include "src/formats/dump_writer.h"
#include "src/image/page.h"
#include "src/worker/process_input.h"

namespace vmcore::worker {
namespace {

using sandbox::Channel;
using sandbox::Done;
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

// Whether a guest waits until what was written is compared with its memory.
bool holds_guest(const Request& request) { return has_rehearsal(request) && request.how.verify; }

Done done_of(const convert::Outcome& outcome) {
  report::Summary summary{.release = outcome.release,
                          .build_id = outcome.build_id,
                          .level_asked = outcome.plan.level_asked,
                          .level_reached = outcome.plan.level_reached,
                          .incomplete = outcome.incomplete,
                          .ram_pages = outcome.plan.ram_pages,
                          .kept_pages = outcome.plan.kept_pages + outcome.plan.lost_pages,
                          .lost_pages = outcome.lost_pages,
                          .crashed = outcome.panicked || outcome.provenance.crash_time_source ==
                                                             convert::TimeSource::guest,
                          .armed = outcome.armed,
                          .classes = {},
                          .remarks = outcome.remarks};
  for (const filters::ClassName& entry : filters::kClassNames) {
    summary.classes.push_back(
        {std::string(entry.name), std::string(entry.title),
         outcome.plan.pages_by_class[static_cast<std::size_t>(entry.page_class)]});
  }
  return {.summary = std::move(summary), .place = outcome.place};
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
Result<> take_cost(const Channel& channel, Clock::time_point begun, formats::DumpWriter& writer,
                   convert::Outcome& outcome) {
  TRY_ASSIGN(const sandbox::Packet packet, channel.receive());
  TRY_ASSIGN(sandbox::Cost cost, sandbox::decode_cost(packet.text));
  const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun);
  cost.duration_us = static_cast<std::uint64_t>(duration.count());
  return convert::record_cost(writer, cost, outcome);
}

// A look at the guest while it still runs.
struct Prepared {
  Input live;  // the rehearsal refers to its memory
  convert::Rehearsal rehearsal;
};

Result<Prepared> prepare(const Channel& channel, const Request& request, const Reach& reach) {
  TRY_ASSIGN(Input live, open_live(channel, false, reach));
  convert::ConvertOptions options = options_of(request);
  options.search = kernel::Search::first;  // where another runs, that is found in the pause
  TRY_ASSIGN(convert::Rehearsal rehearsal,
             convert::make_rehearsal(live.image, options, reach.copier->room(), {}));
  return Prepared{std::move(live), std::move(rehearsal)};
}

sandbox::Ready ready_by(const convert::Rehearsal& rehearsal, const Request& request) {
  // A thread compresses, writes, reads and compares about as many bytes in a microsecond
  // (docs/performance.md).
  constexpr std::uint64_t kVerified = 250;
  const std::uint64_t verifying =
      holds_guest(request)
          ? rehearsal.kept_pages * kPageSize / kVerified / std::max(1U, request.how.threads)
          : 0;
  return {.pause_us = static_cast<std::uint64_t>(rehearsal.pause.count()) + verifying,
          .kept_pages = rehearsal.kept_pages};
}

}  // namespace

bool has_rehearsal(const Request& request) {
  const auto* const process = std::get_if<sandbox::ProcessInput>(&request.input);
  return process != nullptr && process->rehearsal;
}

bool is_copied(const Request& request) {
  const auto* const process = std::get_if<sandbox::ProcessInput>(&request.input);
  return process != nullptr && process->copied;
}

convert::ConvertOptions options_of(const Request& request) {
  convert::ConvertOptions options{
      .how = request.how,
      .torn = is_torn(request),
      .search = request.search_memory ? kernel::Search::memory : kernel::Search::registers,
      .hint = request.hint,
      .host_event_time = request.host_event_time,
      .capture = request.capture};
  options.how.threads = std::clamp(request.how.threads, 1U, 256U);
  if (holds_guest(request)) {
    options.how.bandwidth = 0;
  }
  return options;
}

Result<Done> run_convert(const Channel& channel, const Request& request, Clock::time_point begun,
                         Input& input, sandbox::Descriptors& descriptors,
                         const convert::Waiting& waiting) {
  const MemoryImage& image = input.image;
  const convert::ConvertOptions options = options_of(request);
  if (request.how.dry_run) {
    TRY_ASSIGN(const convert::Outcome outcome, convert::plan_only(image, options, {}));
    return done_of(outcome);
  }
  TRY_ASSIGN(const Fd output, descriptors.take("output"));
  TRY_ASSIGN(const auto writer,
             formats::make_writer(request.how.format, output.get(), request.how.codec,
                                  request.how.compress_level));
  ChannelObserver observer(channel, input, request.how.verify);
  auto outcome = convert::convert(image, *writer, options, observer, {}, waiting);
  if (!outcome) {
    // Only what is written can lack room.
    return outcome.error().code == Errc::no_space ? in_context(outcome.error(), "writing the dump")
                                                  : tl::unexpected(outcome.error());
  }
  if (request.how.verify) {
    if (waiting.copied != nullptr) {
      waiting.copied->forget();  // it is compared with what it was copied from
    }
    TRY(verify_written(image, output.get(), *outcome));
    input.let_go(channel);
  }
  TRY(input.check_lease());
  if (request.capture) {
    TRY(take_cost(channel, begun, *writer, *outcome));
  }
  return done_of(*outcome);
}

Result<Done> run_convert_copied(const Channel& channel, const Request& request,
                                Clock::time_point begun, const sources::ProcessReader& reader,
                                sandbox::Descriptors& descriptors) {
  TRY_ASSIGN(const Fd shared, descriptors.take("room"));
  TRY_ASSIGN(const sandbox::CopyRoom room, sandbox::CopyRoom::map(shared.get()));
  const sources::Copier copier(channel, room);
  const Reach reach{&reader, &copier};
  // Without it a running guest waits longer.
  const auto prepared = has_rehearsal(request)
                            ? prepare(channel, request, reach)
                            : fail(Errc::not_found, "no rehearsal was asked for");
  TRY_ASSIGN(Input input,
             open_input(channel, request,
                        prepared ? ready_by(prepared->rehearsal, request) : sandbox::Ready(), reach,
                        descriptors));
  const std::unique_ptr<PhysicalMemory> guest = std::move(input.image.memory);
  auto copied = std::make_unique<convert::CopiedMemory>(*guest, copier.room(),
                                                        options_of(request).how.threads);
  if (prepared) {
    TRY(copied->take(prepared->rehearsal.pages));
  }
  convert::Waiting waiting{.copied = copied.get(),
                           .kernels = prepared ? &prepared->rehearsal.kernels : nullptr,
                           .without_poison = prepared && prepared->rehearsal.without_poison,
                           .is_paused = has_rehearsal(request)};
  input.image.memory = std::move(copied);
  return run_convert(channel, request, begun, input, descriptors, waiting);
}

}  // namespace vmcore::worker
