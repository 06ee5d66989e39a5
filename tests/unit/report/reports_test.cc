// SPDX-License-Identifier: GPL-2.0-or-later
// Every report comes back from its JSON, and nothing that is not one is taken for one.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "src/report/check.h"
#include "src/report/crash_event.h"
#include "src/report/dump.h"
#include "src/report/info.h"
#include "src/report/job_event.h"
#include "src/report/json.h"
#include "src/report/manifest.h"
#include "src/report/memory.h"
#include "src/report/receive.h"
#include "src/report/triage.h"

namespace vmcore::report {
namespace {

const GuestIdentity kGuest{.name = "vm1",
                           .uuid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
                           .host = "host1",
                           .qemu = "7.2.22"};
const CaptureCost kCost{.time = 1'700'000'000,
                        .forecast_us = 51'000,
                        .pause_us = 48'213,
                        .host_memory = -4096,
                        .duration_us = 2'345'678};
const std::vector<Remark> kRemarks{{Errc::io, "a doubt"}, {Errc::limit, "a fact", Severity::fact}};

InfoReport info() {
  return {.format = "kdump-compressed v6 (zstd)",
          .machine = "x86_64",
          .incomplete = true,
          .level_asked = 31,
          .level_reached = 23,
          .kernel = KernelInfo{.release = "6.12.0",
                               .build_id = "00ff",
                               .vmcoreinfo = "search",
                               .kaslr_offset = 0x1000,
                               .phys_base = -4096,
                               .page_table_levels = 5,
                               .panicked = true,
                               .capture_kernel = ReservedMemory{true, 0x1000000, 1U << 28}},
          .crash_time = CrashTime{1'700'000'000, "guest"},
          .last_log_stamp = 2.5,
          .capture = Capture{.method = "direct",
                             .consistency = "pause",
                             .crash = "event",
                             .tag = "drill",
                             .guest = kGuest,
                             .cost = kCost},
          .cpus = {{.index = 1,
                    .rip = 0xffffffff81000000,
                    .rsp = 1,
                    .rflags = 2,
                    .mode = "kernel",
                    .gs_base = 3,
                    .cr3 = 4,
                    .cr4 = 5}},
          .ram = {{{0x1000}, 4096}},
          .ram_pages = 16,
          .pages_in_file = 4,
          .pages_excluded = 12,
          .pages_by_class = {{"free", 12}, {"kernel", 4}},
          .remarks = kRemarks};
}

MemoryReport memory() {
  return {.release = "6.12.0",
          .torn = true,
          .memory = 16,
          .free_zero = 2,
          .kept_at_31 = 9,
          .classes = {{"kernel", "kernel and unclassified", 12}, {"free", "free", 4}},
          .ram = {{{0}, 65536}},
          .bin_size = 32768,
          .bins = {{0, {8, 0}, 0}, {32768, {4, 4}, 2}},
          .remarks = kRemarks};
}

DumpFile dump_file() {
  return {.path = "/var/crash/vm1.kdump",
          .size = 4096,
          .summary = {.release = "6.12.0",
                      .build_id = "00ff",
                      .level_asked = 31,
                      .level_reached = 31,
                      .ram_pages = 16,
                      .kept_pages = 4,
                      .lost_pages = 1,
                      .classes = {{"free", "", 12}},
                      .remarks = kRemarks},
          .as_asked = true};
}

const SelfCheck kSelfCheck{{{"vmcorectl 1.0", "done", "", 12},
                            {"crash 8.0.6", "failed", "it gave up", 3400},
                            {"drgn", "not tried", "it is not installed", 0}}};

DumpReport dump() {
  return {.dump = dump_file(),
          .guest = DumpedGuest{.identity = kGuest,
                               .memory = 1U << 30,
                               .state_before = "running",
                               .state_after = "running",
                               .as_found = true,
                               .method = "direct",
                               .consistency = "pause",
                               .cost = kCost,
                               .remarks = kRemarks},
          .then = ThenOutcome{.action = "reset",
                              .done = false,
                              .error = "it failed",
                              .withheld = "the dump is incomplete",
                              .by_hand = "virsh reset vm1"},
          .self_check = kSelfCheck};
}

ReceiveReport receive() {
  return {.dump = dump_file(),
          .name = "vm1",
          .claim = GuestClaim{.release = "6.12.0", .tag = "drill", .memory = 1U << 30},
          .crash = "claim",
          .panic = "Kernel panic - not syncing",
          .log = "/var/crash/vm1.dmesg"};
}

TriageReport triage() {
  const TaskName task{.pid = 7, .tgid = 6, .comm = "sh"};
  const LockWait lock{.kind = "mutex", .address = 16, .owner = task};
  const IoWait io{.kind = "page_lock",
                  .address = 32,
                  .device = "vda",
                  .file_system = "ext4",
                  .inode = 12,
                  .block = 5};
  const RunQueue queue{.fair = 2,
                       .real_time = 1,
                       .deadline = 0,
                       .tasks = {{task, "fair", true}, {task, "real-time", false}},
                       .broken = "it ends"};
  return {
      .format = "ELF",
      .consistency = "pause",
      .capture = Capture{.method = "direct", .consistency = "pause", .guest = kGuest},
      .kernel = {.value = TriageKernel{.release = "6.12.0",
                                       .banner = "Linux version 6.12.0",
                                       .build_id = "00ff",
                                       .uptime_seconds = 2.5,
                                       .taint_mask = 1,
                                       .taints = {{'P', "proprietary"}}}},
      .panic = {.value =
                    TriagePanic{.message = "Fatal exception",
                                .kind = CrashClass::null_dereference,
                                .evidence = {"log", "stack"},
                                .cpu = 1,
                                .task = task,
                                .fault = FaultingFunction{.name = "fn",
                                                          .registers = {{"rip", 1}},
                                                          .arguments = {{"p", "void *", 2}}},
                                .signature = CrashSignature{"01", "02", "NULL dereference in fn"}}},
      .modules = {.value = {{{"ext4", "00ab", 4096, 8192, "OE", true}}}},
      .cpus = {.value = {{{.number = 1,
                           .online = true,
                           .mode = "kernel",
                           .task = task,
                           .registers = {{"rip", 1}},
                           .stack = 0,
                           .why_no_stack = "none",
                           .runnable = 2,
                           .queue = queue}}}},
      .tasks = {.value = TriageTasks{.total = 1,
                                     .by_state = {{"UN", 1}},
                                     .list = {{.name = task,
                                               .state = "UN",
                                               .on_cpu = true,
                                               .cpu = 0,
                                               .lock = lock,
                                               .io = io,
                                               .stack = 0}},
                                     .waiting = {{0, 1, {task}, lock, io}}}},
      .log = {.value = {{"a line"}}},
      .memory = {.value = TriageMemory{.zones = {{"Normal", 0, 4, 3, 2, 1}},
                                       .counters = {{"NR_SHMEM", 4096}},
                                       .slabs = {{"dentry", 8192}},
                                       .tasks = {{task, 4096}}}},
      .mounts = {.value = {{{"/dev/vda", "/", "ext4"}}}},
      .files = {.value = {{{3, "socket:", OpenSocket{"inet", "stream", "tcp", "LISTEN", "a", "b"}},
                           {4, "/etc/passwd"}}}},
      .stacks = {{.frames = {{"fn",
                              "ext4",
                              1,
                              16,
                              4097,
                              true,
                              true,
                              "irq",
                              {{"inner", "fs/a.c", 7}, {"fn", "fs/b.c", 9}},
                              {{"p", "void *", 2}}}},
                  .broken = "it ends"}},
      .remarks = kRemarks};
}

Manifest manifest() {
  return {.id = "20231114T221320Z-host1-vm1-000007",
          .number = 7,
          .time = 1'700'000'000,
          .reason = "panic",
          .witness = "event",
          .capture = {.method = "direct",
                      .consistency = "stopped",
                      .crash = "event",
                      .tag = "drill",
                      .guest = kGuest,
                      .cost = kCost},
          .signature = {"aa", "bb", "BUG: in a test"},
          .from = "/run/qmp/vm1.sock",
          .tool = "vmcorectl 1.0",
          .dump = StoredDump{.file = "vmcore",
                             .format = "kdump-compressed v6 (zstd)",
                             .release = "6.12.0",
                             .build_id = "00ff",
                             .level_asked = 31,
                             .level_reached = 23,
                             .ram_pages = 16,
                             .pages_in_file = 4,
                             .pages_excluded = 12,
                             .pages_by_class = {{"free", 12}},
                             .incomplete = true},
          .files = {{"vmcore", 4096, std::string(64, 'a')}, {"dmesg", 1, std::string(64, '0')}},
          .complete = false,
          .verified = true,
          .to_flash_us = 250'500,
          .to_dump_us = 2'000'000,
          .self_check = kSelfCheck,
          .remarks = kRemarks};
}

std::vector<CheckReport> check() {
  return {{.guest = "vm1",
           .findings = {{.id = "room",
                         .title = "for room",
                         .value = "1 GiB",
                         .numbers = {{"free_bytes", 1U << 30}}},
                        {.id = "pause",
                         .title = "for the pause",
                         .verdict = Verdict::warn,
                         .hint = "do this"}}},
          {.guest = "", .findings = {{.id = "libvirt", .title = "for libvirt"}}}};
}

// A document, and what it is after it was read: nothing where that is refused.
struct Document {
  std::string name;
  std::string text;
  std::function<Result<std::string>(std::string_view)> again;
};

template <class Report>
std::function<Result<std::string>(std::string_view)> again_by(
    Result<Report> (*from)(std::string_view)) {
  return [from](std::string_view text) {
    return from(text).map([](const Report& report) { return to_json(report); });
  };
}

Document job(const char* name, const JobEvent& event) {
  return {
      name, to_line(event), [](std::string_view text) {
        return job_event_from_line(text).map([](const JobEvent& read) { return to_line(read); });
      }};
}

std::vector<Document> documents() {
  DumpReport failed = dump();
  failed.dump = fail(Errc::no_space, "the disk is full");
  return {
      {"info", to_json(info()), again_by(info_from_json)},
      {"memory", to_json(memory()), again_by(memory_from_json)},
      {"dump", to_json(dump()), again_by(dump_from_json)},
      {"failed", to_json(failed), again_by(dump_from_json)},
      {"converted", to_json(DumpReport{.dump = dump_file()}), again_by(dump_from_json)},
      {"not_dumped",
       to_json(DumpReport{.kept = "20261129T214500Z-host1-vm1-000017", .memory = "not kept: why"}),
       again_by(dump_from_json)},
      {"receive", to_json(receive()), again_by(receive_from_json)},
      {"event",
       to_json(CrashEvent{.kind = "panicked", .time_us = 7, .guest = "vm1", .details = "{}"}),
       again_by(event_from_json)},
      {"manifest", to_json(manifest()), again_by(manifest_from_json)},
      {"flash", to_json(Manifest{.id = "1", .reason = "panic"}), again_by(manifest_from_json)},
      {"state",
       to_json(CrashState{.held = true,
                          .policy = PolicyOutcome{"reset", false, "no", "the default", 4'000}}),
       again_by(state_from_json)},
      {"triage", to_json(triage()), again_by(triage_from_json)},
      {"triage_of_nothing", to_json(TriageReport{}), again_by(triage_from_json)},
      {"check", to_json(check()), again_by(check_from_json)},
      {"fix", to_json(FixReport{.guest = "vm1", .changed = true, .diff = "+a\n", .saved = "/old"}),
       again_by(fix_from_json)},
      job("job_progress", JobProgress{.done = 3, .all = 4}),
      job("job_received", JobReceived{.bytes = 5}),
      job("job_stream", JobStream{.monitor = true}),
      job("job_log", JobLog{.path = "/var/crash/vm1.dmesg", .panic = "Kernel panic"}),
      job("job_guest", JobGuestEvent{.what = "reset", .time_us = 7, .details = "{}"}),
      job("job_memory_read", JobMemoryRead{.monitor = true}),
      job("job_flash", JobFlash{.kept = true,
                                .why = "the worker died",
                                .draft = "/store/.new-1",
                                .signature = {.exact = "e", .family = "f", .title = "t"}}),
      job("job_no_flash", JobFlash{.why = "no room"}),
      job("job_end", JobEnd{.exit_code = 3, .monitor = false, .report = "{}"})};
}

class Reports : public ::testing::TestWithParam<Document> {};

TEST_P(Reports, ComeBack) {
  const auto again = GetParam().again(GetParam().text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, GetParam().text);
}

// The values of the document that are read, however deep: bytes are told beside pages.
std::vector<Json::json_pointer> values_of(const Json& document) {
  std::vector<Json::json_pointer> pointers;
  const Json flat = document.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    if (!value.is_null() && !pointer.ends_with("/bytes")) {
      pointers.emplace_back(pointer);
    }
  }
  return pointers;
}

TEST_P(Reports, RefuseValuesOfAnotherType) {
  const Json document = Json::parse(GetParam().text);
  for (const Json::json_pointer& pointer : values_of(document)) {
    Json changed = document;
    Json& value = changed[pointer];
    value = value.is_string() ? Json(5) : Json("text");
    const auto again = GetParam().again(changed.dump());
    ASSERT_FALSE(again) << pointer;
    EXPECT_EQ(again.error().code, Errc::malformed);
  }
}

TEST_P(Reports, SurviveMissingMembers) {
  const Json document = Json::parse(GetParam().text);
  for (const Json::json_pointer& pointer : values_of(document)) {
    Json changed = document;
    Json& parent = changed[pointer.parent_pointer()];
    if (parent.is_object()) {
      parent.erase(pointer.back());
      static_cast<void>(GetParam().again(changed.dump()));
    }
  }
}

TEST_P(Reports, IgnoreMembersOfLater) {
  Json changed = Json::parse(GetParam().text);
  (changed.is_array() ? changed[0] : changed)["of_later"] = {{"any", 1}};
  const auto again = GetParam().again(changed.dump());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, GetParam().text);
}

TEST_P(Reports, OfAnotherVersionAreRefused) {
  Json changed = Json::parse(GetParam().text);
  Json& schema = (changed.is_array() ? changed[0] : changed)["schema"];
  schema = schema.get<std::string>() + "0";  // 1 becomes 10
  EXPECT_FALSE(GetParam().again(changed.dump()));
}

TEST_P(Reports, AreAscii) {
  for (const char c : GetParam().text) {
    EXPECT_TRUE((c >= ' ' && c <= '~') || c == '\n') << static_cast<int>(c);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Reports, ::testing::ValuesIn(documents()),
                         [](const auto& tested) { return tested.param.name; });

TEST(JobEvent, TheEndHasTheReportInOneLine) {
  const std::string line = to_line(JobEnd{.exit_code = 3, .report = to_json(dump())});
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto event = job_event_from_line(line);
  ASSERT_TRUE(event) << event.error().message;
  const auto& end = std::get<JobEnd>(*event);
  EXPECT_EQ(end.exit_code, 3);
  EXPECT_EQ(end.monitor, std::nullopt);
  const auto report = dump_from_json(end.report);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(to_json(*report), to_json(dump()));
}

TEST(JobEvent, OthersAreRefused) {
  EXPECT_FALSE(job_event_from_line(R"({"schema": "vmcorectl-job/1", "event": "party"})"));
  EXPECT_FALSE(job_event_from_line(""));
  EXPECT_FALSE(job_event_from_line(std::string(kMaxJobLine + 1, ' ')));
  EXPECT_FALSE(job_event_from_line(to_line(JobEnd{.report = "no JSON"})));
}

TEST(CrashEvent, TellsTheReason) {
  EXPECT_EQ(reason_of({.kind = "panicked"}), "panic");
  EXPECT_EQ(reason_of({.kind = "crash-loaded"}), "panic");
  EXPECT_EQ(reason_of({.kind = "reset-trapped"}), "panic");
  EXPECT_EQ(reason_of({.kind = "watchdog"}), "hang");
  EXPECT_EQ(reason_of({.kind = "reset"}), "reset");
}

TEST(CrashEvent, IsBounded) {
  const std::string text = to_json(CrashEvent{.details = std::string(100'000, 'a')});
  EXPECT_LT(text.size(), 20'000U);
  EXPECT_FALSE(event_from_json(""));
  EXPECT_FALSE(event_from_json(R"({"schema": "vmcorectl-event/2"})"));
}

TEST(Manifest, TakesWhatTheReportSaysWhereItDoesNotKnowIt) {
  const TriageReport report{
      .panic = {.value = TriagePanic{
                    .signature = CrashSignature{.exact = "e", .family = "f", .title = "t"}}}};
  Manifest unknown;
  describe(unknown, report);
  EXPECT_EQ(unknown.signature, (CrashSignature{.exact = "e", .family = "f", .title = "t"}));
  EXPECT_EQ(unknown.reason, "panic");
  EXPECT_EQ(unknown.witness, "memory");
  Manifest told{.reason = "hang", .witness = "event", .signature = {.exact = "before"}};
  describe(told, report);
  EXPECT_EQ(told.signature.exact, "before");
  EXPECT_EQ(told.reason, "hang");
  Manifest healthy;
  describe(healthy, TriageReport{.panic = {.why_not = "the kernel has not panicked"}});
  EXPECT_EQ(healthy.reason, "");
}

// The event of a QEMU whose clock stands at 1970.
TEST(Manifest, ATimeThatCannotBeIsLeftOut) {
  Manifest kept = manifest();
  kept.to_flash_us = 1'790'000'000'000'000;
  const auto again = manifest_from_json(to_json(kept));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->to_flash_us, std::nullopt);
  EXPECT_EQ(again->to_dump_us, kept.to_dump_us);
}

TEST(SelfCheck, PassesWhereNobodyWhoTriedFailed) {
  EXPECT_FALSE(kSelfCheck.passed());
  EXPECT_FALSE((SelfCheck{{{.outcome = "time limit"}}}.passed()));
  EXPECT_TRUE((SelfCheck{{{.outcome = "done"}, {.outcome = "not tried"}}}.passed()));
}

TEST(Manifest, IsBounded) {
  const auto refused = [](const char* pointer, const Json& value) {
    Json json = Json::parse(to_json(manifest()));
    json[Json::json_pointer(pointer)] = value;
    EXPECT_FALSE(manifest_from_json(json.dump())) << pointer << value;
  };
  for (const char* const name : {"", ".", "..", ".hidden", "/etc/passwd", "a/../../b"}) {
    refused("/files/0/name", name);
    refused("/dump/file", name);
  }
  refused("/files/0/sha256", std::string(64, 'g'));
  refused("/files/0/sha256", std::string(63, 'a'));
  refused("/files", Json(65, Json::parse(to_json(manifest()))["files"][0]));
  refused("/to_flash_ms", -1);
  refused("/to_flash_ms", 1e300);
  refused("/time", UINT64_MAX);
  refused("/dump/pages/ram", kMaxPages + 1);
  refused("/signature/title", std::string(3 * kMaxText + 1, 'x'));
}

TEST(Manifest, TakesWhatTheDumpSays) {
  Manifest begun{.time = 5, .capture = {.guest = {.name = "vm9", .uuid = "u"}}};
  InfoReport said = info();
  said.capture->guest.uuid = "";
  describe(begun, said, "vmcore");
  EXPECT_EQ(begun.capture.guest.name, "vm1");
  EXPECT_EQ(begun.capture.guest.uuid, "u");
  EXPECT_EQ(begun.reason, "panic");
  EXPECT_EQ(begun.witness, "event");
  EXPECT_FALSE(begun.complete);
  EXPECT_EQ(begun.dump->file, "vmcore");
  EXPECT_EQ(begun.dump->release, "6.12.0");
  EXPECT_EQ(begun.time, 5U);

  Manifest of_running{};
  said.capture->crash = "";
  said.kernel->panicked = false;
  describe(of_running, said, "vmcore");
  EXPECT_EQ(of_running.reason, "request");
  EXPECT_EQ(of_running.witness, "");
}

TEST(InfoReport, SaysAllThatItHas) {
  const auto again = info_from_json(to_json(info()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->capture, info().capture);
  EXPECT_EQ(again->ram, info().ram);
  EXPECT_EQ(again->pages_by_class, info().pages_by_class);
  EXPECT_EQ(again->kernel->phys_base, -4096);
  EXPECT_EQ(again->kernel->capture_kernel->size, 1U << 28);
  EXPECT_EQ(again->cpus[0].cr4, 5U);
  EXPECT_EQ(again->remarks[1].severity, Severity::fact);
}

// The event's clock said 1970, and the host's is right again: what we write, we read.
TEST(ManifestReport, ATimeThatCannotBeIsLeftOut) {
  Manifest written = manifest();
  written.to_dump_us = 56ULL * 365 * 86'400 * 1'000'000;
  const auto read = manifest_from_json(to_json(written));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->to_dump_us, std::nullopt);
  EXPECT_EQ(read->to_flash_us, manifest().to_flash_us);
}

TEST(InfoReport, IsBounded) {
  const auto refused = [](const char* pointer, const Json& value) {
    Json json = Json::parse(to_json(info()));
    json[Json::json_pointer(pointer)] = value;
    EXPECT_FALSE(info_from_json(json.dump())) << pointer;
  };
  refused("/ram", Json(kMaxRamRanges + 1, Json{{"start", "0x0"}, {"size", 1}}));
  refused("/ram/0/start", hex(kMaxPhysAddr));
  refused("/ram/0/size", kMaxPhysAddr);
  refused("/cpus", Json(kMaxCpus + 1, Json::parse(to_json(info()))["cpus"][0]));
  refused("/format", std::string(3 * kMaxText + 1, 'x'));
  refused("/kernel/page_table_levels", 6);
  refused("/level/asked", 32);
  refused("/capture/pause_ms", -1);
  refused("/capture/pause_ms", 1e300);
  refused("/pages/by_class/free", kMaxPages + 1);
}

// What is not known is no member.
TEST(InfoReport, OfNothing) {
  const Json json = Json::parse(to_json(InfoReport{.machine = "unknown"}));
  for (const char* member : {"kernel", "crash_time", "last_log_stamp", "capture"}) {
    EXPECT_FALSE(json.contains(member)) << member;
  }
  EXPECT_TRUE(info_from_json(json.dump()));
}

TEST(DumpReport, AFailureHasNoFile) {
  DumpReport report = dump();
  report.dump = fail(Errc::no_space, "the disk is full");
  const Json json = Json::parse(to_json(report));
  EXPECT_EQ(json["error"], Json({{"code", "no_space"}, {"text", "the disk is full"}}));
  EXPECT_FALSE(json.contains("file"));
  EXPECT_EQ(json["guest"]["then"]["by_hand"], "virsh reset vm1");
  const auto again = dump_from_json(json.dump());
  ASSERT_TRUE(again);
  ASSERT_FALSE(again->dump);
  EXPECT_EQ(again->dump.error().code, Errc::no_space);
}

// Members that scripts read are there, as null.
TEST(DumpReport, OfADryRun) {
  DumpReport report = dump();
  report.dump->path.clear();
  report.dump->size.reset();
  report.guest->state_after.clear();
  report.guest->cost = {};
  const Json json = Json::parse(to_json(report));
  EXPECT_TRUE(json["file"].is_null());
  EXPECT_TRUE(json["size"].is_null());
  EXPECT_TRUE(json["guest"]["state_after"].is_null());
  EXPECT_TRUE(json["guest"]["pause_ms"].is_null());
  EXPECT_TRUE(json["guest"]["host_memory"].is_null());
  EXPECT_TRUE(dump_from_json(json.dump()));
}

TEST(CheckReport, KeepsGuestsApart) {
  const auto again = check_from_json(to_json(check()));
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_EQ(again->size(), 2U);
  EXPECT_EQ((*again)[0].guest, "vm1");
  EXPECT_EQ((*again)[0].findings[1].verdict, Verdict::warn);
  EXPECT_EQ((*again)[1].guest, "");
  EXPECT_EQ((*again)[0].findings[0].numbers, check()[0].findings[0].numbers);
  EXPECT_FALSE(check_from_json(R"({"findings": []})"));
}

}  // namespace
}  // namespace vmcore::report
