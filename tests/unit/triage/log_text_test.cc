// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/log_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/builders/log_texts.h"

namespace vmcore::triage {
namespace {

using report::CrashClass;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::log_sample;
using ::testing::Optional;

LogText read(std::string_view name) { return read_log_text(log_sample(name)); }

std::vector<std::string> functions(const LogReport& report) {
  std::vector<std::string> names;
  for (const LogFrame& frame : report.frames) {
    names.push_back((frame.reliable ? "" : "? ") + frame.function);
  }
  return names;
}

std::string value_of(const LogReport& report, std::string_view name) {
  const auto found = std::ranges::find(report.registers, name, &LogRegister::name);
  return found == report.registers.end() ? "" : found->value;
}

std::string with_prefix(std::string_view text, std::string_view prefix) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    out += std::string(prefix) + std::string(text.substr(0, end)) + "\r\n";
    text.remove_prefix(end + 1);
  }
  return out;
}

struct Expected {
  std::string_view sample;
  CrashClass crash;
  std::string_view title;
  std::string_view panic;
  std::optional<std::uint32_t> cpu;
  std::string_view comm;
  bool weak = false;
};

constexpr Expected kExpected[] = {
    {"null", CrashClass::null_dereference, "NULL dereference in write_to_null [crasher]",
     "Fatal exception", 1, "insmod"},
    {"protection", CrashClass::protection_fault, "Protection fault in release_thing [thing]", "", 0,
     "kworker/0:1"},
    {"divide", CrashClass::divide_error, "Divide error in average", "", 0, "a b"},
    {"bug", CrashClass::bug, "BUG in ext4_writepages [ext4]", "", 0, "touch"},
    {"warning", CrashClass::warning, "WARNING in dev_open [net_x]", "kernel: panic_on_warn set ...",
     3, "ip"},
    {"new_warning", CrashClass::warning, "WARNING in dev_open [net_x]", "", 3, "ip"},
    {"kasan", CrashClass::sanitizer, "Sanitizer report in foo_work [foo]",
     "KASAN: panic_on_warn set ...", 1, "kworker/1:0"},
    {"overflow", CrashClass::stack_overflow, "Stack overflow in fill_stack [crasher]",
     "Fatal exception in interrupt", 1, "insmod"},
    {"old_overflow", CrashClass::stack_overflow, "Stack overflow in fill_stack [crasher]", "", 1,
     "insmod"},
    {"double_fault", CrashClass::double_fault, "Double fault in switch_stacks",
     "Fatal exception in interrupt", 1, "x"},
    {"hung",
     CrashClass::hung_task,
     "Hung task in hang_for_ever [crasher]",
     "hung_task: blocked tasks",
     {},
     "my:task"},
    {"soft_lockup", CrashClass::soft_lockup, "Soft lockup in spin_for_ever [crasher]",
     "softlockup: hung tasks", 1, "insmod"},
    {"hard_lockup", CrashClass::hard_lockup, "Hard lockup in spin_for_ever [crasher]",
     "Hard LOCKUP", 1, "insmod"},
    {"rcu", CrashClass::rcu_stall, "RCU stall in spin_for_ever [crasher]", "RCU Stall", 0,
     "insmod"},
    {"oom", CrashClass::out_of_memory, "Out of memory",
     "Out of memory: compulsory panic_on_oom is enabled", 0, "dd"},
    {"machine_check",
     CrashClass::machine_check,
     "Machine check",
     "Fatal local machine check",
     {},
     ""},
    {"nmi", CrashClass::nmi, "NMI", "NMI: Not continuing", 0, "swapper/0"},
    {"sysrq", CrashClass::sysrq, "SysRq crash", "sysrq triggered crash", 0, "sh"},
    {"init_killed", CrashClass::init_killed, "init was killed",
     "Attempted to kill init! exitcode=0x00000300", 0, "sh"},
    {"no_init",
     CrashClass::no_init,
     "No init",
     "No working init found.  Try passing init= option to kernel. See Linux "
     "Documentation/admin-guide/init.rst for guidance.",
     {},
     ""},
    {"no_root",
     CrashClass::no_root,
     "No root file system",
     "VFS: Unable to mount root fs on unknown-block(0,0)",
     {},
     ""},
    {"stack_protector",
     CrashClass::stack_corruption,
     "Corrupt stack",
     "stack-protector: Kernel stack is corrupted in: parse_name+0x1f/0x30",
     {},
     "",
     true},
    {"arm64", CrashClass::null_dereference, "NULL dereference in foo_write [foo]",
     "Oops: Fatal exception", 2, "kworker/2:1"},
    {"arm64_overflow", CrashClass::stack_overflow, "Stack overflow in recurse",
     "kernel stack overflow", 2, "sh"},
    {"riscv", CrashClass::paging_request, "Bad address in foo_write", "Fatal exception", 1, "sh"},
    {"s390x", CrashClass::paging_request, "Bad address in foo_write [foo]",
     "Fatal exception: panic_on_oops", 0, "sh"},
    {"powerpc", CrashClass::null_dereference, "NULL dereference in foo_write", "Fatal exception", 4,
     "sh"},
    {"loongarch", CrashClass::paging_request, "Bad address in foo_write", "", 0, "sh"},
};

TEST(LogTextTest, ClassesOfAllArchitectures) {
  for (const Expected& expected : kExpected) {
    SCOPED_TRACE(expected.sample);
    const LogText log = read(expected.sample);
    ASSERT_TRUE(log.crash);
    const LogReport& report = log.crash->report;
    EXPECT_EQ(crash_class_name(report.crash), crash_class_name(expected.crash));
    EXPECT_EQ(signature_of(report).title, expected.title);
    EXPECT_EQ(log.crash->panic, expected.panic);
    EXPECT_EQ(report.cpu, expected.cpu);
    EXPECT_EQ(report.comm, expected.comm);
    EXPECT_EQ(signature_of(report).weak, expected.weak);
  }
  EXPECT_EQ(std::size(kExpected), std::size(testing::kLogSamples));
}

TEST(LogTextTest, DetailsOfAnOops) {
  const LogText log = read("null");
  const LogReport& report = log.crash->report;
  EXPECT_EQ(log.release, "6.1.0-18-amd64");
  EXPECT_EQ(report.sentence, "BUG: kernel NULL pointer dereference, address: 0000000000000010");
  EXPECT_TRUE(report.oops);
  EXPECT_FALSE(report.cut);
  EXPECT_THAT(report.pid, Optional(89U));
  EXPECT_EQ(report.taint, "GOE");
  EXPECT_EQ(report.release, "6.1.0-18-amd64");
  EXPECT_EQ(report.version, "#1  Debian 6.1.76-1");
  EXPECT_EQ(report.hardware, "QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2 04/01/2014");
  EXPECT_EQ(report.fault, (LogFrame{"write_to_null", 0x5, 0x20, "crasher"}));
  EXPECT_THAT(functions(report), ElementsAre("? __die_body.cold", "crasher_init", "? ",
                                             "do_one_initcall", "entry_SYSCALL_64_after_hwframe"));
  EXPECT_THAT(report.modules, ElementsAre("crasher", "virtio_blk"));
  EXPECT_EQ(value_of(report, "RSP"), "0018:ffffb1c0003dbb48");
  EXPECT_EQ(value_of(report, "RBX"), "00000000000000aa") << "not user mode's";
  EXPECT_EQ(value_of(report, "GS"), "ffff8c2a1f400000(0000)");
  EXPECT_EQ(value_of(report, "CR2"), "0000000000000010");
}

TEST(LogTextTest, StacksAreNamed) {
  const LogText log = read("nmi");
  ASSERT_EQ(functions(log.crash->report).size(), 6U);
  EXPECT_EQ(log.crash->report.frames[0].stack, "NMI");
  EXPECT_EQ(log.crash->report.frames[4].function, "native_safe_halt");
  EXPECT_EQ(log.crash->report.frames[5].stack, "");
}

TEST(LogTextTest, FramesThatMayBeWrong) {
  EXPECT_THAT(functions(read("s390x").crash->report),
              ElementsAre("foo_write", "? do_something", "vfs_write"));
  EXPECT_THAT(functions(read("powerpc").crash->report), ElementsAre("? handle_it", "vfs_write"));
}

TEST(LogTextTest, RegistersOfOtherArchitectures) {
  EXPECT_EQ(value_of(read("arm64").crash->report, "x27"), "ffff0000c0a1b2c4");
  EXPECT_EQ(value_of(read("arm64").crash->report, "x0"), "0000000000000000");
  EXPECT_EQ(value_of(read("riscv").crash->report, "tp"), "ff60000001ad0000");
  EXPECT_EQ(value_of(read("powerpc").crash->report, "GPR03"), "0000000000000063");
}

TEST(LogTextTest, PrefixesOfConsolesAndLoggers) {
  const LogReport plain = read("null").crash->report;
  for (const std::string_view prefix :
       {"<4>", "Nov 29 12:00:00 host kernel: ", "2026-11-29T12:00:00.123456+00:00 host kernel: ",
        "\x1b[0m", "4,1234,567890,-,caller=T89;", "6.4.0,4,1234,567890,-;", "\r"}) {
    SCOPED_TRACE(prefix);
    const LogText log = read_log_text(with_prefix(log_sample("null"), prefix));
    ASSERT_TRUE(log.crash);
    EXPECT_EQ(log.crash->report.frames, plain.frames);
    EXPECT_EQ(log.crash->report.registers, plain.registers);
    EXPECT_EQ(log.crash->report.comm, plain.comm);
  }
}

TEST(LogTextTest, LogsWithoutTimes) {
  std::string text;
  for (std::string_view rest = log_sample("null"); !rest.empty();) {
    text += std::string(rest.substr(15, rest.find('\n') - 14));
    rest.remove_prefix(rest.find('\n') + 1);
  }
  EXPECT_EQ(read_log_text(text).crash->report.frames, read("null").crash->report.frames);
}

TEST(LogTextTest, LinesOfOtherCallersAreLeftOut) {
  const LogText log = read_log_text(
      "[    1.000000][   T89] divide error: 0000 [#1] SMP\n"
      "[    1.000001][   T89] CPU: 0 PID: 89 Comm: a Not tainted 6.1.0 #1\n"
      "[    1.000002][   T89] RIP: 0010:foo+0x1/0x2\n"
      "[    1.000003][   T89] Call Trace:\n"
      "[    1.000004][   T90]  other+0x1/0x2\n"
      "[    1.000005][    C1]  another+0x1/0x2\n"
      "[    1.000006][   T89]  bar+0x1/0x2\n");
  EXPECT_THAT(functions(log.crash->report), ElementsAre("bar"));
}

TEST(LogTextTest, TheFirstReportIsNoted) {
  const std::string text = std::string(log_sample("new_warning")) +
                           std::string(log_sample("divide")) + std::string(log_sample("sysrq"));
  const LogText log = read_log_text(text);
  EXPECT_EQ(log.crash->report.crash, CrashClass::sysrq);
  EXPECT_EQ(log.crash->earlier, 2U);
  ASSERT_TRUE(log.crash->first);
  EXPECT_EQ(log.crash->first->crash, CrashClass::warning);
}

TEST(LogTextTest, WhatFollowsAPanicIsNotTheCrash) {
  const std::string text = std::string(log_sample("sysrq")) + std::string(log_sample("divide"));
  EXPECT_EQ(read_log_text(text).crash->report.crash, CrashClass::sysrq);
}

TEST(LogTextTest, TheLastCrashOfSeveralBoots) {
  const std::string boot = "[    0.000000] Linux version 6.1.0-next (x) #1\n";
  const std::string text = boot + std::string(log_sample("divide")) + boot +
                           std::string(log_sample("bug")) + boot + "[    1.000000] all is well\n" +
                           std::string(log_sample("new_warning"));
  const LogText log = read_log_text(text);
  EXPECT_EQ(log.crash->report.crash, CrashClass::bug);
  EXPECT_EQ(log.boots, 3U);
  EXPECT_TRUE(log.rebooted);
  EXPECT_FALSE(log.crash->first);
  EXPECT_FALSE(read("null").rebooted);
}

TEST(LogTextTest, AWarningAloneIsWhatThereIs) {
  const LogText log = read("new_warning");
  EXPECT_EQ(log.crash->panic, "");
  EXPECT_FALSE(log.crash->report.oops);
}

TEST(LogTextTest, WhatLedToAPanicIsNoEarlierReport) {
  for (const char* name : {"null", "nmi", "machine_check", "oom", "hung", "warning"}) {
    EXPECT_FALSE(read(name).crash->first) << name;
  }
}

TEST(LogTextTest, APanicWhoseReasonIsMissingIsCut) {
  const LogText log = read_log_text("[    1.000000] Kernel panic - not syncing: Fatal exception\n");
  EXPECT_EQ(log.crash->report.crash, CrashClass::oops);
  EXPECT_TRUE(log.crash->report.cut);
  EXPECT_TRUE(signature_of(log.crash->report).weak);
}

TEST(LogTextTest, CutTextsAreFlagged) {
  const std::string_view text = log_sample("soft_lockup");
  const LogText log = read_log_text(text.substr(0, text.find(" </TASK>")));
  EXPECT_TRUE(log.crash->report.cut);
  EXPECT_TRUE(signature_of(log.crash->report).weak);
  EXPECT_FALSE(read("soft_lockup").crash->report.cut);
}

TEST(LogTextTest, DamagedFramesAreLeftOut) {
  const LogText log = read_log_text(
      "[    1.000000] divide error: 0000 [#1] SMP\n"
      "[    1.000001] Call Trace:\n"
      "[    1.000002]  good+0x1/0x20 [mod]\n"
      "[    1.000003]  bad+0x1/0x2 of another line\n"
      "[    1.000004]  bad+0x1\n"
      "[    1.000005]  bad+0x30/0x20\n"
      "[    1.000006]  b\x01"
      "d+0x1/0x20\n"
      "[    1.000007]  bad+0x1/0x20 [mo\n"
      "[    1.000008]  fine+0x1/0x20 [mod 0123456789abcdef0123456789abcdef01234567]\n");
  EXPECT_THAT(functions(log.crash->report), ElementsAre("good", "fine"));
  EXPECT_EQ(log.crash->report.frames[1].module, "mod");
}

TEST(LogTextTest, NamesOfTasksMaySayAnything) {
  const LogText log = read_log_text(
      "[    1.000000] divide error: 0000 [#1] SMP\n"
      "[    1.000001] CPU: 0 PID: 9 Comm: x Not tainted y Tainted: G        W          6.1.0 #1\n");
  EXPECT_EQ(log.crash->report.comm, "x Not tainted y");
  EXPECT_EQ(log.crash->report.taint, "GW");
  EXPECT_EQ(log.crash->report.release, "6.1.0");
}

TEST(LogTextTest, NoCrash) {
  EXPECT_FALSE(read_log_text("").crash);
  EXPECT_FALSE(read_log_text("\n\n\r\n").crash);
  const LogText log = read_log_text("[    0.000000] Linux version 6.1.0 (x) #1\nlogin: ");
  EXPECT_FALSE(log.crash);
  EXPECT_EQ(log.release, "6.1.0");
}

TEST(LogTextTest, PiecesMakeTheSame) {
  for (const testing::LogSample& sample : testing::kLogSamples) {
    SCOPED_TRACE(sample.name);
    LogReader reader;
    for (std::size_t at = 0; at < sample.text.size(); at += 7) {
      reader.add(sample.text.substr(at, 7));
    }
    const LogText log = reader.finish();
    EXPECT_EQ(log.crash->report.frames, read(sample.name).crash->report.frames);
  }
}

// Hostile texts end in bounded memory.
TEST(LogTextTest, EachEndOfATextIsRead) {
  for (const testing::LogSample& sample : testing::kLogSamples) {
    for (std::size_t size = 0; size < sample.text.size(); size += 3) {
      static_cast<void>(read_log_text(sample.text.substr(0, size)));
      static_cast<void>(read_log_text(sample.text.substr(size)));
    }
  }
}

TEST(LogTextTest, WhatIsKeptIsBounded) {
  std::string text = "divide error: 0000 [#1] SMP\nModules linked in:";
  for (int i = 0; i < 5000; ++i) {
    text += " module_name";
  }
  text += "\nRAX: 0000000000000000" + std::string(9000, 'x') + "\n";
  for (int i = 0; i < 5000; ++i) {
    text += "RAX: 0000000000000000\n";
  }
  text += "Call Trace:\n";
  for (int i = 0; i < 5000; ++i) {
    text += " foo+0x1/0x2\n";
  }
  const LogReport report = read_log_text(text).crash->report;
  EXPECT_LE(report.modules.size(), 1024U);
  EXPECT_LE(report.registers.size(), 128U);
  EXPECT_LE(report.frames.size(), 512U);
}

TEST(LogTextTest, ManyReports) {
  LogReader reader;
  for (int i = 0; i < 5000; ++i) {
    reader.add(log_sample("new_warning"));
  }
  reader.add(log_sample("sysrq"));
  const LogText log = reader.finish();
  EXPECT_EQ(log.crash->report.crash, CrashClass::sysrq);
  EXPECT_EQ(log.crash->earlier, 5000U);
}

}  // namespace
}  // namespace vmcore::triage
