// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/log_text.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "src/report/triage.h"
#include "src/triage/log_details.h"
#include "src/triage/log_line.h"
#include "src/triage/log_sentences.h"

namespace vmcore::triage {
namespace {

using report::CrashClass;

// A longer line is cut.
constexpr std::size_t kLongestLine = 4096;
// Of the reports of one boot the first and the last ones are kept.
constexpr std::size_t kMostReports = 32;

constexpr std::string_view kPanic = "Kernel panic - not syncing: ";

bool begins_trace(std::string_view text) {
  return text.starts_with("Call Trace:") || text.starts_with("Call trace:");
}

// "<IRQ>" and "</IRQ>" (arch/x86/kernel/dumpstack.c; "<TASK>" since 5.16).
std::optional<std::string_view> stack_marker(std::string_view text) {
  if (text.size() < 3 || text.size() > 16 || text[0] != '<' || text.back() != '>' ||
      text.find(' ') != std::string_view::npos) {
    return std::nullopt;
  }
  return text.substr(1, text.size() - 2);
}

// A report while it is read.
struct Draft {
  LogReport report = {};
  std::string caller = {};  // of its first line: only that one's lines are of it
  std::string panic = {};   // of a panic: its message
  bool is_panic = false;
  bool traced = false;  // its trace began
  bool registers_end = false;
  bool task_open = false;  // "<TASK>" without "</TASK>"
};

void fill(std::string& to, const std::string& from) {
  if (to.empty()) {
    to = from;
  }
}

// What the report that caused a panic lacks, from the panic's own lines.
void fill_in(LogReport& report, const LogReport& from) {
  if (report.frames.empty() && !report.fault) {
    report.frames = from.frames;
    report.cut = report.cut || from.cut;
  }
  if (!report.pid) {
    report.cpu = from.cpu;
    report.pid = from.pid;
    report.comm = from.comm;
  }
  if (report.release.empty()) {
    report.taint = from.taint;
    report.release = from.release;
    report.version = from.version;
  }
  fill(report.hardware, from.hardware);
  if (report.modules.empty()) {
    report.modules = from.modules;
  }
}

}  // namespace

struct LogReader::State {
  std::string carried_;  // what came of the line so far
  std::string release_;
  std::uint64_t boots_ = 0;
  std::optional<LogCrash> crash_;
  bool crash_is_fatal_ = false;
  std::uint64_t boots_at_crash_ = 0;
  std::vector<std::string> crash_lines_;

  // Of the boot that is read.
  std::vector<Draft> drafts_;
  std::uint64_t seen_ = 0;
  bool open_ = false;      // the last draft takes details
  bool in_trace_ = false;  // and so frames
  bool panicked_ = false;
  std::string stack_;  // whose begin was marked
  std::deque<std::string> lines_;

  Draft& current() { return drafts_.back(); }
  void read_line(std::string_view raw);
  void read_event(const LogLine& line);
  bool read_boundary(std::string_view text);
  bool read_die(const LogLine& line);
  void begin(const LogLine& line, CrashClass crash);
  void begin_panic(const LogLine& line);
  void read_detail(std::string_view text);
  void begin_trace();
  void read_trace(std::string_view text);
  void read_header(std::string_view text);
  void add_frame(LogFrame frame);
  void close();
  void end_boot();
  const Draft* cause_of(std::size_t panic, CrashClass crash) const;
  std::optional<std::size_t> crash_of_boot() const;
  LogCrash conclude(std::size_t index) const;
};

void LogReader::State::close() {
  if (open_ && current().task_open) {
    current().report.cut = true;
  }
  open_ = false;
  in_trace_ = false;
}

void LogReader::State::begin(const LogLine& line, CrashClass crash) {
  close();
  if (drafts_.size() == kMostReports) {
    drafts_.erase(drafts_.begin() + 1);
  }
  ++seen_;
  Draft& draft = drafts_.emplace_back();
  draft.report.crash = crash;
  draft.report.sentence = kept(line.text);
  draft.caller = kept(line.caller, 32);
  take_who(line.text, draft.report);
  open_ = true;
  stack_.clear();
}

void LogReader::State::begin_panic(const LogLine& line) {
  // There is one panic in a boot. What follows is of other CPUs, or of the panic's own way.
  if (std::exchange(panicked_, true)) {
    close();
    return;
  }
  const std::string_view message = line.text.substr(kPanic.size());
  begin(line, panic_message(message).crash);
  current().panic = kept(message);
  current().is_panic = true;
}

// An oops has a first line of its own ("BUG: ...", "kernel BUG at ..."), or begins with die()'s.
bool LogReader::State::read_die(const LogLine& line) {
  const auto words = die_line(line.text);
  if (!words) {
    return false;
  }
  const CrashClass crash = class_of_die(*words);
  const bool continues =
      open_ && !current().traced && !current().report.oops && !current().is_panic;
  if (!continues) {
    begin(line, crash);
  } else if (crash == CrashClass::double_fault || crash == CrashClass::stack_overflow) {
    current().report.crash = crash;
  }
  current().report.oops = true;
  return true;
}

// Lines that end a report without beginning one.
bool LogReader::State::read_boundary(std::string_view text) {
  if (text.starts_with("Linux version ")) {
    close();
    end_boot();
    ++boots_;
    release_ = kept(text.substr(14, text.find(' ', 14) - 14), 256);
    return true;
  }
  if (text.starts_with("---[ end Kernel panic")) {
    close();
    return true;
  }
  if (text.starts_with("---[ end trace")) {
    if (open_) {
      current().registers_end = true;
      current().task_open = false;
      in_trace_ = false;
    }
    return true;
  }
  return false;
}

// The backtrace of another CPU is not the report's, but for a CPU that stalled or locked up.
bool takes_backtrace(const LogReport& report) {
  return report.frames.empty() &&
         (report.crash == CrashClass::rcu_stall || report.crash == CrashClass::hard_lockup);
}

void LogReader::State::read_event(const LogLine& line) {
  const std::string_view text = line.text;
  if (read_boundary(text)) {
    return;
  }
  if (text.starts_with(kPanic)) {
    begin_panic(line);
    return;
  }
  if (panicked_ && !open_) {
    return;
  }
  if (!panicked_) {
    if (read_die(line)) {
      return;
    }
    if (const auto crash = begins_report(text)) {
      begin(line, *crash);
      return;
    }
  }
  if (!open_ ||
      (!line.caller.empty() && !current().caller.empty() && line.caller != current().caller)) {
    return;
  }
  if (text.starts_with("NMI backtrace for cpu") && !takes_backtrace(current().report)) {
    close();
    return;
  }
  read_detail(text);
}

void LogReader::State::add_frame(LogFrame frame) {
  if (current().report.frames.size() < kMostFrames) {
    frame.stack = stack_;
    current().report.frames.push_back(std::move(frame));
  }
}

void LogReader::State::begin_trace() {
  current().registers_end = true;
  in_trace_ = !std::exchange(current().traced, true);
  stack_.clear();
}

void LogReader::State::read_trace(std::string_view text) {
  if (const auto marker = stack_marker(text)) {
    const bool ends = marker->starts_with('/');
    current().task_open = *marker == "TASK" || (current().task_open && *marker != "/TASK");
    stack_ = ends || *marker == "TASK" ? "" : kept(*marker, 16);
    in_trace_ = *marker != "/TASK";
  } else if (auto frame = frame_of(text)) {
    add_frame(*std::move(frame));
  } else if (auto place = place_of(text)) {
    // Registers that an interrupt saved: the place is a frame, and is not printed as one.
    add_frame(*std::move(place));
  }
}

void LogReader::State::read_header(std::string_view text) {
  LogReport& report = current().report;
  constexpr std::string_view kHardware = "Hardware name: ";
  if (text.starts_with(kHardware)) {
    fill(report.hardware, kept(text.substr(kHardware.size()), 256));
  } else if (text.starts_with("Modules linked in:")) {
    if (report.modules.empty()) {
      take_modules(text, report.modules);
    }
  } else if (auto place = place_of(text); place && !report.fault && !current().registers_end) {
    report.fault = std::move(place);
  } else if (!current().registers_end && take_registers(text, report.registers)) {
    return;
  } else {
    take_who(text, report);
  }
}

void LogReader::State::read_detail(std::string_view text) {
  if (begins_trace(text)) {
    begin_trace();
  } else if (text.starts_with("Modules linked in:") || text.starts_with("CPU: ") ||
             text.starts_with("Kernel Offset: ") || text.starts_with("Last Breaking-Event")) {
    in_trace_ = false;
    read_header(text);
  } else if (in_trace_) {
    read_trace(text);
  } else {
    read_header(text);
  }
}

void LogReader::State::read_line(std::string_view raw) {
  const LogLine stripped = without_prefixes(raw);
  if (stripped.text.empty()) {
    return;
  }
  read_event(stripped);
  lines_.push_back(kept(raw.substr(0, raw.find_last_not_of("\r") + 1)));
  if (lines_.size() > report::kMaxLogLines) {
    lines_.pop_front();
  }
}

// The last report before the panic that can be its reason; of several alike that follow each other,
// as those of hung tasks do, the first.
const Draft* LogReader::State::cause_of(std::size_t panic, CrashClass crash) const {
  const Draft* found = nullptr;
  for (std::size_t i = panic; i-- > 0;) {
    const bool fits = can_cause(drafts_[i].report.crash, crash) && !drafts_[i].is_panic;
    if (fits && (found == nullptr || crash == CrashClass::hung_task)) {
      found = &drafts_[i];
    } else if (found != nullptr) {
      break;
    }
  }
  return found;
}

// The panic, else the last oops, else the last report.
std::optional<std::size_t> LogReader::State::crash_of_boot() const {
  const auto last = [&](auto fits) -> std::optional<std::size_t> {
    const auto found = std::find_if(drafts_.rbegin(), drafts_.rend(), fits);
    return found == drafts_.rend()
               ? std::nullopt
               : std::optional(static_cast<std::size_t>(drafts_.rend() - found) - 1);
  };
  if (const auto panic = last([](const Draft& draft) { return draft.is_panic; })) {
    return panic;
  }
  if (const auto oops = last([](const Draft& draft) { return draft.report.oops; })) {
    return oops;
  }
  return last([](const Draft&) { return true; });
}

LogCrash LogReader::State::conclude(std::size_t index) const {
  const Draft& last = drafts_[index];
  LogCrash crash{.report = last.report, .panic = last.panic};
  std::size_t reason = index;
  const Cause expected = last.is_panic ? panic_message(last.panic).cause : Cause::none;
  if (expected != Cause::none) {
    if (const Draft* cause = cause_of(index, last.report.crash)) {
      crash.report = cause->report;
      fill_in(crash.report, last.report);
      reason = static_cast<std::size_t>(cause - drafts_.data());
    } else if (expected == Cause::must_be) {
      crash.report.cut = true;
    }
  }
  fill(crash.report.release, release_);
  crash.earlier = seen_ - (drafts_.size() - reason);
  if (reason > 0) {
    crash.first = drafts_.front().report;
  }
  return crash;
}

void LogReader::State::end_boot() {
  if (const auto index = crash_of_boot()) {
    const bool fatal = drafts_[*index].is_panic || drafts_[*index].report.oops;
    if (fatal || !crash_is_fatal_) {
      crash_ = conclude(*index);
      crash_is_fatal_ = fatal;
      boots_at_crash_ = boots_;
      crash_lines_.assign(lines_.begin(), lines_.end());
    }
  }
  lines_.clear();
  drafts_.clear();
  seen_ = 0;
  panicked_ = false;
}

LogReader::LogReader() : state_(std::make_unique<State>()) {}
LogReader::~LogReader() = default;

void LogReader::add(std::string_view piece) {
  while (!piece.empty()) {
    const std::size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    state_->carried_ +=
        part.substr(0, kLongestLine - std::min(kLongestLine, state_->carried_.size()));
    if (end == std::string_view::npos) {
      return;
    }
    state_->read_line(state_->carried_);
    state_->carried_.clear();
    piece.remove_prefix(end + 1);
  }
}

LogText LogReader::finish() {
  State& state = *state_;
  const bool unfinished = !state.carried_.empty();
  if (unfinished) {
    state.read_line(state.carried_);
  }
  if (state.open_ && (state.in_trace_ || unfinished)) {
    state.current().report.cut = true;
  }
  state.close();
  const std::vector<std::string> last(state.lines_.begin(), state.lines_.end());
  state.end_boot();
  const bool crashed = state.crash_.has_value();
  return {.crash = std::move(state.crash_),
          .release = std::move(state.release_),
          .boots = state.boots_,
          .rebooted = crashed && state.boots_ > state.boots_at_crash_,
          .lines = crashed ? std::move(state.crash_lines_) : last};
}

LogText read_log_text(std::string_view text) {
  LogReader reader;
  reader.add(text);
  return reader.finish();
}

std::vector<LogFrame> frames_of(const LogReport& report) {
  std::vector<LogFrame> stack;
  if (report.fault) {
    stack.push_back(*report.fault);
  }
  for (const LogFrame& frame : report.frames) {
    // arm64, riscv and s390 print the place once more.
    const bool again = &frame == report.frames.data() && report.fault &&
                       frame.function == report.fault->function &&
                       frame.offset == report.fault->offset;
    if (frame.reliable && !again) {
      stack.push_back(frame);
    }
  }
  return stack;
}

report::CrashSignature signature_of(const LogReport& report) {
  std::vector<NamedFrame> names;
  for (const LogFrame& frame : frames_of(report)) {
    names.push_back({frame.function, frame.offset, frame.module});
  }
  return signature_of(report.crash, names, !report.cut, {});
}

}  // namespace vmcore::triage
