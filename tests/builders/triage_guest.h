// SPDX-License-Identifier: GPL-2.0-or-later
// A guest of a few tasks, described by BTF: each is 256 bytes of a room, and a process of its own.
// Behind them are other objects of the kernel: a run queue, a socket, a page that a task waits for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
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
                                 kSp = 96, kCpu = 104, kHead = 112, kOnRq = 128, kFlags = 132,
                                 kGroupNode = 136, kDelayed = 152, kRunList = 160;
  // Of the other objects, from object() on.
  static constexpr std::uint64_t kQueue = 0, kFile = 512, kSocket = 528, kSock = 560,
                                 kUnixAddress = 640, kFolio = 768, kMapping = 784, kInode = 792,
                                 kSuper = 808, kFileSystem = 832, kBuffer = 848, kStackAt = 1024;
  static constexpr std::uint64_t kObjectBytes = 2048;

  static BtfBuilder types() {
    BtfBuilder btf;
    const auto u64 = btf.integer("unsigned long", 8);
    const auto u32 = btf.integer("unsigned int", 4);
    const auto comm = btf.array(btf.integer("char", 1), 16);
    const auto list = btf.structure("list_head", 16, {{"next", u64, 0}, {"prev", u64, 64}});
    const auto thread = btf.structure("thread_struct", 8, {{"sp", u64, 0}});
    const auto entity =
        btf.structure("sched_entity", 24, {{"group_node", list, 0}, {"sched_delayed", u32, 128}});
    const auto rt_entity = btf.structure("sched_rt_entity", 16, {{"run_list", list, 0}});
    btf.structure("task_struct", 256,
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
                   {"cpu", u32, kCpu * 8},
                   {"on_rq", u32, kOnRq * 8},
                   {"in_iowait", u32, kFlags * 8 + 3, 1},
                   {"se", entity, kGroupNode * 8},
                   {"rt", rt_entity, kRunList * 8}});
    btf.structure("signal_struct", 16, {{"thread_head", list, 0}});
    add_queue_types(btf, u32, list);
    add_socket_types(btf, u64);
    add_wait_types(btf, u64, list);
    return btf;
  }

  explicit TriageGuest(unsigned tasks) : guest_("6.1"), count_(tasks) {
    const auto btf = types().build();
    guest_.room("wake_page_function", 8).room("wake_bit_function", 8);
    guest_.room("init_task", tasks * kBytes + kObjectBytes)
        .room("__start_BTF", btf.size(), "__stop_BTF");
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
  std::uint64_t object(std::uint64_t offset) const { return task(count_) + offset; }
  unsigned count() const { return count_; }
  void put(std::uint64_t address, std::uint64_t value) {
    memory().write_value(guest_.physical({address}), value);
  }
  void put16(std::uint64_t address, std::uint16_t value) {
    memory().write_value(guest_.physical({address}), value);
  }
  void put_text(std::uint64_t address, std::string_view text) {
    memory().write(guest_.physical({address}), std::as_bytes(std::span(text)));
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

  // The tasks are in the list at `head`, by the list_head `node` bytes into each.
  void queue(std::uint64_t head, std::uint64_t node, const std::vector<unsigned>& numbers) {
    std::uint64_t before = head;
    for (const unsigned number : numbers) {
      link(before, task(number) + node);
      before = task(number) + node;
      put32(task(number) + kOnRq, 1);
    }
    link(before, head);
  }

  // The file at kFile is a socket of that family, type and protocol.
  void make_socket(std::uint16_t family, std::uint16_t type, std::uint16_t protocol,
                   std::uint8_t state) {
    put(object(kFile), object(kSocket));
    put(object(kSocket), object(kFile));
    put(object(kSocket) + 8, object(kSock));
    put16(object(kSocket) + 16, type);
    put16(object(kSock), family);
    put16(object(kSock) + 2, state);
    put16(object(kSock) + 48, protocol);
  }

  // The task sleeps on a stack at kStackAt, and a waiter there waits for the bit of `object`.
  void make_waiter(unsigned number, const std::string& wakes, std::uint64_t object_of,
                   std::uint32_t bit) {
    const std::uint64_t waiter = object(kStackAt) + 64, head = object(kStackAt) + 128;
    put(task(number) + kStack, object(kStackAt));
    put(task(number) + kSp, object(kStackAt) + 16);
    put(waiter, object_of);
    put32(waiter + 8, bit);
    put(waiter + 24, task(number));
    put(waiter + 32, symbol(wakes).value);
    link(head, waiter + 40);
    link(waiter + 40, head);
  }

 private:
  static constexpr std::uint64_t kBytes = 256;
  using Type = std::uint32_t;

  static void add_queue_types(BtfBuilder& btf, Type u32, Type list) {
    const auto cfs = btf.structure("cfs_rq", 8, {{"h_nr_running", u32, 0}});
    const auto active = btf.structure("rt_prio_array", 64, {{"queue", btf.array(list, 4), 0}});
    const auto rt = btf.structure("rt_rq", 72, {{"rt_nr_running", u32, 0}, {"active", active, 64}});
    const auto dl = btf.structure("dl_rq", 8, {{"dl_nr_running", u32, 0}});
    btf.structure("rq", 128,
                  {{"nr_running", u32, 0},
                   {"cfs", cfs, 64},
                   {"cfs_tasks", list, 128},
                   {"rt", rt, 256},
                   {"dl", dl, 832}});
  }

  static void add_socket_types(BtfBuilder& btf, Type u64) {
    const auto u16 = btf.integer("unsigned short", 2);
    const auto u8 = btf.integer("unsigned char", 1);
    const auto v4 = btf.array(u8, 4), v6 = btf.array(u8, 16);
    btf.structure("file", 16, {{"private_data", u64, 0}});
    btf.structure("socket", 24, {{"file", u64, 0}, {"sk", u64, 64}, {"type", u16, 128}});
    const auto common = btf.structure("sock_common", 48,
                                      {{"skc_family", u16, 0},
                                       {"skc_state", u8, 16},
                                       {"skc_num", u16, 32},
                                       {"skc_dport", u16, 48},
                                       {"skc_daddr", v4, 64},
                                       {"skc_rcv_saddr", v4, 96},
                                       {"skc_v6_daddr", v6, 128},
                                       {"skc_v6_rcv_saddr", v6, 256}});
    const auto sock =
        btf.structure("sock", 56, {{"__sk_common", common, 0}, {"sk_protocol", u16, 384}});
    btf.structure("unix_sock", 72, {{"sk", sock, 0}, {"addr", u64, 448}, {"peer", u64, 512}});
    btf.structure("unix_address", 8, {{"len", btf.integer("int", 4), 0}, {"name", v4, 32}});
  }

  static void add_wait_types(BtfBuilder& btf, Type u64, Type list) {
    const auto number = btf.integer("int", 4);
    const auto text = btf.array(btf.integer("char", 1), 16);
    const auto entry = btf.structure(
        "wait_queue_entry", 32, {{"private", u64, 0}, {"func", u64, 64}, {"entry", list, 128}});
    btf.structure("wait_page_queue", 56,
                  {{"folio", u64, 0}, {"bit_nr", number, 64}, {"wait", entry, 192}});
    const auto key = btf.structure("wait_bit_key", 24, {{"flags", u64, 0}, {"bit_nr", number, 64}});
    btf.structure("wait_bit_queue_entry", 56, {{"key", key, 0}, {"wq_entry", entry, 192}});
    btf.enumeration("pageflags", {{"PG_locked", 0}, {"PG_writeback", 5}});
    btf.structure("folio", 16, {{"mapping", u64, 0}});
    btf.structure("address_space", 8, {{"host", u64, 0}});
    btf.structure("inode", 16, {{"i_sb", u64, 0}, {"i_ino", u64, 64}});
    btf.structure("super_block", 24, {{"s_type", u64, 0}, {"s_id", text, 64}});
    btf.structure("file_system_type", 8, {{"name", u64, 0}});
    btf.structure("buffer_head", 24,
                  {{"b_state", u64, 0}, {"b_blocknr", u64, 64}, {"b_bdev", u64, 128}});
    btf.structure("block_device", 8, {{"bd_disk", u64, 0}});
    btf.structure("gendisk", 16, {{"disk_name", text, 0}});
  }

  GuestBuilder guest_;
  unsigned count_;
  MemoryImage image_;
  kernel::FoundKernels found_;
};

}  // namespace vmcore::testing
