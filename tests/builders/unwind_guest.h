// SPDX-License-Identifier: GPL-2.0-or-later
// A guest whose kernel has ORC, code in all the ways in which code can be called, and two stacks.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "src/kernel/guest_kernel.h"
#include "tests/builders/btf_builder.h"
#include "tests/builders/kernel_builder.h"
#include "tests/builders/orc_builder.h"

namespace vmcore::testing {

class UnwindGuest {
 public:
  explicit UnwindGuest(OrcStyle style) : guest_("6.1") {
    const auto btf = types().build();
    guest_.room("text", 0x1000).room("stack", 0x1000).room("irq_stack", 0x1000);
    guest_.room("__start_BTF", btf.size(), "__stop_BTF");
    constexpr std::uint64_t kRows = 19;
    guest_.room("__start_orc_unwind_ip", kRows * 4, "__stop_orc_unwind_ip");
    guest_.room("__start_orc_unwind", kRows * 6, "__stop_orc_unwind");
    guest_.room("_sinittext", 0x100, "_einittext");
    image_ = guest_.build();
    tables_ = build_orc(rows(), style, at("__start_orc_unwind_ip"));
    write("__start_orc_unwind_ip", tables_.addresses);
    write("__start_orc_unwind", tables_.entries);
    write("__start_BTF", btf);
    write("text", std::vector(0x1000, std::byte{0xe8}));  // a call before every address
    found_ = *kernel::find_kernels(image_, kernel::Search::registers);
  }

  // What each part of "text" is.
  std::vector<OrcRow> rows() const {
    const VirtAddr text = at("text");
    return {{text, "call", "sp", 8},                            // leaf
            {text + 0x100, "call", "sp", 24, "prev", -16},      // saves BP
            {text + 0x200, "call", "bp", 16, "prev", -16},      // has a frame pointer
            {text + 0x300, "registers", "sp", 0, "", 0, true},  // an interrupt's entry
            {text + 0x400, "partial", "sp", 8, "", 0, true},    // an NMI's, earlier
            {text + 0x500, "end"},                              // a thread's beginning
            {text + 0x600, "call", "(sp)", 8},                  // came from another stack
            {text + 0x700, "undefined"},                        //
            {text + 0x800, "call", "r10", 0},                   // has realigned its stack
            {text + 0x900, "call", "(bp)", -8, "bp", 0},        //
            {text + 0xa00, "call", "sp", 8},                    // more of the usual
            {text + 0xa10, "call", "sp", 16},                   //
            {text + 0xa20, "call", "sp", 24},                   //
            {text + 0xa30, "call", "sp", 32},                   //
            {text + 0xa40, "call", "sp", 40},                   //
            {text + 0xa50, "call", "sp", 48},                   //
            {text + 0xa60, "call", "sp", 56},                   //
            {text + 0xb00, "undefined"},                        // behind a call without return
            {text + 0xc00, "call", "sp", 56}};
  }

  static BtfBuilder types() {
    BtfBuilder btf;
    const auto u64 = btf.integer("unsigned long", 8);
    btf.structure("inactive_task_frame", 56,
                  {{"r15", u64, 0}, {"bp", u64, 320}, {"ret_addr", u64, 384}});
    return btf;
  }

  VirtAddr at(const std::string& symbol) const { return guest_.symbol(symbol); }
  std::uint64_t text(std::uint64_t offset) const { return at("text").value + offset; }
  std::uint64_t stack(std::uint64_t offset) const { return at("stack").value + offset; }
  std::uint64_t irq_stack(std::uint64_t offset) const { return at("irq_stack").value + offset; }
  void write(const std::string& symbol, std::span<const std::byte> bytes) {
    memory().write(guest_.physical(at(symbol)), bytes);
  }
  void put(std::uint64_t address, std::uint64_t value) {
    memory().write_value(guest_.physical({address}), value);
  }
  // struct pt_regs, or its end, at that address.
  void put_registers(std::uint64_t address, std::uint64_t ip, std::uint64_t sp, std::uint64_t bp,
                     bool user = false) {
    put(address + 32, bp);
    put_partial(address, ip, sp, user);
  }
  void put_partial(std::uint64_t address, std::uint64_t ip, std::uint64_t sp, bool user = false) {
    put(address + 128, ip);
    put(address + 136, user ? 0x33 : 0x10);
    put(address + 152, sp);
  }
  SparseMemory& memory() { return static_cast<SparseMemory&>(*image_.memory); }
  PhysAddr physical(const std::string& symbol) const { return guest_.physical(at(symbol)); }
  const OrcTables& tables() const { return tables_; }
  const kernel::GuestKernel& kernel() const { return found_.kernels.at(0); }

 private:
  GuestBuilder guest_;
  MemoryImage image_;
  OrcTables tables_;
  kernel::FoundKernels found_;
};

}  // namespace vmcore::testing
