#include "src/convert/convert.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "filters/planner.h"
#include "src/convert/copied_memory.h"
#include "src/convert/crashed_kernel.h"
#include "src/convert/normalise.h"
#include "src/convert/pipeline.h"
#include "src/convert/shards.h"
#include "src/kernel/panic_kernel.h"

namespace vmcore::convert {
namespace {

// The kernel of an image, kept together with what was said about it, and the plan without pages.
struct Decision {
  Subject subject;
  filters::Planner planner;
  Outcome outcome;
  const MemoryImage& image() const { return subject.image(); }
  const kernel::GuestKernel* kernel() const { return subject.kernel(); }
};

void append(std::vector<Remark>& to, const std::vector<Remark>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

Result<Decision> decide(const MemoryImage& image, const ConvertOptions& options,
                        const kernel::FoundKernels* before, const std::stop_token& stop) {
  if (options.level > filters::kMaxLevel) {
    return fail(Errc::invalid, "dump level {} is not 0 to {}", options.level, filters::kMaxLevel);
  }
  if (options.threads == 0) {
    return fail(Errc::invalid, "a conversion needs a thread");
  }
  TRY_ASSIGN(Subject subject, find_subject(image, options.search, before, options.hint));
  const filters::PlanOptions plan_options{.level = options.level, .threads = options.threads};
  TRY_ASSIGN(filters::Planner planner,
             filters::Planner::make(*subject.image().memory, subject.kernel(), level_before(image),
                                    plan_options, options.window, stop));
  Decision decision{std::move(subject), std::move(planner), {}};
  Outcome& outcome = decision.outcome;
  outcome.crashed = decision.subject.crashed;
  outcome.place = decision.subject.place();
  static_cast<filters::PlanSummary&>(outcome.plan) = decision.planner.summary();
  append(outcome.remarks, image.remarks);
  append(outcome.remarks, decision.subject.found.remarks);
  append(outcome.remarks, outcome.plan.remarks);
  outcome.lost_pages = outcome.plan.lost_pages;
  if (decision.kernel() != nullptr) {
    outcome.release = decision.kernel()->info().release();
  }
  outcome.incomplete = image.file.incomplete;
  return decision;
}

// Tells of one window what is so of all of them.
class WindowObserver final : public Observer {
 public:
  WindowObserver(Observer& all, std::uint64_t kept) : all_(all), kept_(kept) {}
  void begin(const PageSet& pages, bool last) {
    before_ += std::exchange(in_window_, pages.count());
    last_ = last;
  }
  void progress(std::uint64_t done, std::uint64_t) override {
    all_.progress(before_ + done, kept_);
  }
  void source_read() override {
    if (last_) {
      all_.source_read();
    }
  }

 private:
  Observer& all_;
  std::uint64_t kept_;
  std::uint64_t before_ = 0;  // pages of the windows before
  std::uint64_t in_window_ = 0;
  bool last_ = false;
};

// Writes the kept pages of a guest that waits, first those for which there was no room; returns how
// many could not be had.
Result<std::uint64_t> write_copied(CopiedMemory& copied, const filters::PlannedPages& pages,
                                   formats::DumpWriter& writer, const ConvertOptions& options,
                                   WindowObserver& observer, const std::stop_token& stop) {
  const PageSet data = without(pages.kept, pages.zero);
  TRY(copied.take(data));
  const PageSet first = without(data, copied.pages());
  ConvertOptions at_once = options;
  at_once.bandwidth = 0;
  observer.begin(first, true);
  TRY_ASSIGN(const std::uint64_t lost,
             encode_pages(copied, first, pages.zero, writer, at_once, observer, stop));
  const PageSet rest = without(pages.kept, first);
  observer.begin(rest, false);
  TRY(encode_pages(copied, rest, pages.zero, writer, options, observer, stop));
  return lost;
}

// Writes the kept pages window by window; returns how many of them could not be had. The last
// window stays with the plan, which the writer has borrowed.
Result<std::uint64_t> write_windows(Decision& decision, formats::DumpWriter& writer,
                                    const ConvertOptions& options, CopiedMemory* copied,
                                    Observer& observer, const std::stop_token& stop) {
  filters::PlannedPages& pages = decision.outcome.plan;
  WindowObserver window_observer(observer, decision.outcome.plan.kept_pages);
  if (copied != nullptr) {
    TRY_ASSIGN(pages, decision.planner.next());
    TRY(writer.plan(pages.ram, pages.kept));
    return write_copied(*copied, pages, writer, options, window_observer, stop);
  }
  std::uint64_t lost = 0;
  while (!decision.planner.done()) {
    TRY_ASSIGN(pages, decision.planner.next());
    window_observer.begin(pages.kept, decision.planner.done());
    TRY(writer.plan(pages.ram, pages.kept));
    TRY_ASSIGN(const std::uint64_t lost_here,
               encode_pages(*decision.image().memory, pages.kept, pages.zero, writer, options,
                            window_observer, stop));
    lost += lost_here;
  }
  return lost;
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
  if (decision.kernel() != nullptr) {
    if (const auto panic = kernel::read_panic_kernel(*decision.kernel())) {
      decision.outcome.armed = panic->loaded;
    }
  }
  if (options.window == 0) {
    TRY_ASSIGN(static_cast<filters::PlannedPages&>(decision.outcome.plan), decision.planner.next());
  }
  return std::move(decision.outcome);
}

Result<Outcome> convert(const MemoryImage& image, formats::DumpWriter& writer,
                        const ConvertOptions& options, Observer& observer, std::stop_token stop,
                        const Waiting& waiting) {
  TRY_ASSIGN(Decision decision, decide(image, options, waiting.kernels, stop));
  Outcome& outcome = decision.outcome;
  const CrashTime time = crash_time(image, decision.kernel(), options.host_event_time);
  formats::DumpHeader header =
      make_header(decision.image(), decision.kernel(), outcome.plan, time, outcome.remarks);
  outcome.provenance = make_provenance(image, outcome.plan, time, options.capture, outcome.remarks);
  header.notes.push_back(make_provenance_note(outcome.provenance));
  TRY(writer.begin(header));
  // Of a crashed kernel beside a capture kernel, pages are not all where its own addresses say.
  CopiedMemory* const copied = outcome.crashed ? nullptr : waiting.copied;
  ConvertOptions how = options;
  if (waiting.copied != nullptr && copied == nullptr) {
    how.bandwidth = 0;  // the guest waits until all is written
  }
  TRY_ASSIGN(const std::uint64_t lost,
             write_windows(decision, writer, how, copied, observer, stop));
  append(outcome.remarks, writer.remarks());
  outcome.lost_pages += lost;
  if (outcome.lost_pages != 0) {
    outcome.incomplete = true;
    outcome.remarks.push_back(
        {Errc::truncated,
         fmt::format("{} pages could not be read and are missing", outcome.lost_pages)});
  }
  TRY(writer.finish(outcome.incomplete));
  if (options.window != 0) {
    static_cast<filters::PlannedPages&>(outcome.plan) = {};
  }
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
  if (outcome.plan.kept.count() != outcome.plan.kept_pages) {
    return fail(Errc::invalid, "a dump that was planned in windows cannot be verified");
  }
  const PhysicalMemory& from = outcome.crashed ? *outcome.crashed->memory : *source.memory;
  ShardQueue queue(outcome.plan.kept);
  ShardBuffer from_source;
  ShardBuffer from_written;
  for (bool last = false; !last;) {
    if (stop.stop_requested()) {
      return fail(Errc::cancelled, "cancelled");
    }
    const std::vector<PfnRange> shard = queue.claim(last);
    TRY(from_source.read(from, shard, outcome.plan.zero));
    TRY(from_written.read(*written.memory, shard, {}));
    TRY(compare(from_source.runs(), from_written.runs()));
  }
  return {};
}

}  // namespace vmcore::convert
