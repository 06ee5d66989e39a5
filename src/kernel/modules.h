// SPDX-License-Identifier: GPL-2.0-or-later
// The modules that are loaded, from the kernel's list. BTF tells the offsets of struct module.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/btf.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"

namespace vmcore::kernel {

struct Module {
  struct Range {
    VirtAddr begin;
    std::uint64_t size = 0;
  };
  // An array in the guest's memory.
  struct Table {
    VirtAddr begin;
    std::uint64_t count = 0;
  };

  std::string name;      // the guest's
  std::string build_id;  // hex; empty where the kernel does not keep it
  VirtAddr address;      // of its struct module
  // Its memory: core_layout and init_layout, of each the code and the rest, or since v6.4
  // (ac3b43283923) the elements of `mem`. Empty ones are left out. The first range holds code.
  std::vector<Range> ranges;
  Table symbols;  // Elf64_Sym, of struct mod_kallsyms
  VirtAddr strings;
  VirtAddr types;  // nm's letter of each symbol; null before v5.2
  // orc_unwind_ip and orc_unwind of struct mod_arch_specific; empty if the kernel has no ORC.
  Table orc_ip;
  VirtAddr orc;

  bool contains(VirtAddr at) const;
};

struct Modules {
  std::vector<Module> modules;  // in the order of the kernel's list: the newest first
  std::vector<Remark> remarks;  // parts that could not be read
};

// Errc::not_found if the kernel has no modules, or its BTF has no struct module.
Result<Modules> read_modules(const GuestKernel& kernel, const Kallsyms& kallsyms, const Btf& btf);

// The BTF of a module. The kernel frees the module's section when the module is loaded; this reads
// the kernel's own copy (struct btf_module, v5.11, 36e68442d1af). Errc::not_found if there is none.
Result<Btf> read_module_btf(const GuestKernel& kernel, const Kallsyms& kallsyms, const Btf& btf,
                            const Module& module);

}  // namespace vmcore::kernel
