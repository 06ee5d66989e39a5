// SPDX-License-Identifier: GPL-2.0-or-later
// The sentences of a TriageReport for people, which its text and its page share.
//
// Any part of them may be what the guest wrote: printable() and xml_text() make it harmless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "src/report/triage.h"

namespace vmcore::show {

std::string task_text(const report::TaskName& task);  // "612 kworker/0:1"
std::string frame_text(const report::TriageFrame& frame);
// Of --symbols, a line for each function at its address: "do_idle at kernel/sched/idle.c:312"; then
// its arguments.
std::vector<std::string> source_texts(const report::TriageFrame& frame);
std::string joined(const std::vector<std::string>& words);           // "a, b and c"
std::string names_text(const std::vector<report::TaskName>& tasks);  // joined()

// What a task waits in: its functions, without those of the scheduler.
std::string chain(const report::TriageStack& stack);

// "NULL dereference in write_to_null [crasher]", or the class.
std::string crash_title(const report::TriagePanic& panic);

struct Fact {
  std::string name;
  std::string value;
};

// What the report says first: the crash, its place, the kernel, and where all of it comes from.
// `name` is the guest's or the file's.
std::vector<Fact> facts_of(const report::TriageReport& report, const std::string& name);

// The first frame behind panic() itself, whose frames tell nothing.
std::size_t behind_panic(const report::TriageStack& stack);

// Linux's number of the CPU that crashed; where none is known, a number that no CPU has.
std::uint64_t crashed_cpu(const report::TriageReport& report);

// "CPU 1   stopped   task 0 swapper/1, while idle"
std::string cpu_text(const report::TriageCpu& cpu, const report::TriageReport& report);

// The stack of the CPU that crashed. Without a title: no CPU is known to have crashed.
struct CrashStack {
  std::string title = {};
  const report::TriageStack* stack = nullptr;
  std::string why_not = {};  // there is no stack
};
CrashStack crash_stack(const report::TriageReport& report);

// What the tasks of a group wait for: "mutex at 0xffff888003b2c0a0, which task 7 kworker/0:0
// holds", "lock of the page at 0xffffea0000123400 (inode 12 of ext4 on vda)"; empty if it is not
// known.
std::string wait_text(const report::WaitingGroup& group);

// Who is in the run queue.
std::string queue_text(const report::RunQueue& queue);

// The log line behind the one with which the crash began: the later ones repeat the report.
std::vector<std::string>::const_iterator end_of_story(const report::TriageReport& report);

// "inet stream tcp ESTABLISHED 192.0.2.1:80 to 192.0.2.2:40000"
std::string socket_text(const report::OpenSocket& socket);

}  // namespace vmcore::show
