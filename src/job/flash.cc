// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/flash.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include "src/acquire/libvirt/setup.h"
#include "src/acquire/method.h"
#include "src/base/fd.h"
#include "src/base/sys.h"
#include "src/job/deadline.h"
#include "src/job/guest_lock.h"
#include "src/job/guest_report.h"
#include "src/job/look_live.h"
#include "src/job/memory_desk.h"
#include "src/job/place_cache.h"
#include "src/job/read_job.h"
#include "src/job/read_paused.h"

namespace vmcore::job {
namespace {

using std::chrono::milliseconds;

// Memory gets most of the time; what is read without it needs some tens of milliseconds.
constexpr milliseconds kForMemory{4000};
constexpr milliseconds kForAll{5000};
constexpr milliseconds kForALog{2000};
// QEMU tells of a panic before it stops the guest, and libvirt hears of the stop still later. Only
// of a guest that stands still the registers of the CPU that panicked are known.
constexpr milliseconds kForTheStop{1000};
constexpr milliseconds kLookEvery{5};
// Bytes of the kernel log that are kept: the end of a longer one.
constexpr std::uint64_t kMostOfALog = 1U << 20;

std::string text_of(const CpuState& cpu) {
  constexpr unsigned kInALine = 3;
  std::string text = fmt::format("CPU {}, {}", cpu.index, cpu.user_mode() ? "user" : "kernel");
  unsigned count = 0;
  for (const auto& [name, value] : named_registers(cpu)) {
    text += fmt::format("{}{:>6} {:016x}", count++ % kInALine == 0 ? "\n " : " ", name, value);
  }
  return text + "\n";
}

class Flash {
 public:
  Flash(const acquire::Selection& guest, unsigned threads, bool stops, Deadline for_memory,
        Deadline for_all)
      : selection_(guest),
        threads_(threads),
        stops_(stops),
        for_memory_(std::move(for_memory)),
        for_all_(std::move(for_all)) {}

  FlashReading run() {
    auto opened = acquire::open_guest(selection_);
    if (!opened) {
      remark(opened.error(), "the guest was not reached");
    } else {
      look(*opened->guest);
      if (reading_.consistency == "stopped") {
        reading_.opened = std::make_shared<acquire::OpenedGuest>(*std::move(opened));
      }
    }
    if (!reading_.report) {
      find_another_log();
    }
    return std::move(reading_);
  }

 private:
  void remark(const Error& error, const char* what) {
    reading_.remarks.push_back({error.code, fmt::format("{}: {}", what, error.message)});
  }

  void look(acquire::Guest& guest) {
    auto document = read_memory(guest);
    take_log();
    auto report = document.and_then(
        [](const TextResult& text) { return report::triage_from_json(text.text); });
    if (!report && for_memory_.is_over()) {
      report = fail(Errc::limit, "the worker did not end within {} s, and was killed",
                    kForMemory.count() / 1000);
    }
    if (report && !report->kernel.value) {
      report = fail(Errc::not_found, "{}", report->kernel.why_not);
    }
    if (!report) {
      remark(report.error(), "no report was made of the guest's memory");
      read_registers(guest);
      return;
    }
    remember_place(guest, document->place);
    std::ranges::move(document->summary.remarks, std::back_inserter(reading_.remarks));
    reading_.report = *std::move(report);
  }

  sandbox::Request request(sandbox::Input input, const acquire::Guest& guest) const {
    return {.operation = sandbox::Operation::report,
            .input = std::move(input),
            .how = {.threads = threads_},
            .hint = recall_place(guest)};
  }

  Result<> await_stop(acquire::Guest& guest) const {
    const auto until = std::chrono::steady_clock::now() + kForTheStop;
    while (stops_ && std::chrono::steady_clock::now() < until && !is_readable(for_memory_.fd())) {
      TRY_ASSIGN(const acquire::GuestState state, guest.state());
      if (!state.running) {
        break;
      }
      std::this_thread::sleep_for(kLookEvery);
    }
    return {};
  }

  Result<TextResult> read_memory(acquire::Guest& guest) {
    TRY_ASSIGN(log_, make_memory_file("log"));
    TRY(await_stop(guest));
    std::vector<Remark> ignored;
    const auto lock = lock_guest(guest.keys(), "makes a flash report of the guest", ignored);
    auto report = look_at(guest);
    if (report) {
      reading_.identity = report->identity;
    }
    reading_.identity.name = guest.name();
    TRY_ASSIGN(const acquire::GuestState state, guest.state());
    reading_.consistency = state.running ? "torn" : "stopped";
    if (guest.in_place()) {
      // Of a guest that stands still anyway, a dump that is begun tells the registers.
      return lock && report && !state.running ? read_stopped(guest, *report)
                                              : read_live(guest, state.running);
    }
    if (state.running || guest.needs_spool(state)) {
      return fail(Errc::unsupported, "it can be read only as a whole, with the guest paused");
    }
    TRY(report);
    return read_fetched(guest, state);
  }

  Result<TextResult> read_stopped(acquire::Guest& guest, GuestReport& report) {
    return read_held(guest, request(sandbox::ProcessInput{}, guest), report, milliseconds(0),
                     for_memory_.fd(), {{"log", log_.get()}});
  }

  Result<TextResult> read_live(acquire::Guest& guest, bool running) {
    TRY_ASSIGN(const auto desk, MemoryDesk::open(guest, threads_));
    std::vector<sandbox::NamedFd> descriptors = desk->descriptors();
    descriptors.push_back({"log", log_.get()});
    const auto locate = [&](std::span<const PhysRange>) {
      return desk->locate([&] { return look_live(guest); });
    };
    return read_text(request(sandbox::LiveInput{.torn = running}, guest), descriptors,
                     {.locate = locate, .cancel = for_memory_.fd()});
  }

  Result<TextResult> read_fetched(acquire::Guest& guest, const acquire::GuestState& state) {
    TRY_ASSIGN(acquire::Acquired acquired, guest.acquire(state, {.cancel = for_memory_.fd()}));
    return read_text(
        request(std::move(acquired.input), guest),
        {{"source", acquired.source.get()}, {"log", log_.get()}},
        {.fetch = [&](PhysRange range) { return guest.fetch(range); }, .cancel = for_memory_.fd()});
  }

  // Also what a worker wrote that did not end.
  void take_log() {
    const std::uint64_t size = log_ ? sys::file_size(log_.get()).value_or(0) : 0;
    std::string text(std::min(size, kMostOfALog), '\0');
    if (size == 0 ||
        !sys::pread_full(log_.get(), std::as_writable_bytes(std::span(text)), size - text.size())) {
      return;
    }
    if (size > kMostOfALog) {
      reading_.remarks.push_back(
          {Errc::limit,
           fmt::format("of the kernel log the last {} KiB are kept", kMostOfALog >> 10),
           Severity::fact});
    }
    reading_.log = std::move(text);
  }

  void read_registers(acquire::Guest& guest) {
    const auto cpus = guest.registers();
    if (!cpus) {
      remark(cpus.error(), "no registers");
      return;
    }
    for (const CpuState& cpu : *cpus) {
      reading_.registers += text_of(cpu);
    }
  }

  // Without a report of memory: that of the kernel log in memory, or of the console.
  void find_another_log() {
    const bool no_log = reading_.log.empty();
    if (no_log && selection_.socket.empty()) {
      auto console = acquire::end_of_console(selection_);
      if (!console) {
        remark(console.error(), "no console");
        return;
      }
      reading_.console = *std::move(console);
    }
    const std::string& text = no_log ? reading_.console : reading_.log;
    if (text.empty()) {
      return;
    }
    auto report = report_of(text);
    if (report) {
      reading_.report = *std::move(report);
      reading_.remarks.push_back({Errc::not_found, fmt::format("the report is that of the {} alone",
                                                               no_log ? "console" : "kernel log")});
    } else {
      remark(report.error(), "no report was made of the log");
    }
  }

  Result<report::TriageReport> report_of(const std::string& text) const {
    TRY_ASSIGN(const Fd file, make_memory_file("log"));
    TRY(sys::pwrite_full(file.get(), std::as_bytes(std::span(text)), 0));
    return report_of_log(file.get(), for_all_.fd());
  }

  const acquire::Selection& selection_;
  unsigned threads_;
  bool stops_;
  Deadline for_memory_;
  Deadline for_all_;
  Fd log_;
  FlashReading reading_;
};

}  // namespace

Result<FlashReading> read_flash(const acquire::Selection& guest, unsigned threads, bool stops,
                                int cancel) {
  TRY_ASSIGN(Deadline for_memory, Deadline::after(kForMemory, cancel));
  TRY_ASSIGN(Deadline for_all, Deadline::after(kForAll, cancel));
  FlashReading reading =
      Flash(guest, threads, stops, std::move(for_memory), std::move(for_all)).run();
  if (is_readable(cancel)) {
    return fail(Errc::cancelled, "interrupted");
  }
  return reading;
}

Result<report::TriageReport> report_of_log(int log, int cancel) {
  TRY_ASSIGN(const Deadline deadline, Deadline::after(kForALog, cancel));
  TRY_ASSIGN(const TextResult text, read_text({.operation = sandbox::Operation::log},
                                              {{"source", log}}, {.cancel = deadline.fd()}));
  return report::triage_from_json(text.text);
}

}  // namespace vmcore::job
