// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/convert.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "filters/planner.h"
#include "src/convert/copied_memory.h"
#include "src/convert/crashed_kernel.h"
#include "src/convert/first_pages.h"
#include "src/convert/normalise.h"
#include "src/convert/pipeline.h"
#include "src/convert/shards.h"
#include "src/image/page.h"
#include "src/kernel/capture_kernel.h"
#include "src/kernel/proof.h"

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
                        const Waiting& waiting, const std::stop_token& stop) {
  if (options.how.level > filters::kMaxLevel) {
    return fail(Errc::invalid, "dump level {} is not in the range 0 to {}", options.how.level,
                filters::kMaxLevel);
  }
  if (options.how.threads == 0) {
    return fail(Errc::invalid, "a conversion needs at least one thread");
  }
  TRY_ASSIGN(Subject subject, find_subject(image, options.search, waiting.kernels, options.hint));
  // Struct pages that may be those of other pages decide nothing.
  const filters::PlanOptions plan_options{
      .level = image.file.doubted ? 0 : options.how.level,
      .threads = options.how.threads,
      .in_use = options.torn ? std::vector<Pfn>() : kernel::pages_in_use(subject.image()),
      .torn = options.torn || was_torn(image),
      .without_poison = waiting.without_poison};
  TRY_ASSIGN(filters::Planner planner,
             filters::Planner::make(*subject.image().memory, subject.kernel(), level_before(image),
                                    plan_options, options.window, stop));
  if (planner.disproved()) {
    subject.found.kernels.clear();
  }
  Decision decision{std::move(subject), std::move(planner), {}};
  Outcome& outcome = decision.outcome;
  outcome.crashed = decision.subject.crashed;
  outcome.place = decision.subject.place();
  static_cast<filters::PlanSummary&>(outcome.plan) = decision.planner.summary();
  outcome.plan.level_asked = options.how.level;
  append(outcome.remarks, image.remarks);
  remark_on_newer_note(image, outcome.remarks);
  append(outcome.remarks, decision.subject.found.remarks);
  append(outcome.remarks, outcome.plan.remarks);
  outcome.lost_pages = outcome.plan.lost_pages;
  if (decision.kernel() != nullptr) {
    outcome.release = decision.kernel()->info().release();
    outcome.build_id = decision.kernel()->info().build_id().value_or("");
    outcome.panicked = kernel::has_panicked(*decision.kernel()).value_or(false);
  }
  outcome.incomplete = image.file.incomplete;
  return decision;
}

// Tells of one part of the pages what is so of all of them.
class PartObserver final : public Observer {
 public:
  PartObserver(Observer& all, std::uint64_t kept) : all_(all), kept_(kept) {}
  void begin(std::uint64_t pages, bool last) {
    before_ += std::exchange(in_part_, pages);
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
  std::uint64_t before_ = 0;  // pages of the parts before
  std::uint64_t in_part_ = 0;
  bool last_ = false;
};

PageSet common(const PageSet& a, const PageSet& b) { return without(a, without(a, b)); }

// Writes the kept pages, window by window, of each the first ones first.
class PageWriting {
 public:
  PageWriting(Decision& decision, const formats::DumpHeader& header, formats::DumpWriter& writer,
              const ConvertOptions& options, Observer& observer, std::stop_token stop)
      : decision_(decision),
        header_(header),
        writer_(writer),
        options_(options),
        all_(observer),
        observer_(observer, decision.outcome.plan.kept_pages),
        stop_(std::move(stop)) {}

  // Returns how many of them could not be had. The last window stays with the plan, which the
  // writer has borrowed.
  Result<std::uint64_t> write_windows() {
    TRY(writer_.begin(header_));
    const FirstPages first = find_first(nullptr);
    while (!decision_.planner.done()) {
      TRY(plan_next());
      TRY(writer_.plan(pages().ram, pages().kept));
      TRY(write_log(*decision_.image().memory, first));
      TRY(write_some(*decision_.image().memory, first.kernel));
      TRY(write_rest(*decision_.image().memory, decision_.planner.done()));
    }
    return lost_;
  }

  // The same of a guest that waits: not for the disk, where there is room for all pages. Otherwise
  // the others are written while it waits.
  Result<std::uint64_t> write_copied(CopiedMemory& copied, bool is_paused) {
    TRY(plan_next());
    const PageSet data = without(pages().kept, pages().zero);
    TRY(copied.take(data));
    const PageSet missing = without(data, copied.pages());
    const bool waits = missing.count() != 0;
    if (!waits) {
      all_.source_read();
    }
    TRY(writer_.begin(header_));
    TRY(writer_.plan(pages().ram, pages().kept));
    const FirstPages first = find_first(waits ? nullptr : &copied.pages());
    TRY(write_log(copied, first));
    if (waits) {
      TRY(write_missing(copied, missing, first, is_paused));
    }
    TRY(write_some(copied, first.kernel));
    TRY(write_rest(copied, false));
    return lost_;
  }

 private:
  filters::PlannedPages& pages() { return decision_.outcome.plan; }

  FirstPages find_first(const PageSet* only) const {
    return decision_.kernel() == nullptr
               ? FirstPages()
               : first_pages(decision_.image(), decision_.subject.found, header_.notes, only);
  }

  Result<> plan_next() {
    TRY_ASSIGN(pages(), decision_.planner.next());
    done_ = {};
    return {};
  }

  Result<> write_missing(const CopiedMemory& copied, const PageSet& missing,
                         const FirstPages& first, bool is_paused) {
    TRY(write_some(copied, common(first.kernel, missing)));
    ConvertOptions at_once = options_;
    at_once.how.bandwidth = is_paused ? 0 : options_.how.bandwidth;
    const PageSet now = without(missing, done_);
    TRY(write_part(copied, {now, pages().zero}, at_once, true));
    done_.insert(now);
    return {};
  }

  Result<> write_log(const PhysicalMemory& memory, const FirstPages& first) {
    TRY(write_some(memory, first.log));
    all_.log_written();
    return {};
  }

  // Those of them that are kept, and not written yet.
  Result<> write_some(const PhysicalMemory& memory, const PageSet& some) {
    const PageSet part = without(common(some, pages().kept), done_);
    TRY(write_part(memory, {part, pages().zero}, options_, false));
    done_.insert(part);
    return {};
  }

  Result<> write_rest(const PhysicalMemory& memory, bool last) {
    return write_part(memory, {pages().kept, pages().zero, &done_}, options_, last);
  }

  // `last`: when they are read, nothing more is.
  Result<> write_part(const PhysicalMemory& memory, const PagesToWrite& part,
                      const ConvertOptions& options, bool last) {
    const std::uint64_t count = part.count();
    if (count == 0 && !last) {
      return {};
    }
    observer_.begin(count, last);
    TRY_ASSIGN(const std::uint64_t lost,
               encode_pages(memory, part, writer_, options, observer_, stop_));
    lost_ += lost;
    return {};
  }

  Decision& decision_;
  const formats::DumpHeader& header_;
  formats::DumpWriter& writer_;
  const ConvertOptions& options_;
  Observer& all_;
  PartObserver observer_;
  std::stop_token stop_;
  PageSet done_;  // of the window
  std::uint64_t lost_ = 0;
};

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
        return fail(Errc::malformed,
                    "verify: the page at {:#x} in the dump differs from its source",
                    address_of(pfn).value);
      }
    }
  }
  return {};
}

}  // namespace

Result<Outcome> plan_only(const MemoryImage& image, const ConvertOptions& options,
                          std::stop_token stop) {
  TRY_ASSIGN(Decision decision, decide(image, options, {}, stop));
  if (decision.kernel() != nullptr) {
    if (const auto panic = kernel::read_capture_kernel(*decision.kernel())) {
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
  TRY_ASSIGN(Decision decision, decide(image, options, waiting, stop));
  Outcome& outcome = decision.outcome;
  const CrashTime time = crash_time(image, decision.kernel(), options.host_event_time);
  formats::DumpHeader header =
      make_header(decision.image(), decision.kernel(), outcome.plan, time, outcome.remarks);
  outcome.provenance = make_provenance(image, outcome.plan, time, options.capture, outcome.remarks);
  header.notes.push_back(make_provenance_note(outcome.provenance));
  // Of a crashed kernel beside a capture kernel, pages are not all where its own addresses say.
  CopiedMemory* const copied = outcome.crashed ? nullptr : waiting.copied;
  ConvertOptions unhurried = options;
  if (waiting.copied != nullptr && copied == nullptr && waiting.is_paused) {
    unhurried.how.bandwidth = 0;  // the guest waits until all is written
  }
  PageWriting writing(decision, header, writer, unhurried, observer, stop);
  TRY_ASSIGN(const std::uint64_t lost, copied != nullptr
                                           ? writing.write_copied(*copied, waiting.is_paused)
                                           : writing.write_windows());
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
