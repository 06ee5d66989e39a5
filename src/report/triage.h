// SPDX-License-Identifier: GPL-2.0-or-later
// TriageReport: what happened to a guest, as the JSON document of `vmcorectl report --output json`
// (docs/schema/report.json) has it.
//
// Comments mark with "guest" each text that the guest wrote: it may say anything, and is never an
// instruction. The document lists the places of these texts in its member "guest_text".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/result.h"
#include "src/image/capture.h"
#include "src/report/bounds.h"
#include "src/report/crash_class.h"
#include "src/report/signature.h"

namespace vmcore::report {

// A section of the report, or the reason why the section is missing: "no BTF in memory: ...".
template <class T>
struct Known {
  std::optional<T> value = {};
  std::string why_not = {};  // host and guest
};

// Bounds of one report. Writers list so many and count the rest.
inline constexpr std::size_t kMaxTriageTasks = 16384;
inline constexpr std::size_t kMaxStacks = 16384;
inline constexpr std::size_t kMaxFrames = 512;  // of one stack
inline constexpr std::size_t kMaxInlines = 64;  // of one frame
inline constexpr std::size_t kMaxTriageModules = 1024;
inline constexpr std::size_t kMaxLogLines = 200;
inline constexpr std::size_t kMaxTaints = 64;
inline constexpr std::size_t kMaxRegisters = 32;
inline constexpr std::size_t kMaxGroups = 256;
inline constexpr std::size_t kMaxQueued = 4096;  // tasks in the run queues of all CPUs
inline constexpr std::size_t kMaxEntries = 256;  // of the smaller lists

// Why the kernel is tainted, one letter of Documentation/admin-guide/tainted-kernels.rst.
struct Taint {
  char letter = 0;
  std::string meaning = {};
};

struct TriageKernel {
  std::string release = {};                   // guest
  std::string banner = {};                    // guest; "Linux version ..."
  std::string build_id = {};                  // guest; hex
  std::optional<double> uptime_seconds = {};  // at the last tick, or by the last log record
  std::optional<std::uint64_t> taint_mask = {};
  std::vector<Taint> taints = {};
};

struct TriageModule {
  std::string name = {};      // guest
  std::string build_id = {};  // guest; hex, empty where the kernel does not keep it
  std::uint64_t address = 0;
  std::uint64_t size = 0;    // bytes
  std::string taints = {};   // letters: "OE"
  bool out_of_tree = false;  // O or P
};

struct Argument {
  std::string name = {};  // guest
  std::string type = {};  // guest
  std::uint64_t value = 0;
};

// A place in the sources, of a file with debug information.
struct SourceLine {
  std::string function = {};
  std::string file = {};  // below the folder in which the kernel was built: "kernel/panic.c"
  std::uint64_t line = 0;
};

// One frame of a stack, the innermost one first.
struct TriageFrame {
  std::string function = {};  // guest; empty if no symbol contains the address
  std::string module = {};    // guest; empty for the kernel's own
  std::uint64_t offset = 0;   // of the address in the function
  std::uint64_t size = 0;     // of the function, bytes
  std::uint64_t address = 0;
  // Whether the code at the address was interrupted. If not, the address is a return address.
  bool exact = false;
  bool guessed = false;    // may be wrong: kernel/arch/x86_64_unwind.h
  std::string stack = {};  // that it lies on: "task", "irq", "NMI", "#DF", "#DB", "#MC", "#VC", ""
  // Of --symbols: the functions that were inlined at the address, the innermost first, and the
  // frame's own last. Empty where it is not known.
  std::vector<SourceLine> lines = {};
  // Of --symbols, where the registers at the address are known: the arguments of the innermost
  // function, as far as their values are known.
  std::vector<Argument> arguments = {};
};

// As the kernel writes it: "do_idle+0x1a/0x2b0", "fn+0x4/0x10 [module]", "0xffffffff81000000".
std::string text_of(const TriageFrame& frame);

struct TriageStack {
  std::vector<TriageFrame> frames = {};
  std::string broken = {};  // why it ends too early; empty if it is whole
};

struct TaskName {
  std::int64_t pid = 0;
  std::int64_t tgid = 0;
  std::string comm = {};  // guest
};

struct NamedRegister {
  std::string name = {};  // "rip"
  std::uint64_t value = 0;
};

// The function that faulted, with all the registers that the exception saved.
struct FaultingFunction {
  std::string name = {};  // guest
  std::vector<NamedRegister> registers = {};
  // By its prototype, from the registers in which they were passed: later code of the function may
  // have changed them.
  std::vector<Argument> arguments = {};
};

struct TriagePanic {
  std::string message = {};  // guest
  CrashClass kind = CrashClass::unknown;
  std::vector<std::string> evidence = {};  // who tells of it: "log", "stack", "panic_cpu"
  std::optional<unsigned> cpu = {};        // Linux's number
  std::optional<TaskName> task = {};
  std::optional<FaultingFunction> fault = {};
  // Its place in TriageReport::stacks, if it is not the stack of `cpu`.
  std::optional<std::uint64_t> stack = {};
  std::optional<CrashSignature> signature = {};
};

struct QueuedTask {
  TaskName name = {};
  std::string policy = {};  // "fair", "real-time"
  bool delayed = false;     // it begins to sleep, and is still in the queue
};

// The run queue of a CPU. The numbers are the kernel's own.
struct RunQueue {
  std::optional<std::uint64_t> fair = {}, real_time = {}, deadline = {};
  std::vector<QueuedTask> tasks = {};  // of the classes fair and real-time
  std::string broken = {};             // why tasks may be missing; empty if none is
};

struct TriageCpu {
  unsigned number = 0;  // Linux's
  // In the kernel's online mask. panic() takes CPUs off that it stops.
  std::optional<bool> online = {};
  std::string mode = {};  // "user", "kernel", "idle"; empty if no vCPU tells
  std::optional<TaskName> task = {};
  std::vector<NamedRegister> registers = {};
  std::optional<std::uint64_t> stack = {};  // its place in TriageReport::stacks
  std::string why_no_stack = {};
  std::optional<std::uint64_t> runnable = {};  // tasks of its run queue, the running one too
  std::optional<RunQueue> queue = {};
};

// The lock that a task waits for.
struct LockWait {
  std::string kind = {};  // "mutex", "rw_semaphore"
  std::uint64_t address = 0;
  std::optional<TaskName> owner = {};  // nothing if nobody, or readers, hold it
};

// The page, buffer or block I/O that a task waits for.
struct IoWait {
  // "page_lock", "page_writeback", "page_bit" (another flag of the page), "buffer"; "io" if it is
  // not known for what.
  std::string kind = {};
  std::optional<std::uint64_t> address = {};  // of the struct page (folio) or buffer_head
  std::string device = {};                    // guest; that the page or buffer is of
  std::string file_system = {};               // guest; that the page is of: "ext4", "bdev"
  std::optional<std::uint64_t> inode = {};    // of the page's file
  std::optional<std::uint64_t> block = {};    // of the buffer
};

struct TriageTask {
  TaskName name = {};
  std::string state = {};  // as crash has it: "RU", "IN", "UN", "ST", "ZO", "ID" ...
  bool on_cpu = false;
  std::optional<unsigned> cpu = {};  // whose run queue it is or was in
  std::optional<LockWait> lock = {};
  std::optional<IoWait> io = {};
  std::optional<std::uint64_t> stack = {};
};

// Tasks in uninterruptible sleep with one stack.
struct WaitingGroup {
  std::uint64_t stack = 0;
  std::uint64_t tasks = 0;            // of them
  std::vector<TaskName> names = {};   // of some
  std::optional<LockWait> lock = {};  // that one of them waits for
  std::optional<IoWait> io = {};      // the same
};

struct TriageTasks {
  std::uint64_t total = 0;
  std::vector<std::pair<std::string, std::uint64_t>> by_state = {};
  std::vector<TriageTask> list = {};
  std::vector<WaitingGroup> waiting = {};  // the largest group first
};

struct ZoneUse {
  std::string name = {};  // guest
  unsigned node = 0;
  std::uint64_t present = 0, managed = 0, free = 0, low = 0;  // pages; low: the watermark
};

struct NamedBytes {
  std::string name = {};  // guest
  std::uint64_t bytes = 0;
};

struct TaskMemory {
  TaskName task = {};
  std::uint64_t rss = 0;  // bytes
};

struct TriageMemory {
  std::vector<ZoneUse> zones = {};
  std::vector<NamedBytes> counters = {};  // of the whole machine, by the kernel's names
  std::vector<NamedBytes> slabs = {};     // the biggest
  std::vector<TaskMemory> tasks = {};     // the biggest
};

struct Mount {
  std::string device = {};  // guest
  std::string point = {};   // guest
  std::string type = {};    // guest
};

struct OpenSocket {
  std::string family = {};    // "inet", "unix" ...; a number if it has no name here
  std::string type = {};      // "stream", "dgram" ...
  std::string protocol = {};  // "tcp" ...; empty if it has none
  std::string state = {};     // "LISTEN" ...; empty if its family has no such states
  std::string local =
      {};  // guest; "192.0.2.1:80", "[::1]:80", a path, or "@..." for an abstract name
  std::string remote = {};  // guest; empty if there is none
};

struct OpenFile {
  std::uint64_t number = 0;
  std::string path = {};  // guest; "socket:", "pipe:" for what has none
  std::optional<OpenSocket> socket = {};
};

struct TriageReport {
  static constexpr std::string_view kSchema = "vmcorectl-report/1";

  std::string format = {};  // of the file, for people
  // "torn" if the guest ran meanwhile, "pause" if it stood still; else as the dump was captured, or
  // "" if that is not known.
  std::string consistency = {};
  bool incomplete = false;  // pages, or parts of the log that it is made of, are missing
  std::optional<Capture> capture = {};
  Known<TriageKernel> kernel = {};
  Known<TriagePanic> panic = {};
  Known<std::vector<TriageModule>> modules = {};
  Known<std::vector<TriageCpu>> cpus = {};
  Known<TriageTasks> tasks = {};
  Known<std::vector<std::string>> log = {};  // guest; the last lines
  Known<TriageMemory> memory = {};
  Known<std::vector<Mount>> mounts = {};
  Known<std::vector<OpenFile>> files = {};  // of the task that crashed
  std::vector<TriageStack> stacks = {};     // each stack once
  std::vector<Remark> remarks = {};
};

std::string to_json(const TriageReport& report);
// Errc::malformed where the text is no such document, or says what cannot be.
Result<TriageReport> triage_from_json(std::string_view text);

}  // namespace vmcore::report
