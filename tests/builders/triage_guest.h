// SPDX-License-Identifier: GPL-2.0-or-later
// A guest of a few tasks, described by BTF: each is one page of a room, and a process of its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/kernel/guest_kernel.h"
#include "tests/builders/btf_builder.h"
#include "tests/builders/kernel_builder.h"

namespace vmcore::testing {

class TriageGuest {
 public:
  // Offsets in bytes of what types() describes.
  static constexpr std::uint64_t kState = 0, kPid = 8, kTgid = 12, kOnCpu = 16, kExit = 20,
                                 kStack = 24, kSignal = 32, kTasks = 40, kNode = 56, kComm = 72,
                                 kSp = 96, kCpu = 104, kHead = 112;

  static BtfBuilder types() {
    BtfBuilder btf;
    const auto u64 = btf.integer("unsigned long", 8);
    const auto u32 = btf.integer("unsigned int", 4);
    const auto comm = btf.array(btf.integer("char", 1), 16);
    const auto list = btf.structure("list_head", 16, {{"next", u64, 0}, {"prev", u64, 64}});
    const auto thread = btf.structure("thread_struct", 8, {{"sp", u64, 0}});
    btf.structure("task_struct", 128,
                  {{"__state", u32, kState * 8},
                   {"pid", u32, kPid * 8},
                   {"tgid", u32, kTgid * 8},
                   {"on_cpu", u32, kOnCpu * 8},
                   {"exit_state", u32, kExit * 8},
                   {"stack", u64, kStack * 8},
                   {"signal", u64, kSignal * 8},
                   {"tasks", list, kTasks * 8},
                   {"thread_node", list, kNode * 8},
                   {"comm", comm, kComm * 8},
                   {"thread", thread, kSp * 8},
                   {"cpu", u32, kCpu * 8}});
    btf.structure("signal_struct", 16, {{"thread_head", list, 0}});
    return btf;
  }

  explicit TriageGuest(unsigned tasks) : guest_("6.1"), count_(tasks) {
    const auto btf = types().build();
    guest_.room("init_task", tasks * kBytes).room("__start_BTF", btf.size(), "__stop_BTF");
    guest_.log(2'500'000'000, "Kernel panic - not syncing: a test");
    guest_.room("tainted_mask", 8);
    image_ = guest_.build();
    memory().write(guest_.physical(guest_.symbol("__start_BTF")), btf);
    for (unsigned i = 0; i < tasks; ++i) {
      link(task(i) + kTasks, task((i + 1) % tasks) + kTasks);
      const std::uint64_t head = task(i) + kHead;
      put(task(i) + kSignal, head);
      link(head, task(i) + kNode);
      link(task(i) + kNode, head);
      put32(task(i) + kPid, i);
      put32(task(i) + kTgid, i);
      put32(task(i) + kComm, 'a' + i);
    }
    found_ = *kernel::find_kernels(image_, kernel::Search::registers);
  }

  std::uint64_t task(unsigned number) const {
    return guest_.symbol("init_task").value + number * kBytes;
  }
  unsigned count() const { return count_; }
  void put(std::uint64_t address, std::uint64_t value) {
    memory().write_value(guest_.physical({address}), value);
  }
  void put32(std::uint64_t address, std::uint32_t value) {
    memory().write_value(guest_.physical({address}), value);
  }
  // `to` follows `from` in a list.
  void link(std::uint64_t from, std::uint64_t to) {
    put(from, to);
    put(to + 8, from);
  }
  VirtAddr symbol(const std::string& name) const { return guest_.symbol(name); }
  PhysAddr physical(const std::string& name) const { return guest_.physical(guest_.symbol(name)); }
  SparseMemory& memory() { return static_cast<SparseMemory&>(*image_.memory); }
  const MemoryImage& image() const { return image_; }
  const kernel::GuestKernel& kernel() const { return found_.kernels.at(0); }

 private:
  static constexpr std::uint64_t kBytes = 256;

  GuestBuilder guest_;
  unsigned count_;
  MemoryImage image_;
  kernel::FoundKernels found_;
};

}  // namespace vmcore::testing
