// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/guest.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include <string>
#include <thread>

#include "src/base/sys.h"
#include "tests/fakes/fake_qemu.h"

namespace vmcore::acquire {
namespace {

using fakes::event;
using fakes::FakeQemu;
using qmp::Json;

// What a QEMU would say of one guest; a test changes what matters to it.
struct Script {
  std::string status = R"({"status": "running", "running": true, "singlestep": false})";
  std::string dump_status = R"({"status": "none", "completed": 0, "total": 0})";
  std::string migration = "{}";
  std::string dumped = "header and memory";
  std::string events_after =
      event("STOP", 1000) + event("DUMP_COMPLETED", 2000) + event("RESUME", 3500);
  std::string dump_error = {};
  std::uint64_t ram = 0;  // of this process, at guest-physical 0
  std::uint64_t base = 4096;
  std::string devices = "[]";
  std::string mtree = {};
  std::uint64_t lie = 0;  // what is wrong in the words that it says are there
  std::string cpus = "[]";
  std::string registers = {};  // of each
  std::string arch = "x86_64";
  std::string cr0_and_efer = {};  // of the one CPU; empty: QEMU does not tell
  bool answers_late = false;      // only when nobody reads the dump any more
};

class QmpGuestTest : public testing::Test {
 protected:
  void open(Script script, std::optional<GuestProcess> process = {}) {
    script_ = std::move(script);
    qemu_.serve({{"query-name", [](const Json&, auto&) { return R"({"name": "vm1"})"; }},
                 {"query-status", [this](const Json&, auto&) { return script_.status; }},
                 {"query-dump", [this](const Json&, auto&) { return script_.dump_status; }},
                 {"query-migrate", [this](const Json&, auto&) { return script_.migration; }},
                 {"query-memory-size-summary",
                  [this](const Json&, auto&) {
                    return fmt::format(R"({{"base-memory": {}, "plugged-memory": 8}})",
                                       script_.base);
                  }},
                 {"qom-get",
                  [](const Json& arguments, auto&) {
                    return arguments.at("property") == "type" ? R"("pc-q35-7.2-machine")" : R"("")";
                  }},
                 {"query-memory-devices", [this](const Json&, auto&) { return script_.devices; }},
                 {"query-target",
                  [this](const Json&, auto&) { return R"({"arch": ")" + script_.arch + "\"}"; }},
                 {"getfd", [](const Json&, auto&) { return "{}"; }},
                 {"closefd", [](const Json&, auto&) { return "{}"; }},
                 {"query-memdev",
                  [this](const Json&, auto&) {
                    return fmt::format(R"([{{"id": "pc.ram", "size": {}}}, {{"size": "x"}}, 7])",
                                       script_.base);
                  }},
                 {"query-cpus-fast",
                  [this](const Json&, auto&) {
                    return script_.cr0_and_efer.empty() ? script_.cpus : R"([{"cpu-index": 0}])";
                  }},
                 {"human-monitor-command",
                  [this](const Json& arguments, auto&) {
                    return for_people(arguments.at("command-line"));
                  }},
                 {"dump-guest-memory",
                  [this](const Json& arguments, auto& fds) { return dump(arguments, fds); }}});
    auto monitor = qmp::Client::open(qemu_.client_end(), {.events = QmpGuest::events()});
    ASSERT_TRUE(monitor) << monitor.error().message;
    auto guest =
        QmpGuest::make(std::make_shared<qmp::Client>(*std::move(monitor)), std::move(process));
    ASSERT_TRUE(guest) << guest.error().message;
    guest_ = *std::move(guest);
  }
  void TearDown() override { guest_.reset(); }

  std::string dump(const Json& arguments, std::vector<Fd>& fds) {
    arguments_ = arguments;
    if (!script_.dump_error.empty()) {
      return R"({"error": {"class": "GenericError", "desc": ")" + script_.dump_error + "\"}}";
    }
    const Fd target = std::move(fds.back());
    fds.clear();
    if (script_.answers_late) {
      pollfd reader{target.get(), 0, 0};
      EXPECT_EQ(::poll(&reader, 1, 10'000), 1);
    } else {
      EXPECT_TRUE(sys::write_full(target.get(), std::as_bytes(std::span(script_.dumped))));
    }
    qemu_.say(script_.events_after);
    return "{}";
  }

  std::string gpa2hva(const std::string& command) const {
    std::uint64_t address = 0;
    if (::sscanf(command.c_str(), "gpa2hva 0x%lx", &address) != 1 || script_.ram == 0) {
      return R"("No memory is mapped at address\r\n")";
    }
    return fmt::format(R"("Host virtual address for {:#x} (pc.ram) is {:#x}\r\n")", address,
                       script_.ram + address);
  }

  std::string for_people(const std::string& command) const {
    return command.starts_with("xp/")             ? words(command)
           : command.starts_with("info mtree -f") ? Json(script_.mtree).dump()
           : command == "info registers"
               ? (script_.cr0_and_efer.empty() ? Json(script_.registers).dump() : registers())
               : gpa2hva(command);
  }

  std::string words(const std::string& command) const {
    unsigned count = 0;
    std::uint64_t address = 0;
    EXPECT_EQ(::sscanf(command.c_str(), "xp/%ugx 0x%lx", &count, &address), 2);
    std::string text;
    for (unsigned i = 0; i < count; ++i, address += 8) {
      std::uint64_t word = 0;
      // NOLINTNEXTLINE(performance-no-int-to-ptr)
      std::memcpy(&word, reinterpret_cast<void*>(script_.ram + address), sizeof word);
      text += fmt::format("{}0x{:016x}{}", i % 2 == 0 ? fmt::format("{:016x}: ", address) : "",
                          word ^ script_.lie, i % 2 == 0 ? " " : "\r\n");
    }
    return Json(text).dump();
  }

  std::string registers() const {
    return script_.cr0_and_efer.empty()
               ? R"("")"
               : R"("EIP=0000fff0 ESP=00000000\r\nCS =f000 0\r\nCR3=0 CR4=0 )" +
                     script_.cr0_and_efer + R"(\r\n")";
  }

  static std::string text_of(int fd) {
    std::string text(64, '\0');
    const ssize_t got = ::read(fd, text.data(), text.size());
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

  FakeQemu qemu_;
  Script script_;
  Json arguments_;
  std::unique_ptr<QmpGuest> guest_;
};

Script standing_still() {
  Script script;
  script.status = R"({"status": "guest-panicked", "running": false})";
  script.events_after = event("DUMP_COMPLETED");
  return script;
}

TEST_F(QmpGuestTest, TellsHowTheGuestStands) {
  open({});
  EXPECT_EQ(guest_->name(), "vm1");
  EXPECT_EQ(*guest_->memory_size(), 4104U);
  EXPECT_EQ(*guest_->state(), (GuestState{"running", true}));
  EXPECT_TRUE(guest_->check_idle());
}

TEST_F(QmpGuestTest, RefusesAGuestThatIsHeld) {
  open({.dump_status = R"({"status": "active", "completed": 1, "total": 2})"});
  EXPECT_EQ(guest_->check_idle().error().code, Errc::busy);
}

TEST_F(QmpGuestTest, RefusesAMigration) {
  open({.migration = R"({"status": "postcopy-active"})"});
  const auto idle = guest_->check_idle();
  ASSERT_FALSE(idle);
  EXPECT_NE(idle.error().message.find("postcopy-active"), std::string::npos);
}

TEST_F(QmpGuestTest, RefusesAnIncomingMigration) {
  open({.status = R"({"status": "inmigrate", "running": false})"});
  EXPECT_EQ(guest_->check_idle().error().code, Errc::busy);
}

TEST_F(QmpGuestTest, RefusesAnotherArchitecture) {
  open({.arch = "aarch64"});
  const auto readable = guest_->check_readable();
  ASSERT_FALSE(readable);
  EXPECT_EQ(readable.error().code, Errc::guest_state);
  EXPECT_NE(readable.error().message.find("aarch64"), std::string::npos);
}

TEST_F(QmpGuestTest, RefusesA32BitKernel) {
  open({.cr0_and_efer = "CR0=80050033 EFER=0000000000000000"});
  const auto readable = guest_->check_readable();
  ASSERT_FALSE(readable);
  EXPECT_EQ(readable.error().code, Errc::guest_state);
  EXPECT_NE(readable.error().message.find("32-bit kernel"), std::string::npos);
}

TEST_F(QmpGuestTest, TakesAGuestThatPagesInLongMode) {
  open({.cr0_and_efer = "CR0=80050033 EFER=0000000000000d01"});
  EXPECT_TRUE(guest_->check_readable());
}

TEST_F(QmpGuestTest, TakesAGuestThatRunsNoKernelYet) {
  open({.arch = "i386", .cr0_and_efer = "CR0=60000010 EFER=0000000000000000"});
  EXPECT_TRUE(guest_->check_readable());
}

TEST_F(QmpGuestTest, TakesAGuestWhoseRegistersAreNotTold) {
  open({});
  EXPECT_TRUE(guest_->check_readable());
}

// The dump goes on, and holds the guest, though QEMU has not answered.
TEST_F(QmpGuestTest, LetsGoWhereQemuDoesNotAnswerInTime) {
  open({.answers_late = true});
  const auto acquired = guest_->acquire({"running", true}, {.until = Patience::Clock::now()});
  EXPECT_FALSE(acquired);
}

TEST_F(QmpGuestTest, RefusesNonsense) {
  open({.status = R"({"status": 7})"});
  EXPECT_EQ(guest_->state().error().code, Errc::malformed);
}

TEST_F(QmpGuestTest, StreamsARunningGuest) {
  open({});
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_TRUE(std::holds_alternative<sandbox::StreamInput>(acquired->input));
  EXPECT_EQ(text_of(acquired->source.get()), script_.dumped);
  EXPECT_EQ(text_of(acquired->source.get()), "");  // nobody else holds the other end
  EXPECT_EQ(arguments_.at("detach"), true);
  const auto pause = acquired->lease->end();
  ASSERT_TRUE(pause) << pause.error().message;
  EXPECT_EQ(pause->count(), 2500);
}

TEST_F(QmpGuestTest, DoesNotWaitForAGuestThatSomebodyStoppedBefore) {
  Script script;
  script.status = R"({"status": "paused", "running": false})";
  script.events_after = event("DUMP_COMPLETED", 2000);
  open(script);
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  const auto pause = acquired->lease->end();
  ASSERT_TRUE(pause) << pause.error().message;
  EXPECT_EQ(pause->count(), 0);
}

TEST_F(QmpGuestTest, SaysWhyADumpFailed) {
  Script script;
  script.events_after =
      event("STOP") + event("DUMP_COMPLETED", 0, R"({"error": "Broken pipe"})") + event("RESUME");
  open(script);
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired);
  const auto pause = acquired->lease->end();
  ASSERT_FALSE(pause);
  EXPECT_NE(pause.error().message.find("Broken pipe"), std::string::npos);
}

TEST_F(QmpGuestTest, PassesOnThatQemuRefuses) {
  open({.dump_error = "no"});
  const auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_FALSE(acquired);
  EXPECT_EQ(acquired.error().message, "dump-guest-memory: no");
}

// QEMU's own text is then of a "migration blocker".
TEST_F(QmpGuestTest, SaysThatAMigrationBeganBeforeTheDump) {
  open({.migration = R"({"status": "active"})", .dump_error = "no"});
  const auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_FALSE(acquired);
  EXPECT_EQ(acquired.error().code, Errc::busy);
  EXPECT_NE(acquired.error().message.find("a migration"), std::string::npos);
}

TEST_F(QmpGuestTest, NoticesThatQemuDies) {
  Script script;
  script.events_after = event("STOP");
  open(script);
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired);
  qemu_.hang_up();
  const auto pause = acquired->lease->end();
  ASSERT_FALSE(pause);
  EXPECT_EQ(pause.error().code, Errc::not_found);
}

TEST_F(QmpGuestTest, TakesTheHeaderOfAGuestThatStandsStill) {
  open(standing_still());
  EXPECT_FALSE(guest_->needs_spool({"guest-panicked", false}));
  auto acquired = guest_->acquire({"guest-panicked", false}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_TRUE(std::holds_alternative<sandbox::FetchedInput>(acquired->input));
  EXPECT_EQ(acquired->lease, nullptr);
  ASSERT_EQ(::lseek(acquired->source.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(text_of(acquired->source.get()), script_.dumped);
}

TEST_F(QmpGuestTest, FetchesRanges) {
  open(standing_still());
  ASSERT_TRUE(guest_->acquire({"guest-panicked", false}, {}));
  const auto range = guest_->fetch({{0x10000}, 0x2000});
  ASSERT_TRUE(range) << range.error().message;
  EXPECT_EQ(arguments_.at("begin"), 0x10000);
  EXPECT_EQ(arguments_.at("length"), 0x2000);
  EXPECT_FALSE(arguments_.contains("detach"));
}

class DirectTest : public QmpGuestTest {
 protected:
  static constexpr std::size_t kSize = 1 << 20;
  DirectTest()
      : ram_(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~DirectTest() override { ::munmap(ram_, kSize); }

  void open_direct(Script script) {
    auto process = GuestProcess::open(::getpid());
    ASSERT_TRUE(process) << process.error().message;
    script.ram = reinterpret_cast<std::uint64_t>(ram_);
    open(std::move(script), *std::move(process));
  }

  void* ram_;
};

TEST_F(DirectTest, HoldsTheGuestByADumpThatIsCutShort) {
  Script script;
  script.events_after = event("STOP", 1000) +
                        event("DUMP_COMPLETED", 2000, R"({"error": "Broken pipe"})") +
                        event("RESUME", 3500);
  open_direct(script);
  EXPECT_FALSE(guest_->needs_spool({"running", true}));
  auto acquired = guest_->acquire({"running", true}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_TRUE(std::holds_alternative<sandbox::ProcessInput>(acquired->input));
  const auto pause = acquired->lease->end();
  ASSERT_TRUE(pause) << pause.error().message;
  EXPECT_EQ(pause->count(), 2500);
}

TEST_F(DirectTest, HoldsAGuestThatStandsStillAsWell) {
  open_direct(standing_still());
  auto acquired = guest_->acquire({"guest-panicked", false}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_TRUE(std::holds_alternative<sandbox::ProcessInput>(acquired->input));
  EXPECT_EQ(acquired->lease->end()->count(), 0);  // does not wait for it to run
}

TEST_F(DirectTest, NoticesThatSomebodyResetAGuestThatStandsStill) {
  Script script = standing_still();
  script.events_after = event("RESET", 1000) + event("DUMP_COMPLETED", 2000);
  open_direct(script);
  auto acquired = guest_->acquire({"guest-panicked", false}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  const auto end = acquired->lease->end();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, Errc::guest_state);
}

TEST_F(DirectTest, WhatIsDoneToAGuestAfterItsDumpIsNoMatter) {
  Script script = standing_still();
  script.events_after =
      event("DUMP_COMPLETED", 2000) + event("RESET", 3000) + event("RESUME", 3000);
  open_direct(script);
  auto acquired = guest_->acquire({"guest-panicked", false}, {});
  ASSERT_TRUE(acquired) << acquired.error().message;
  EXPECT_TRUE(acquired->lease->end());
}

TEST_F(DirectTest, TellsWhereBlocksLie) {
  open_direct({});
  const std::vector<PhysRange> blocks{{{0}, 0x1000}, {{0x2000}, 0x3000}};
  const auto source = guest_->locate(blocks);
  ASSERT_TRUE(source) << source.error().message;
  ASSERT_EQ(source->pieces.size(), 2U);
  EXPECT_EQ(source->pieces[1].range, blocks[1]);
  EXPECT_EQ(source->pieces[1].address, reinterpret_cast<std::uint64_t>(ram_) + 0x2000);
}

// Whoever serves the monitor may name any process; it does not know what that has in its memory.
TEST_F(DirectTest, RefusesAProcessThatHasSomethingElse) {
  std::memset(ram_, 0x55, kSize);
  open_direct({});
  const PhysRange block{{0}, kSize};
  EXPECT_TRUE(guest_->locate({&block, 1}));
  script_.lie = 1;
  EXPECT_TRUE(guest_->locate({&block, 1}));  // that was proven
  script_.ram += 0x1000;
  const PhysRange moved{{0}, kSize - 0x1000};
  const auto source = guest_->locate({&moved, 1});
  ASSERT_FALSE(source);
  EXPECT_EQ(source.error().code, Errc::unsupported);
  EXPECT_NE(source.error().message.find("does not run the guest"), std::string::npos);
}

// Address space alone: nothing of it is touched.
class LookTest : public DirectTest {
 protected:
  LookTest()
      : space_(::mmap(nullptr, kSpace, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  ~LookTest() override { ::munmap(space_, kSpace); }

  void SetUp() override {
    open_direct({.base = 64U << 20, .mtree = kMap});
    script_.ram = reinterpret_cast<std::uint64_t>(space_);
  }
  Result<ImageSource> look(std::string devices) {
    script_.devices = std::move(devices);
    return guest_->look();
  }

  static constexpr std::size_t kSpace = 5ULL << 30;
  static constexpr const char* kMap =
      "FlatView #0\r\n"
      " AS \"memory\", root: system\r\n"
      "  0000000000000000-00000000000bffff (prio 0, ram): pc.ram\r\n"
      "  00000000000c0000-00000000000fffff (prio 0, rom): pc.bios\r\n"
      "  0000000000100000-0000000003ffffff (prio 0, ram): pc.ram @0000000000100000\r\n"
      "  00000000fd000000-00000000fdffffff (prio 1, ram): vga.vram\r\n"
      "  0000000100000000-0000000107ffffff (prio 0, ram): a\r\n"
      "  0000000108000000-000000010fffffff (prio 0, ram): b\r\n"
      "  0000000118000000-0000000127ffffff (prio 0, ram): vm\r\n"
      "  000000012c000000-000000013bffffff (prio 0, ram): pmem\r\n";
  void* space_;
};

TEST_F(LookTest, SeesRamAndWhatIsPluggedIn) {
  const auto source = look(
      R"([{"type": "dimm", "data": {"addr": 4429185024, "size": 134217728, "id": "b"}},
          {"type": "virtio-mem", "data": {"memaddr": 4697620480, "size": 2097152, "max-size": 268435456}},
          {"type": "virtio-mem", "data": {"memaddr": 5033164800, "size": 0, "max-size": 268435456}},
          {"type": "virtio-pmem", "data": {"memaddr": 5033164800, "size": 268435456}},
          {"type": "dimm", "data": {"addr": 4294967296, "size": 134217728, "id": "a"}}])");
  ASSERT_TRUE(source) << source.error().message;
  std::vector<PhysRange> ranges;
  for (const Piece& piece : source->pieces) {
    ranges.push_back(piece.range);
  }
  EXPECT_EQ(ranges, (std::vector<PhysRange>{{{0}, 0xa'0000},
                                            {{0x10'0000}, 63 << 20},
                                            {{0x1'0000'0000}, 128 << 20},
                                            {{0x1'0800'0000}, 128 << 20},
                                            {{0x1'1800'0000}, 256 << 20}}));
}

TEST_F(LookTest, TellsRegisters) {
  script_.cpus = R"([{"cpu-index": 0}, {"cpu-index": 1}])";
  script_.registers =
      "RSP=ffffc90000073ed8\r\nRIP=ffffffff81a2b4ae RFL=00000246 HLT=1\r\n"
      "CS =0010 0000000000000000 ffffffff 00af9b00\r\n"
      "CR0=80050033 CR2=0 CR3=000000000260a000 CR4=000006e0\r\n";
  const auto source = look("[]");
  ASSERT_TRUE(source) << source.error().message;
  ASSERT_EQ(source->cpus.size(), 2U);
  EXPECT_EQ(source->cpus[1].cr3, 0x260a000U);
}

// Its memory is seen all the same.
TEST_F(LookTest, RegistersThatCannotBeHadAreMissing) {
  script_.cpus = R"([{"cpu-index": 0}])";
  script_.registers = "what is this?";
  const auto source = look("[]");
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE(source->cpus.empty());
}

TEST_F(LookTest, PluggedMemoryThatCannotBe) {
  for (const char* data :
       {R"({"memaddr": 4294967296, "size": 1, "max-size": 0})", R"({"size": 1, "max-size": 1})",
        R"({"memaddr": 4294967296, "size": 1, "max-size": 18446744073709551615})", "{}"}) {
    const auto source = look(fmt::format(R"([{{"type": "virtio-mem", "data": {}}}])", data));
    ASSERT_FALSE(source) << data;
    EXPECT_EQ(source.error().code, Errc::malformed);
  }
}

TEST_F(LookTest, DimmsThatCannotBe) {
  for (const char* data :
       {R"({"addr": 4294967296, "size": 0})", R"({"addr": 70368744177664, "size": 4096})",
        R"({"addr": 4294967296, "size": 18446744073709551615})", R"({"addr": "x", "size": 4096})",
        "{}", "7"}) {
    const auto source = look(fmt::format(R"([{{"type": "dimm", "data": {}}}])", data));
    ASSERT_FALSE(source) << data;
    EXPECT_EQ(source.error().code, Errc::malformed);
  }
}

TEST_F(LookTest, WhatIsNoListOfDevices) {
  for (const char* devices :
       {"7", "[7, null, {}]", R"({"type": "dimm"})", R"([{"type": "dimm"}])"}) {
    const auto source = look(devices);
    ASSERT_TRUE(source) << devices << ": " << source.error().message;
    EXPECT_EQ(source->pieces.size(), 2U);
  }
}

TEST_F(QmpGuestTest, WithoutAProcessNothingIsLocated) {
  open({});
  const PhysRange block{{0}, 0x1000};
  EXPECT_EQ(guest_->locate({&block, 1}).error().code, Errc::unsupported);
  EXPECT_EQ(guest_->look().error().code, Errc::unsupported);
}

TEST_F(DirectTest, RefusesWhatQemuDoesNotKnow) {
  Script script;
  open_direct(script);
  script_.ram = 0;
  const PhysRange block{{0}, 0x1000};
  EXPECT_EQ(guest_->locate({&block, 1}).error().code, Errc::unsupported);
}

TEST_F(QmpGuestTest, NoticesThatSomebodyResumedTheGuest) {
  Script script = standing_still();
  script.events_after += event("RESUME");
  open(script);
  const auto acquired = guest_->acquire({"guest-panicked", false}, {});
  ASSERT_FALSE(acquired);
  EXPECT_EQ(acquired.error().code, Errc::guest_state);
}

}  // namespace
}  // namespace vmcore::acquire
