// SPDX-License-Identifier: GPL-2.0-or-later
// ORC: the unwind tables of x86-64 kernels (v4.14, CONFIG_UNWINDER_ORC). The kernel and each module
// keep them in memory.
//
// .orc_unwind_ip has 32 bits for each entry: the address where the entry begins to hold, relative
// to the place of these bits. Entries are sorted by that address. .orc_unwind has a struct
// orc_entry for each (arch/x86/include/asm/orc_types.h), of 6 bytes:
//   sp_offset:16 bp_offset:16 sp_reg:4 bp_reg:4, and then
//   before v6.3   type:2 (0 call, 1 regs, 2 partial regs) end:1
//   v6.3          type:2 signal:1 end:1                    (ffb1b4a41016)
//   since v6.4    type:3 (0 undefined, 1 end of stack, 2 call, 3 regs, 4 partial) signal:1
//                                                          (fb799447ae29)
// Registers have these numbers: 0 undefined, 1 previous SP, 2 DX, 3 DI, 4 BP, 5 SP, 6 R10, 7 R13, 8
// indirect BP, 9 indirect SP, 10 AX. v7.1 renumbers them: 0 undefined, 1 AX, 2 DX, 3 SP, 4 BP, 5
// DI, 6 R10, 7 R13, 8 previous SP, 9 indirect SP, 10 indirect BP. Distributions backport these
// changes, and BTF does not tell the numbers, which are macros. So the form
// is recognised by the entries: in the right form most of them are calls relative to SP.
#pragma once

#include <cstdint>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/memory_pieces.h"
#include "src/kernel/modules.h"

namespace vmcore::kernel {

enum class OrcRegister : std::uint8_t {
  undefined,
  previous_sp,
  ax,
  dx,
  di,
  bp,
  sp,
  r10,
  r13,
  indirect_bp,
  indirect_sp,
  unknown,
};

enum class OrcType : std::uint8_t {
  undefined,     // the tables do not describe the code
  end_of_stack,  // the code has no caller
  call,          // the return address is on the stack
  registers,     // struct pt_regs is on the stack
  partial,       // only the end of struct pt_regs is there, which the processor pushes
  unknown,
};

struct OrcEntry {
  OrcRegister sp_register = OrcRegister::undefined;
  OrcRegister bp_register = OrcRegister::undefined;
  std::int16_t sp_offset = 0;
  std::int16_t bp_offset = 0;
  OrcType type = OrcType::undefined;
  bool signal = false;  // the next frame was interrupted; it did not call
};

// One of the forms above.
struct OrcForm {
  enum class Flags : std::uint8_t { end, signal_and_end, types };
  Flags flags = Flags::end;
  bool renumbered = false;
};

// Not thread-safe, because it caches memory.
class OrcTable {
 public:
  // The kernel's table, at __start_orc_unwind. Errc::not_found if the kernel has none (built with
  // frame pointers), Errc::malformed if the table has none of the forms above.
  static Result<OrcTable> of_kernel(const GuestKernel& kernel, const Kallsyms& kallsyms);
  // A module's table. It has the form of the kernel's. Errc::not_found if the module has none.
  static Result<OrcTable> of_module(const GuestKernel& kernel, const Module& module, OrcForm form);

  OrcForm form() const { return form_; }
  // Whether the address is in the code that the table is for.
  bool covers(VirtAddr code) const { return code >= begin_ && code < end_; }

  // The entry that holds at the address: the last one whose own address is not higher.
  // Errc::not_found below the first entry, Errc::malformed where the table is not sorted.
  Result<OrcEntry> find(VirtAddr code) const;

 private:
  OrcTable(const GuestKernel& kernel, VirtAddr addresses, VirtAddr entries, std::uint64_t count);
  Result<VirtAddr> code_of(std::uint64_t index) const;
  Result<> check_order(std::uint64_t index) const;
  Result<> find_form();

  MemoryPieces addresses_;
  MemoryPieces entries_;
  std::uint64_t count_;
  VirtAddr begin_;
  VirtAddr end_;
  OrcForm form_;
};

}  // namespace vmcore::kernel
