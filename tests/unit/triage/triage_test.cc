// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/triage.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "src/triage/kernel_section.h"
#include "src/triage/tasks.h"
#include "tests/builders/triage_guest.h"

namespace vmcore::triage {
namespace {

using testing::GuestBuilder;
using testing::TriageGuest;

report::TriageReport report_of(const TriageGuest& guest) {
  return triage(guest.image(), guest.kernel(), {});
}

// Whatever the report holds, it is a document that can be read again.
void expect_document(const report::TriageReport& report) {
  const std::string text = to_json(report);
  const auto again = report::triage_from_json(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_json(*again), text);
}

TEST(Triage, StatesAreThoseOfCrash) {
  EXPECT_EQ(state_name(0, 0), "RU");
  EXPECT_EQ(state_name(1, 0), "IN");
  EXPECT_EQ(state_name(2, 0), "UN");
  EXPECT_EQ(state_name(0x102, 0), "UN");  // TASK_KILLABLE
  EXPECT_EQ(state_name(0x402, 0), "ID");
  EXPECT_EQ(state_name(0x2001, 0), "IN");  // TASK_FREEZABLE
  EXPECT_EQ(state_name(4, 0), "ST");
  EXPECT_EQ(state_name(8, 0), "TR");
  EXPECT_EQ(state_name(0x40, 0), "PA");
  EXPECT_EQ(state_name(0, 0x20), "ZO");
  EXPECT_EQ(state_name(0x80, 0x20), "ZO");
  EXPECT_EQ(state_name(0x80, 0x10), "DE");
  EXPECT_EQ(state_name(1ULL << 40, 0), "??");
}

TEST(Triage, TaintIsExplained) {
  const auto taints = taints_of(1 | 1 << 12 | 1ULL << 40);
  ASSERT_EQ(taints.size(), 3U);
  EXPECT_EQ(taints[0].letter, 'P');
  EXPECT_EQ(taints[1].letter, 'O');
  EXPECT_EQ(taints[2].letter, '?');
  EXPECT_EQ(taints[2].meaning, "bit 40, of an unknown meaning");
}

TEST(Triage, TasksAndTheLog) {
  TriageGuest guest(3);
  guest.put32(guest.task(1) + TriageGuest::kState, 2);
  guest.put32(guest.task(2) + TriageGuest::kState, 1);
  guest.put(guest.symbol("tainted_mask").value, 1 << 9);
  const auto report = report_of(guest);
  ASSERT_TRUE(report.tasks.value) << report.tasks.why_not;
  const report::TriageTasks& tasks = *report.tasks.value;
  EXPECT_EQ(tasks.total, 3U);
  ASSERT_EQ(tasks.list.size(), 3U);
  EXPECT_EQ(tasks.list[0].state, "RU");
  EXPECT_EQ(tasks.list[1].state, "UN");
  EXPECT_EQ(tasks.list[1].name.comm, "b");
  EXPECT_EQ(tasks.list[2].state, "IN");
  EXPECT_EQ(tasks.list[2].name.pid, 2);
  ASSERT_TRUE(report.panic.value) << report.panic.why_not;
  EXPECT_EQ(report.panic.value->message, "a test");
  ASSERT_TRUE(report.kernel.value);
  EXPECT_EQ(report.kernel.value->taints.at(0).letter, 'W');
  EXPECT_EQ(report.kernel.value->uptime_seconds, 2.5);
  ASSERT_TRUE(report.cpus.value) << report.cpus.why_not;
  EXPECT_EQ(report.cpus.value->at(0).number, 0U);
  EXPECT_FALSE(report.cpus.value->at(0).why_no_stack.empty());  // it has no ORC
  expect_document(report);
}

TEST(Triage, AListThatIsBrokenSaysSo) {
  TriageGuest guest(4);
  guest.put(guest.task(2) + TriageGuest::kTasks, 0x1234);
  const auto report = report_of(guest);
  ASSERT_TRUE(report.tasks.value) << report.tasks.why_not;
  EXPECT_EQ(report.tasks.value->total, 3U);
  EXPECT_TRUE(std::ranges::any_of(report.remarks, [](const Remark& remark) {
    return remark.text.starts_with("the task at ");
  }));
  expect_document(report);
}

TEST(Triage, AListThatGoesRoundEnds) {
  TriageGuest guest(4);
  guest.put(guest.task(3) + TriageGuest::kTasks, guest.task(1) + TriageGuest::kTasks);
  const auto report = report_of(guest);
  ASSERT_TRUE(report.tasks.value);
  EXPECT_LE(report.tasks.value->total, 4U);
  expect_document(report);
}

TEST(Triage, WithoutTypesEachSectionSaysWhy) {
  GuestBuilder guest("6.12");
  guest.log(1'000'000'000, "hello");
  const MemoryImage image = guest.build();
  const auto found = kernel::find_kernels(image, kernel::Search::registers);
  ASSERT_TRUE(found);
  const auto report = triage(image, found->kernels.at(0), {});
  EXPECT_FALSE(report.tasks.value);
  EXPECT_FALSE(report.tasks.why_not.empty());
  EXPECT_FALSE(report.memory.value);
  EXPECT_FALSE(report.mounts.value);
  EXPECT_FALSE(report.panic.value);
  EXPECT_EQ(report.kernel.value->release, "6.12.0-test");
  ASSERT_TRUE(report.log.value);
  EXPECT_EQ(report.log.value->back(), "[    1.000000] hello");
  expect_document(report);
}

// VMCOREINFO says that list_head.next lies before prev.
TEST(Triage, TypesOfAnotherKernelAreNotUsed) {
  testing::BtfBuilder types;
  const auto u64 = types.integer("unsigned long", 8);
  types.structure("list_head", 16, {{"prev", u64, 0}, {"next", u64, 64}});
  const auto btf = types.build();
  GuestBuilder guest("6.12");
  guest.room("__start_BTF", btf.size(), "__stop_BTF");
  const MemoryImage image = guest.build();
  static_cast<testing::SparseMemory&>(*image.memory)
      .write(guest.physical(guest.symbol("__start_BTF")), btf);
  const auto found = kernel::find_kernels(image, kernel::Search::registers);
  ASSERT_TRUE(found);
  const auto report = triage(image, found->kernels.at(0), {});
  EXPECT_NE(report.tasks.why_not.find("VMCOREINFO says OFFSET(list_head.next)=0"),
            std::string::npos)
      << report.tasks.why_not;
}

TEST(Triage, WithoutSymbolsThereIsTheLog) {
  GuestBuilder guest("6.12");
  guest.without_symbols().log(1'000'000'000, "Kernel panic - not syncing: why");
  const MemoryImage image = guest.build();
  const auto found = kernel::find_kernels(image, kernel::Search::registers);
  ASSERT_TRUE(found);
  const auto report = triage(image, found->kernels.at(0), {});
  EXPECT_FALSE(report.cpus.value);
  ASSERT_TRUE(report.panic.value);
  EXPECT_EQ(report.panic.value->message, "why");
  expect_document(report);
}

}  // namespace
}  // namespace vmcore::triage
