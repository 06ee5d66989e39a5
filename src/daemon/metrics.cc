// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <set>

#include "src/base/fd.h"
#include "src/base/number.h"
#include "src/base/printable_start.h"
#include "src/base/sys.h"
#include "src/base/whole_file.h"

namespace vmcore::daemon {
namespace {

constexpr std::size_t kMostBytes = 1U << 20;
constexpr std::size_t kMostOfLabel = 120;
constexpr std::uint64_t kMostCounted = 1ULL << 53;  // Prometheus counts in doubles
constexpr double kMostSum = 1e15;
constexpr const char* kOther = "other";

constexpr std::string_view kCrashes = "vmcored_crashes_total";
constexpr std::string_view kDumps = "vmcored_dumps_total";
constexpr std::string_view kDumpBytes = "vmcored_dump_bytes_total";
constexpr std::string_view kHooks = "vmcored_hook_runs_total";
constexpr std::array<std::string_view, 4> kOutcomes{"kept", "incomplete", "left-out", "lost"};
constexpr std::array<std::string_view, 2> kHookResults{"failed", "done"};

struct Time {
  std::string_view name;
  std::string_view help;
};
constexpr std::array<Time, 4> kTimes{
    {{"vmcored_flash_report_seconds", "Time from a crash until its flash report was kept."},
     {"vmcored_dump_seconds", "Time from a crash until its dump was kept."},
     {"vmcored_running_seconds", "Time from a crash until the guest ran again."},
     {"vmcored_pause_seconds", "Time for which a guest stood still to be read."}}};

void add_to(std::uint64_t& counter, std::uint64_t times) {
  counter = std::min(kMostCounted, counter + std::min(times, kMostCounted));
}

// On one line, cut between characters.
std::string label_value(std::string_view value) {
  const std::string text = printable_start(value, kMostOfLabel);
  return text.empty() ? "none" : text;
}

std::string escaped(std::string_view value) {
  std::string text;
  for (const char letter : value) {
    if (letter == '\\' || letter == '"') {
      text += '\\';
    }
    text += letter;
  }
  return text;
}

// Takes `NAME="VALUE"` off the front; nothing where it is something else.
std::optional<std::string> take_label(std::string_view& text, std::string_view name) {
  if (!text.starts_with(name) || !text.substr(name.size()).starts_with("=\"")) {
    return std::nullopt;
  }
  std::string value;
  for (std::size_t i = name.size() + 2; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return value;
    }
    i += text[i] == '\\' && i + 1 < text.size() ? 1U : 0U;
    value += text[i];
  }
  return std::nullopt;
}

std::optional<double> parse_seconds(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool right = error == std::errc() && end == text.data() + text.size() &&
                     std::isfinite(value) && value >= 0 && value <= kMostSum;
  return right ? std::optional(value) : std::nullopt;
}

// A line of a series: NAME{LABELS} VALUE.
struct Line {
  std::string_view name;
  std::string_view labels;
  std::string_view value;
};

std::optional<Line> split(std::string_view text) {
  const auto space = text.rfind(' ');
  if (text.starts_with('#') || space == std::string_view::npos) {
    return std::nullopt;
  }
  Line line{text.substr(0, space), {}, text.substr(space + 1)};
  const auto brace = line.name.find('{');
  if (brace != std::string_view::npos && line.name.ends_with('}')) {
    line.labels = line.name.substr(brace + 1, line.name.size() - brace - 2);
    line.name = line.name.substr(0, brace);
  }
  return line;
}

template <class Function>
void for_each_line(std::string_view text, Function function) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (const auto parts = split(line)) {
      function(*parts);
    }
  }
}

std::string limit_text(std::size_t index) {
  return index < Histogram::kLimits.size() ? fmt::format("{:g}", Histogram::kLimits[index])
                                           : "+Inf";
}

// What a text has of one histogram.
class FoundHistogram {
 public:
  explicit FoundHistogram(std::string_view name) : name_(name) {}

  void add(const Line& line) {
    if (!line.name.starts_with(name_)) {
      return;
    }
    const std::string_view rest = line.name.substr(name_.size());
    if (rest == "_sum") {
      sum_ = parse_seconds(line.value);
    } else if (rest == "_bucket") {
      add_bucket(line);
    }
  }

  void restore(Histogram& histogram) const {
    if (found_ == below_.size() && sum_) {
      histogram.restore(below_, *sum_);
    }
  }

 private:
  void add_bucket(const Line& line) {
    const auto value = parse_number<std::uint64_t>(line.value);
    if (found_ < below_.size() && value &&
        line.labels == fmt::format("le=\"{}\"", limit_text(found_))) {
      below_[found_++] = *value;
    }
  }

  std::string_view name_;
  Histogram::Counts below_{};
  std::size_t found_ = 0;  // in their order
  std::optional<double> sum_;
};

void head(std::string& text, std::string_view name, std::string_view type, std::string_view help) {
  text += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

void gauge(std::string& text, std::string_view name, std::string_view help, std::uint64_t value) {
  head(text, name, "gauge", help);
  text += fmt::format("{} {}\n", name, value);
}

template <std::size_t N>
void by_result(std::string& text, std::string_view name, std::string_view help,
               const std::array<std::string_view, N>& results,
               const std::array<std::uint64_t, N>& counts) {
  head(text, name, "counter", help);
  for (std::size_t i = 0; i < N; ++i) {
    text += fmt::format("{}{{result=\"{}\"}} {}\n", name, results[i], counts[i]);
  }
}

void add_time(std::string& text, const Time& time, const Histogram& histogram) {
  head(text, time.name, "histogram", time.help);
  const Histogram::Counts below = histogram.below();
  for (std::size_t i = 0; i < below.size(); ++i) {
    text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", time.name, limit_text(i), below[i]);
  }
  text += fmt::format("{0}_sum {1:.6f}\n{0}_count {2}\n", time.name, histogram.sum(), below.back());
}

template <std::size_t N>
void restore_results(const Line& line, const std::array<std::string_view, N>& results,
                     std::array<std::uint64_t, N>& counts, std::uint64_t value) {
  for (std::size_t i = 0; i < N; ++i) {
    if (line.labels == fmt::format("result=\"{}\"", results[i])) {
      add_to(counts[i], value);
    }
  }
}

}  // namespace

void Histogram::add(double seconds) {
  const double value = std::clamp(seconds, 0.0, kMostSum);
  const auto place = std::ranges::lower_bound(kLimits, value) - kLimits.begin();
  add_to(in_[static_cast<std::size_t>(place)], 1);
  sum_ = std::min(kMostSum, sum_ + value);
}

void Histogram::restore(const Counts& below, double sum) {
  if (!std::ranges::is_sorted(below) || below.back() > kMostCounted) {
    return;
  }
  for (std::size_t i = 0; i < below.size(); ++i) {
    in_[i] = below[i] - (i == 0 ? 0 : below[i - 1]);
  }
  sum_ = sum;
}

Histogram::Counts Histogram::below() const {
  Counts counts = in_;
  for (std::size_t i = 1; i < counts.size(); ++i) {
    counts[i] += counts[i - 1];
  }
  return counts;
}

std::string Metrics::bounded(const std::string& value, bool is_reason) const {
  std::set<std::string> known;
  for (const auto& [labels, count] : crashes_) {
    known.insert(is_reason ? labels.first : labels.second);
  }
  const std::string text = label_value(value);
  const std::size_t most = is_reason ? kMostReasons : kMostSignatures;
  known.erase(kOther);
  return known.contains(text) || known.size() < most ? text : kOther;
}

void Metrics::count_crash(const std::string& reason, const std::string& signature,
                          std::uint64_t times) {
  add_to(crashes_[{bounded(reason, true), bounded(signature, false)}], times);
}

void Metrics::count_dump(DumpOutcome outcome, std::uint64_t bytes) {
  add_to(dumps_[static_cast<std::size_t>(outcome)], 1);
  add_to(dump_bytes_, bytes);
}

void Metrics::count_hook(bool done) { add_to(hooks_[done ? 1 : 0], 1); }

void Metrics::took(Took what, std::chrono::microseconds time) {
  times_[static_cast<std::size_t>(what)].add(static_cast<double>(time.count()) / 1e6);
}

void Metrics::set_store(std::uint64_t bytes, std::uint64_t crashes) {
  store_bytes_ = bytes;
  store_crashes_ = crashes;
}

void Metrics::set_armed(std::uint64_t guests) { armed_ = guests; }

std::string Metrics::text() const {
  std::string text;
  head(text, kCrashes, "counter", "Crashes of guests, by reason and signature.");
  for (const auto& [labels, count] : crashes_) {
    text += fmt::format("{}{{reason=\"{}\",signature=\"{}\"}} {}\n", kCrashes,
                        escaped(labels.first), escaped(labels.second), count);
  }
  by_result(text, kDumps, "Crashes by what became of the guest's memory.", kOutcomes, dumps_);
  head(text, kDumpBytes, "counter", "Bytes of the dumps that were kept.");
  text += fmt::format("{} {}\n", kDumpBytes, dump_bytes_);
  by_result(text, kHooks, "Hooks that ran, by result.", kHookResults, hooks_);
  for (std::size_t i = 0; i < kTimes.size(); ++i) {
    add_time(text, kTimes[i], times_[i]);
  }
  gauge(text, "vmcored_store_bytes", "Bytes that the store takes.", store_bytes_);
  gauge(text, "vmcored_store_crashes", "Crashes in the store.", store_crashes_);
  gauge(text, "vmcored_guests_armed", "Guests that are armed.", armed_);
  return text;
}

void Metrics::restore_crashes(std::string_view labels, std::uint64_t value) {
  const auto reason = take_label(labels, "reason");
  if (!reason || !labels.starts_with(',')) {
    return;
  }
  labels.remove_prefix(1);
  const auto signature = take_label(labels, "signature");
  if (signature && labels.empty()) {
    count_crash(*reason, *signature, value);
  }
}

void Metrics::restore(std::string_view text) {
  std::array found{FoundHistogram(kTimes[0].name), FoundHistogram(kTimes[1].name),
                   FoundHistogram(kTimes[2].name), FoundHistogram(kTimes[3].name)};
  for_each_line(text, [&](const Line& line) {
    std::ranges::for_each(found, [&](FoundHistogram& histogram) { histogram.add(line); });
    const auto value = parse_number<std::uint64_t>(line.value);
    if (!value) {
      return;
    }
    if (line.name == kCrashes) {
      restore_crashes(line.labels, *value);
    } else if (line.name == kDumps) {
      restore_results(line, kOutcomes, dumps_, *value);
    } else if (line.name == kHooks) {
      restore_results(line, kHookResults, hooks_, *value);
    } else if (line.name == kDumpBytes && line.labels.empty()) {
      add_to(dump_bytes_, *value);
    }
  });
  for (std::size_t i = 0; i < found.size(); ++i) {
    found[i].restore(times_[i]);
  }
}

Metrics read_metrics(const std::filesystem::path& file) {
  Metrics metrics;
  const Fd open(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY));
  struct stat status {};
  if (open && ::fstat(open.get(), &status) == 0 && S_ISREG(status.st_mode)) {
    if (const auto text = read_all(open.get(), file.native(), kMostBytes)) {
      metrics.restore(*text);
    }
  }
  return metrics;
}

Result<> write_metrics(const Metrics& metrics, const std::filesystem::path& file) {
  // A name that node_exporter does not collect: it takes *.prom.
  const std::string draft = (file.parent_path() / ("." + file.filename().native() + ".new"));
  ::unlink(draft.c_str());
  const Fd open(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!open) {
    return fail_errno(errno, "the metrics " + draft);
  }
  const std::string text = metrics.text();
  Result<> written = sys::write_full(open.get(), std::as_bytes(std::span(text)));
  if (written && (::fchmod(open.get(), 0644) != 0 || ::rename(draft.c_str(), file.c_str()) != 0)) {
    written = fail_errno(errno, file.native());
  }
  if (!written) {
    ::unlink(draft.c_str());
    return in_context(std::move(written).error(), "the metrics");
  }
  return {};
}

}  // namespace vmcore::daemon
