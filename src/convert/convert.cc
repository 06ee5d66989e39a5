#include "src/convert/convert.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/convert/draft.h"
#include "src/convert/normalise.h"
#include "src/convert/pipeline.h"
#include "src/convert/shards.h"

namespace vmcore::convert {
namespace {

// The kernel of an image, kept together with what was said about it, and the plan.
struct Decision {
  std::vector<kernel::GuestKernel> kernels;
  Outcome outcome;
  const kernel::GuestKernel* kernel() const { return kernels.empty() ? nullptr : &kernels.front(); }
};

void append(std::vector<Remark>& to, const std::vector<Remark>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

Result<Decision> decide(const MemoryImage& image, const ConvertOptions& options, const Draft* draft,
                        const std::stop_token& stop) {
  if (options.level > filters::kMaxLevel) {
    return fail(Errc::invalid, "dump level {} is not 0 to {}", options.level, filters::kMaxLevel);
  }
  if (options.threads == 0) {
    return fail(Errc::invalid, "a conversion needs a thread");
  }
  Decision decision;
  Outcome& outcome = decision.outcome;
  append(outcome.remarks, image.remarks);
  TRY_ASSIGN(kernel::FoundKernels found,
             kernel::find_kernels(image, options.search,
                                  draft != nullptr ? &draft->kernels : nullptr, options.hint));
  outcome.place = kernel::place_of(found);
  decision.kernels = std::move(found.kernels);
  append(outcome.remarks, found.remarks);
  const filters::PlanOptions plan_options{.level = options.level, .threads = options.threads};
  TRY_ASSIGN(outcome.plan, filters::make_plan(*image.memory, decision.kernel(), level_before(image),
                                              plan_options, stop));
  append(outcome.remarks, outcome.plan.remarks);
  outcome.lost_pages = outcome.plan.lost.count();
  if (decision.kernel() != nullptr) {
    outcome.release = decision.kernel()->info().release();
  }
  outcome.incomplete = image.file.incomplete;
  return decision;
}

// The page's bytes, or nothing where it is in none of the runs.
std::span<const std::byte> find_page(std::span<const formats::PageRun> runs, Pfn pfn) {
  const auto after =
      std::upper_bound(runs.begin(), runs.end(), pfn,
                       [](Pfn value, const formats::PageRun& run) { return value < run.first; });
  if (after == runs.begin()) {
    return {};
  }
  const formats::PageRun& run = *std::prev(after);
  const std::uint64_t at = (pfn - run.first) * kPageSize;
  return at < run.bytes.size() ? run.bytes.subspan(at, kPageSize) : std::span<const std::byte>();
}

// Compares the pages of one shard. Pages that the source does not have are not looked at: an ELF
// file shows them as zeros.
Result<> compare(std::span<const formats::PageRun> source,
                 std::span<const formats::PageRun> written) {
  for (const formats::PageRun& run : source) {
    for (std::size_t at = 0; at < run.bytes.size(); at += kPageSize) {
      const Pfn pfn = run.first + at / kPageSize;
      const auto page = find_page(written, pfn);
      if (page.empty() || std::memcmp(page.data(), run.bytes.data() + at, kPageSize) != 0) {
        return fail(Errc::malformed, "verify: the page at {:#x} was not written as it was read",
                    pfn.value * kPageSize);
      }
    }
  }
  return {};
}

}  // namespace

Result<Outcome> plan_only(const MemoryImage& image, const ConvertOptions& options,
                          std::stop_token stop) {
  TRY_ASSIGN(Decision decision, decide(image, options, nullptr, stop));
  return std::move(decision.outcome);
}

Result<Outcome> convert(const MemoryImage& image, formats::DumpWriter& writer,
                        const ConvertOptions& options, Observer& observer, std::stop_token stop,
                        const Draft* draft) {
  TRY_ASSIGN(Decision decision, decide(image, options, draft, stop));
  Outcome& outcome = decision.outcome;
  const CrashTime time = crash_time(image, decision.kernel(), options.host_event_time);
  formats::DumpHeader header =
      make_header(image, decision.kernel(), outcome.plan, time, outcome.remarks);
  outcome.provenance = make_provenance(image, outcome.plan, time, options.capture, outcome.remarks);
  header.notes.push_back(make_provenance_note(outcome.provenance));
  TRY(writer.begin(header));
  TRY(writer.plan(outcome.plan.ram, outcome.plan.kept));
  append(outcome.remarks, writer.remarks());
  std::optional<ShardRoom> own;
  if (draft == nullptr) {
    TRY_ASSIGN(own, ShardRoom::make(options.threads + options.read_ahead / kShardSize));
  }
  TRY_ASSIGN(const std::uint64_t lost, encode_pages(*image.memory, outcome.plan, writer, options,
                                                    own ? *own : draft->room, observer, stop));
  outcome.lost_pages += lost;
  if (outcome.lost_pages != 0) {
    outcome.incomplete = true;
    outcome.remarks.push_back(
        {Errc::truncated,
         fmt::format("{} pages could not be read and are missing", outcome.lost_pages)});
  }
  TRY(writer.finish(outcome.incomplete));
  return std::move(outcome);
}

Result<> record_cost(formats::DumpWriter& writer, const CaptureCost& cost, Outcome& outcome) {
  if (outcome.provenance.capture) {
    outcome.provenance.capture->cost = cost;
  }
  return writer.replace_note(make_provenance_note(outcome.provenance));
}

Result<> verify(const MemoryImage& source, const MemoryImage& written, const Outcome& outcome,
                std::stop_token stop) {
  ShardQueue queue(outcome.plan.kept);
  TRY_ASSIGN(const ShardRoom room, ShardRoom::make(2));
  ShardBuffer from_source(room.place(0));
  ShardBuffer from_written(room.place(1));
  for (bool last = false; !last;) {
    if (stop.stop_requested()) {
      return fail(Errc::cancelled, "cancelled");
    }
    const std::vector<PfnRange> shard = queue.claim(last);
    TRY(from_source.read(*source.memory, shard, outcome.plan.zero));
    TRY(from_written.read(*written.memory, shard, {}));
    TRY(compare(from_source.runs(), from_written.runs()));
  }
  return {};
}

}  // namespace vmcore::convert
