// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/tasks.h"

#include <algorithm>
#include <optional>

#include "src/kernel/lists.h"

namespace vmcore::kernel {
namespace {

constexpr std::uint64_t kMaxCommBytes = 64;  // TASK_COMM_LEN is 16

Result<> take(const Btf& btf, std::string_view path, std::uint64_t& offset) {
  TRY_ASSIGN(const BtfField field, btf.field(path));
  offset = field.offset();
  return {};
}

Result<std::uint64_t> word(const GuestKernel& kernel, VirtAddr at) {
  return kernel.read_value<std::uint64_t>(at);
}

class Reader {
 public:
  Reader(const GuestKernel& kernel, const TaskLayout& layout, std::size_t most)
      : kernel_(&kernel), layout_(layout), most_(most) {}

  // Adds the task; whether it could be read.
  bool add(VirtAddr address) {
    auto task = read_task(*kernel_, layout_, address);
    if (!task) {
      remark(task.error(), address);
      return false;
    }
    found_.tasks.push_back(*std::move(task));
    return true;
  }
  // Adds the process and its threads, the first one of which it is itself.
  void add_process(VirtAddr leader) {
    if (!add(leader)) {
      return;
    }
    const auto signal = word(*kernel_, leader + layout_.signal);
    if (!signal) {
      return remark(signal.error(), leader);
    }
    const ListWalk threads = walk({*signal + layout_.thread_head});
    for (const VirtAddr entry : threads.entries) {
      const VirtAddr task{entry.value - layout_.thread_node};
      if (task != leader) {
        add(task);
      }
    }
    if (threads.broken) {
      remark(*threads.broken, leader);
    }
  }
  ListWalk walk(VirtAddr head) const {
    return walk_list(*kernel_, head, most_ - std::min(most_, found_.tasks.size()));
  }
  void remark(const Error& error, VirtAddr task) {
    constexpr std::size_t kMaxRemarks = 100;
    if (found_.remarks.size() < kMaxRemarks) {
      found_.remarks.push_back(
          {error.code, fmt::format("the task at {:#x}: {}", task.value, error.message)});
    }
  }
  Tasks found() { return std::move(found_); }

 private:
  const GuestKernel* kernel_;
  TaskLayout layout_;
  std::size_t most_;
  Tasks found_;
};

}  // namespace

Result<TaskLayout> task_layout(const Btf& btf) {
  TaskLayout layout{};
  TRY(btf.know({"task_struct", "signal_struct"}));
  TRY(take(btf, "task_struct.tasks", layout.tasks));
  TRY(take(btf, "task_struct.thread_node", layout.thread_node));
  TRY(take(btf, "signal_struct.thread_head", layout.thread_head));
  TRY(take(btf, "task_struct.signal", layout.signal));
  TRY(take(btf, "task_struct.pid", layout.pid));
  TRY(take(btf, "task_struct.tgid", layout.tgid));
  TRY_ASSIGN(const BtfField on_cpu, btf.field("task_struct.on_cpu"));
  layout.on_cpu = on_cpu.offset();
  layout.on_cpu_size = std::min<std::uint64_t>(on_cpu.size, sizeof(std::uint32_t));
  TRY(take(btf, "task_struct.stack", layout.stack));
  TRY(take(btf, "task_struct.thread.sp", layout.thread_sp));
  TRY_ASSIGN(const BtfField comm, btf.field("task_struct.comm"));
  layout.comm = comm.offset();
  layout.comm_size = std::min(comm.size, kMaxCommBytes);
  auto state = btf.field("task_struct.__state");  // v5.14, 2f064a59a11f
  if (!state) {
    state = btf.field("task_struct.state");
  }
  TRY_ASSIGN(const BtfField found, state);
  layout.state = found.offset();
  layout.state_size = std::min<std::uint64_t>(found.size, sizeof(std::uint64_t));
  return layout;
}

Result<Task> read_task(const GuestKernel& kernel, const TaskLayout& layout, VirtAddr address) {
  Task task;
  task.address = address;
  TRY_ASSIGN(task.pid, kernel.read_value<std::int32_t>(address + layout.pid));
  TRY_ASSIGN(task.tgid, kernel.read_value<std::int32_t>(address + layout.tgid));
  std::uint32_t on_cpu = 0;  // an int; v7.2 has a narrower one, beside other flags
  TRY(kernel.read_exactly(address + layout.on_cpu,
                          std::as_writable_bytes(std::span(&on_cpu, 1)).first(layout.on_cpu_size)));
  task.on_cpu = on_cpu != 0;
  TRY_ASSIGN(task.stack.value, word(kernel, address + layout.stack));
  TRY_ASSIGN(task.thread_sp.value, word(kernel, address + layout.thread_sp));
  TRY(kernel.read_exactly(
      address + layout.state,
      std::as_writable_bytes(std::span(&task.state, 1)).first(layout.state_size)));
  task.comm.resize(layout.comm_size);
  TRY(kernel.read_exactly(address + layout.comm, std::as_writable_bytes(std::span(task.comm))));
  task.comm.resize(std::min(task.comm.find('\0'), task.comm.size()));
  return task;
}

Result<Tasks> read_tasks(const GuestKernel& kernel, const Kallsyms& kallsyms,
                         const TaskLayout& layout, std::size_t most) {
  const auto init = kallsyms.find("init_task");
  if (!init) {
    return fail(Errc::not_found, "no init_task among the kernel's symbols");
  }
  Reader reader(kernel, layout, most);
  reader.add(*init);
  const ListWalk processes = reader.walk(*init + layout.tasks);
  for (const VirtAddr entry : processes.entries) {
    reader.add_process({entry.value - layout.tasks});
  }
  if (processes.broken) {
    reader.remark(*processes.broken, *init);
  }
  return reader.found();
}

Result<VirtAddr> current_task(const GuestKernel& kernel, const Kallsyms& kallsyms, const Btf& btf,
                              std::uint64_t per_cpu_offset) {
  // A variable of its own, but in v6.2 to v6.14 the first member of pcpu_hot (e57ef2ed97c1).
  const auto symbols = kallsyms.find({"current_task", "pcpu_hot"});
  VirtAddr at;
  if (symbols[0]) {
    at = *symbols[0];
  } else if (symbols[1]) {
    TRY_ASSIGN(const BtfField field, btf.field("pcpu_hot.current_task"));
    at = *symbols[1] + field.offset();
  } else {
    return fail(Errc::not_found, "no current_task among the kernel's symbols");
  }
  TRY_ASSIGN(const std::uint64_t task, word(kernel, at + per_cpu_offset));
  return VirtAddr{task};
}

}  // namespace vmcore::kernel
