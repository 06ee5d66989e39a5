// SPDX-License-Identifier: GPL-2.0-or-later
// Symbols: names for addresses, the kernel's and its modules'.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/modules.h"

namespace vmcore::kernel {

// Names come from the guest.
struct NamedAddress {
  std::string symbol;
  std::string module;  // empty for the kernel's own
  std::uint64_t offset = 0;
  std::uint64_t size = 0;  // of the symbol
  // As the kernel's messages have it: "do_idle+0x1a/0x2b0", "fn+0x4/0x10 [module]".
  std::string text() const;
};

// Not thread-safe, because it reads the table of a module when it first needs it.
class Symbols {
 public:
  // `kernel` and `kallsyms` are borrowed.
  Symbols(const GuestKernel& kernel, const Kallsyms& kallsyms, std::vector<Module> modules);

  // The symbol that the kernel itself would print (kernel/kallsyms.c, kernel/module/kallsyms.c).
  // Nothing if no symbol contains the address, or the tables cannot be read.
  std::optional<NamedAddress> at(VirtAddr address);

  const std::vector<Module>& modules() const { return modules_; }

  // The named symbols of a module, in the order of its table; their sizes are not filled in.
  // Errc::limit or Errc::unreadable if the table is not what the kernel builds.
  static Result<std::vector<Symbol>> of_module(const GuestKernel& kernel, const Module& module);

 private:
  std::optional<NamedAddress> in_module(std::size_t index, VirtAddr address);

  const GuestKernel* kernel_;
  const Kallsyms* kallsyms_;
  std::vector<Module> modules_;
  std::vector<std::optional<std::vector<Symbol>>> tables_;  // of each module, once it is read
};

}  // namespace vmcore::kernel
