// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/signature.h"

#include <gtest/gtest.h>

#include <vector>

#include "src/triage/never_guilty.h"

namespace vmcore::triage {
namespace {

using report::CrashClass;
using report::CrashSignature;

// As a log has them.
const std::vector<NamedFrame> kWrite = {{"write_to_null", 0x5, "crasher"},
                                        {"crasher_init", 0x40, "crasher"},
                                        {"do_one_initcall", 0x56},
                                        {"do_init_module", 0x4a},
                                        {"__do_sys_finit_module", 0xac},
                                        {"do_syscall_64", 0x55},
                                        {"entry_SYSCALL_64_after_hwframe", 0x6e}};

CrashSignature of(const std::vector<NamedFrame>& frames,
                  CrashClass crash = CrashClass::null_dereference,
                  std::string_view build_id = "ab12") {
  return signature_of(crash, frames, true, build_id);
}

std::vector<NamedFrame> changed(std::size_t index, NamedFrame frame) {
  std::vector<NamedFrame> frames = kWrite;
  frames[index] = std::move(frame);
  return frames;
}

TEST(SignatureTest, TitleNamesTheGuiltyFunction) {
  EXPECT_EQ(of(kWrite).title, "NULL dereference in write_to_null [crasher]");
  EXPECT_FALSE(of(kWrite).weak);
  EXPECT_EQ(of(kWrite).exact.size(), 16U);
  EXPECT_EQ(of(kWrite).family.size(), 16U);
}

TEST(SignatureTest, HashesAreStable) {
  EXPECT_EQ(of({{"foo", 1}}).exact, "779520407a8ded98");
  EXPECT_EQ(of({{"foo", 1}}).family, "97d02da8fa5ebf39");
}

TEST(SignatureTest, AnotherBuildIsOfTheFamily) {
  const CrashSignature other = of(changed(0, {"write_to_null.isra.0", 0x9, "crasher"}),
                                  CrashClass::null_dereference, "cd34");
  EXPECT_EQ(other.family, of(kWrite).family);
  EXPECT_NE(other.exact, of(kWrite).exact);
}

// The same timer ran when an interrupt ended, and in a thread.
TEST(SignatureTest, WhereASoftirqRanIsNoMatter) {
  const std::vector<NamedFrame> run = {{"panic_in_timer", 0x11, "crasher"},
                                       {"call_timer_fn", 0x27},
                                       {"run_timer_softirq", 0x19},
                                       {"handle_softirqs", 0xd7}};
  std::vector<NamedFrame> interrupt = run, thread = run;
  interrupt.insert(interrupt.end(), {{"__irq_exit_rcu", 0x8d},
                                     {"sysvec_apic_timer_interrupt", 0x71},
                                     {"asm_sysvec_apic_timer_interrupt", 0x1a},
                                     {"queue_work_on", 0x37}});
  thread.insert(thread.end(), {{"run_ksoftirqd", 0x2d},
                               {"smpboot_thread_fn", 0xd8},
                               {"kthread", 0xda},
                               {"ret_from_fork", 0x22}});
  EXPECT_EQ(of(interrupt, CrashClass::panic).family, of(thread, CrashClass::panic).family);
}

TEST(SignatureTest, OuterFramesOfAnotherVersionAreOfTheFamily) {
  std::vector<NamedFrame> frames = kWrite;
  frames.insert(frames.begin() + 5, {"x64_sys_call", 0x100});
  frames[4] = {"init_module_from_file", 0x89};
  EXPECT_EQ(of(frames).family, of(kWrite).family);
}

TEST(SignatureTest, HowTheKernelToldOfTheCrashDoesNotMatter) {
  std::vector<NamedFrame> frames = {{"crash_kexec", 0x40},
                                    {"oops_end", 0x9a},
                                    {"page_fault_oops", 0x170},
                                    {"exc_page_fault", 0x68},
                                    {"asm_exc_page_fault", 0x22}};
  frames.insert(frames.end(), kWrite.begin(), kWrite.end());
  EXPECT_EQ(of(frames).family, of(kWrite).family);
  EXPECT_EQ(of(frames).exact, of(kWrite).exact);
}

TEST(SignatureTest, OtherCrashesHaveOthers) {
  EXPECT_NE(of(kWrite, CrashClass::bug).family, of(kWrite).family);
  EXPECT_NE(of(changed(0, {"read_null", 0x5, "crasher"})).family, of(kWrite).family);
  EXPECT_NE(of(changed(0, {"write_to_null", 0x5, "other"})).family, of(kWrite).family);
  EXPECT_NE(of(changed(0, {"write_to_null", 0x7, "crasher"})).exact, of(kWrite).exact);
}

TEST(SignatureTest, TheDepthOfARecursionDoesNotMatter) {
  EXPECT_EQ(of({{"foo", 1}, {"foo", 2}, {"foo", 2}, {"bar", 1}}).family,
            of({{"foo", 1}, {"bar", 1}}).family);
}

TEST(SignatureTest, WhatWasInterruptedDoesNotMatter) {
  const std::vector<NamedFrame> in_timer = {{"panic", 1}, {"my_timer", 2}, {"asm_sysvec_x", 3}};
  std::vector<NamedFrame> other = in_timer;
  other.push_back({"copy_process", 4});
  EXPECT_EQ(of(other).family, of(in_timer).family);
  EXPECT_EQ(of(other).exact, of(in_timer).exact);
  const std::vector<NamedFrame> lockup = {
      {"panic", 1}, {"watchdog_timer_fn", 2}, {"asm_sysvec_x", 3}, {"spin", 4}};
  EXPECT_EQ(of(lockup).title, "NULL dereference in spin");
}

TEST(SignatureTest, HelpersAreNotGuilty) {
  EXPECT_EQ(of({{"memcpy_erms", 0x6}, {"_raw_spin_lock_irqsave.cold", 1}, {"foo", 2}}).title,
            "NULL dereference in foo");
}

TEST(SignatureTest, WithoutABuildIdThereIsNoExactOne) {
  EXPECT_EQ(of(kWrite, CrashClass::bug, "").exact, "");
}

TEST(SignatureTest, DoubtfulStacksAreWeak) {
  EXPECT_TRUE(signature_of(CrashClass::bug, kWrite, false, "ab12").weak);
  EXPECT_TRUE(of({}).weak);
  EXPECT_TRUE(of({{"panic", 1}, {"schedule", 2}}).weak);
  EXPECT_TRUE(of({{"foo", 1}, {"", 0}, {"bar", 1}}).weak);
  EXPECT_FALSE(of({{"", 0}, {"bar", 1}}).weak) << "a jump through a bad pointer";
}

TEST(SignatureTest, SomeClassesAreTheirOwnFamily) {
  EXPECT_EQ(of({{"foo", 1}}, CrashClass::out_of_memory).family,
            of({{"bar", 1}}, CrashClass::out_of_memory).family);
  EXPECT_FALSE(of({}, CrashClass::no_root).weak);
  EXPECT_EQ(of({}, CrashClass::no_root).title, "No root file system");
}

TEST(SignatureTest, SourceNames) {
  EXPECT_EQ(source_name("foo"), "foo");
  EXPECT_EQ(source_name("foo.isra.0"), "foo");
  EXPECT_EQ(source_name("foo.constprop.0.isra.3"), "foo");
  EXPECT_EQ(source_name("foo.part.0.cold"), "foo");
  EXPECT_EQ(source_name("foo.llvm.1234567890"), "foo");
  EXPECT_EQ(source_name("foo.0"), "foo");
  EXPECT_EQ(source_name("foo.partition"), "foo.partition");
  EXPECT_EQ(source_name(".cold"), ".cold");
  EXPECT_EQ(source_name(""), "");
}

TEST(SignatureTest, Patterns) {
  EXPECT_TRUE(matches("foo", "foo"));
  EXPECT_FALSE(matches("foo", "foobar"));
  EXPECT_TRUE(matches("foo*", "foobar"));
  EXPECT_TRUE(matches("*lock*", "mutex_lock"));
  EXPECT_TRUE(matches("a*b*c", "axxbxxbc"));
  EXPECT_FALSE(matches("a*b*c", "axxbxxb"));
  EXPECT_FALSE(matches("", "x"));
  EXPECT_TRUE(matches("*", ""));
}

TEST(ClassOfStackTest, TellingFunctions) {
  using Names = std::vector<std::string_view>;
  const auto class_of = [](const Names& names) { return class_of_stack(names); };
  EXPECT_EQ(class_of({"panic", "sysrq_handle_crash", "__handle_sysrq"}), CrashClass::sysrq);
  EXPECT_EQ(class_of({"panic", "watchdog_timer_fn.cold", "__hrtimer_run_queues",
                      "asm_sysvec_apic_timer_interrupt", "spin"}),
            CrashClass::soft_lockup);
  EXPECT_EQ(class_of({"oops_end", "die", "do_trap", "exc_divide_error", "asm_exc_divide_error"}),
            CrashClass::divide_error);
  EXPECT_EQ(class_of({"panic", "__warn.cold", "report_bug", "handle_bug", "exc_invalid_op"}),
            CrashClass::warning);
  EXPECT_EQ(class_of({"panic", "do_exit.cold", "do_group_exit"}), CrashClass::init_killed);
  EXPECT_EQ(class_of({"vpanic", "panic", "kernel_init"}), CrashClass::no_init);
  EXPECT_EQ(class_of({"panic", "exit_mm", "do_exit"}), CrashClass::panic);
  EXPECT_EQ(class_of({"panic", "foo"}), CrashClass::panic);
  EXPECT_EQ(class_of({"schedule"}), CrashClass::unknown);
  EXPECT_EQ(class_of({}), CrashClass::unknown);
}

TEST(ClassOfStackTest, WhatWasInterruptedDoesNotTell) {
  EXPECT_EQ(class_of_stack(
                std::vector<std::string_view>{"panic", "timer", "asm_sysvec_x", "out_of_memory"}),
            CrashClass::panic);
}

}  // namespace
}  // namespace vmcore::triage
