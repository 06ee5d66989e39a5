// SPDX-License-Identifier: GPL-2.0-or-later
// The tasks of the kernel. BTF tells the offsets of their structs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/btf.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"

namespace vmcore::kernel {

struct Task {
  VirtAddr address;  // of its struct task_struct
  std::int32_t pid = 0;
  std::int32_t tgid = 0;
  std::string comm;         // the guest's
  std::uint64_t state = 0;  // TASK_RUNNING is 0
  bool on_cpu = false;
  VirtAddr stack;      // the lowest address of its kernel stack
  VirtAddr thread_sp;  // its stack pointer when it last stopped running
};

inline constexpr std::size_t kMaxTasks = 4 << 20;  // PID_MAX_LIMIT

struct Tasks {
  std::vector<Task> tasks;      // init_task first, then threads behind their process's first
  std::vector<Remark> remarks;  // parts that could not be read
};

// Offsets and sizes in struct task_struct and signal_struct, in bytes. Errc::not_found if the BTF
// has no such member.
struct TaskLayout {
  std::uint64_t tasks, thread_node, thread_head, signal;
  std::uint64_t pid, tgid, comm, comm_size, state, state_size, on_cpu, on_cpu_size, stack,
      thread_sp;
};
Result<TaskLayout> task_layout(const Btf& btf);

Result<Task> read_task(const GuestKernel& kernel, const TaskLayout& layout, VirtAddr address);

// init_task, all processes and their threads, at most `most` of them. No list holds the idle tasks
// of the other CPUs; current_task() finds one that runs.
Result<Tasks> read_tasks(const GuestKernel& kernel, const Kallsyms& kallsyms,
                         const TaskLayout& layout, std::size_t most = kMaxTasks);

// The task that runs on the Linux CPU with that per-CPU offset (cpus.h).
Result<VirtAddr> current_task(const GuestKernel& kernel, const Kallsyms& kallsyms, const Btf& btf,
                              std::uint64_t per_cpu_offset);

}  // namespace vmcore::kernel
