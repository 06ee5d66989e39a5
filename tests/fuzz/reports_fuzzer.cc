// SPDX-License-Identifier: GPL-2.0-or-later
// Reports that a worker wrote, or that were kept: whatever they are, they are refused or can be
// written again and shown.
#include <cstdint>
#include <cstdlib>

#include "src/report/check.h"
#include "src/report/crash_event.h"
#include "src/report/dump.h"
#include "src/report/info.h"
#include "src/report/job_event.h"
#include "src/report/manifest.h"
#include "src/report/memory.h"
#include "src/report/receive.h"
#include "src/report/triage.h"
#include "src/show/memory_picture.h"
#include "src/show/memory_text.h"
#include "src/show/triage_text.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;
using namespace vmcore::report;

const std::vector<Remark> kRemarks{{Errc::io, "a doubt"}, {Errc::limit, "a fact", Severity::fact}};

MemoryReport memory() {
  return {.release = "6.12.0",
          .torn = true,
          .memory = 16,
          .free_zero = 2,
          .kept_at_31 = 9,
          .excluded_before = 1,
          .classes = {{"kernel", "kernel", 9}, {"free", "free", 5}, {"user", "u", 3}},
          .ram = {{{0}, 65536}},
          .bin_size = 32768,
          .bins = {{0, {8, 0, 0}, 0}, {0x8000, {0, 1, 0}, 1}, {1ULL << 32, {1, 4, 3}, 2}},
          .remarks = kRemarks};
}

InfoReport info() {
  return {.format = "ELF",
          .machine = "x86_64",
          .kernel = KernelInfo{.release = "6.12.0", .build_id = "00ff", .vmcoreinfo = "note"},
          .crash_time = CrashTime{1, "guest"},
          .last_log_stamp = 2.5,
          .capture = Capture{.method = "direct",
                             .consistency = "pause",
                             .guest = {.name = "vm1"},
                             .cost = {.pause_us = 48'213, .host_memory = -4096}},
          .cpus = {{.index = 1, .rip = 1, .mode = "kernel", .cr3 = 4}},
          .ram = {{{0x1000}, 4096}},
          .pages_by_class = {{"free", 12}},
          .remarks = kRemarks};
}

DumpReport dump() {
  return {.dump = DumpFile{.path = "/a", .size = 1, .summary = {.release = "6.12.0"}},
          .guest = DumpedGuest{.identity = {.name = "vm1"}, .state_before = "running"},
          .then = ThenOutcome{.action = "reset"}};
}

Manifest manifest() {
  Manifest manifest{.id = "2026-01-02T03:04:05-vm1-1",
                    .number = 1,
                    .time = 5,
                    .reason = "panic",
                    .witness = "event",
                    .capture = {.method = "direct", .guest = {.name = "vm1"}},
                    .signature = {"aa", "bb", "BUG: in a test"},
                    .from = "/run/qmp/vm1.sock",
                    .files = {{"vmcore", 1, std::string(64, 'a')}},
                    .to_flash_us = 1'500,
                    .remarks = kRemarks};
  describe(manifest, info(), "vmcore");
  return manifest;
}

CrashState state() {
  return {.held = true, .policy = PolicyOutcome{"restart", true, "", "the default", 2'500'000}};
}

TriageReport triage() {
  const TaskName task{.pid = 7, .tgid = 7, .comm = "a task"};
  const LockWait lock{.kind = "mutex", .address = 1, .owner = task};
  const IoWait io{
      .kind = "page_lock", .address = 1, .device = "vda", .file_system = "ext4", .inode = 12};
  return {
      .format = "ELF",
      .consistency = "pause",
      .kernel = {.value =
                     TriageKernel{.release = "6.12.0", .taint_mask = 1, .taints = {{'P', "p"}}}},
      .panic = {.value = TriagePanic{.message = "m",
                                     .evidence = {"log"},
                                     .cpu = 1,
                                     .task = task,
                                     .signature = CrashSignature{"aa", "bb", "c"}}},
      .modules = {.value = {{{.name = "m", .size = 1}}}},
      .cpus = {.value = {{{.number = 1,
                           .mode = "kernel",
                           .task = task,
                           .registers = {{"rip", 1}},
                           .stack = 0,
                           .runnable = 2,
                           .queue = RunQueue{.fair = 2, .tasks = {{task, "fair", true}}}}}}},
      .tasks = {.value = TriageTasks{.total = 1,
                                     .by_state = {{"UN", 1}},
                                     .list = {{.name = task, .state = "UN", .io = io, .stack = 0}},
                                     .waiting = {{.tasks = 1, .names = {task}, .lock = lock}}}},
      .log = {.value = {{"a line"}}},
      .memory = {.why_not = "no BTF"},
      .mounts = {.value = {{{"vda", "/", "ext4"}}}},
      .files = {.value = {{{3,
                            "socket:", OpenSocket{"inet", "stream", "tcp", "LISTEN", "a", "b"}}}}},
      .stacks = {{.frames = {{.function = "f", .address = 1, .stack = "task"}}}},
      .remarks = kRemarks};
}

std::vector<std::string> documents() {
  const std::vector<CheckReport> checks{{.guest = "vm1", .findings = {{.id = "a", .title = "b"}}}};
  return {to_json(memory()),
          to_json(info()),
          to_json(dump()),
          to_json(DumpReport{.dump = fail(Errc::io, "text")}),
          to_json(ReceiveReport{.name = "vm1", .claim = GuestClaim{.memory = 1}}),
          to_json(checks),
          to_json(manifest()),
          to_json(state()),
          to_json(triage()),
          to_json(FixReport{.guest = "vm1", .saved = "/old"}),
          to_line(JobProgress{.done = 1, .all = 2}),
          to_line(JobGuestEvent{.what = "reset", .details = "{}"}),
          to_line(JobFlash{.kept = true, .signature = {.exact = "e", .family = "f"}}),
          to_json(CrashEvent{.kind = "panicked", .details = "{}"}),
          to_line(JobEnd{.monitor = true, .report = to_json(dump())})};
}

// What is read is written so that it is read again, as the same.
template <class Report>
void check(Result<Report> (*from_json)(std::string_view), std::string_view text) {
  const auto report = from_json(text);
  if (!report) {
    return;
  }
  const std::string written = to_json(*report);
  const auto again = from_json(written);
  if (!again || to_json(*again) != written) {
    std::abort();
  }
}

void check_line(std::string_view text) {
  const auto event = job_event_from_line(text);
  if (!event) {
    return;
  }
  const std::string written = to_line(*event);
  const auto again = job_event_from_line(written);
  if (!again || to_line(*again) != written) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::string> originals = documents();
  const std::string text = fuzz::changed_text(originals, std::as_bytes(std::span(data, size)));
  check(info_from_json, text);
  check(memory_from_json, text);
  check(dump_from_json, text);
  check(receive_from_json, text);
  check(check_from_json, text);
  check(fix_from_json, text);
  check(manifest_from_json, text);
  check(state_from_json, text);
  check(triage_from_json, text);
  check_line(text);
  if (const auto report = triage_from_json(text)) {
    static_cast<void>(show::triage_screen(*report, "a dump"));
    static_cast<void>(show::triage_details(*report));
  }
  if (const auto report = memory_from_json(text)) {
    static_cast<void>(show::memory_text(*report));
    static_cast<void>(show::draw_memory(*report, {"guest", "now"}));
  }
  return 0;
}
