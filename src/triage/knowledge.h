// SPDX-License-Identifier: GPL-2.0-or-later
// Knowledge: the symbols, types, modules and unwind tables of a guest's kernel. All of them come
// from the guest's memory. The sections of a report are made with them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/image/image.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/arch/x86_64_unwind.h"
#include "src/kernel/btf.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/modules.h"
#include "src/kernel/symbols.h"
#include "src/kernel/tasks.h"

namespace vmcore::triage {

// Not thread-safe, because it caches.
class Knowledge {
 public:
  // `image` and `kernel`, which must have kallsyms(), are borrowed.
  Knowledge(const MemoryImage& image, const kernel::GuestKernel& kernel);
  Knowledge(const Knowledge&) = delete;
  Knowledge& operator=(const Knowledge&) = delete;

  // A member by its path, as Btf::field(). Errc::not_found without BTF.
  Result<kernel::BtfField> field(const std::string& path);
  // The address of the member of an object.
  Result<VirtAddr> place(VirtAddr object, const std::string& path);
  // The member's value: its lowest 8 bytes, or the bits of a bit field, as an unsigned number.
  Result<std::uint64_t> number(VirtAddr object, const std::string& path);
  Result<VirtAddr> pointer(VirtAddr object, const std::string& path);
  // The text of a member that is an array of characters.
  Result<std::string> text(VirtAddr object, const std::string& path);
  // A text that ends with NUL, of at most `most` bytes.
  Result<std::string> text_at(VirtAddr address, std::size_t most);

  // The address of a symbol of the kernel. Errc::not_found.
  Result<VirtAddr> symbol(std::string_view name) const;
  // Of a per-CPU variable on that Linux CPU.
  Result<VirtAddr> per_cpu(std::string_view name, std::size_t cpu) const;
  // Reads the first `most` bits of a CPU mask, such as __cpu_online_mask.
  Result<std::vector<bool>> cpu_mask(std::string_view name) const;

  const MemoryImage& image;
  const kernel::GuestKernel& kernel;
  const kernel::Architecture& arch;
  const kernel::Kallsyms& kallsyms;
  const Result<kernel::Btf> btf;
  const Result<kernel::Modules> modules;
  kernel::Symbols symbols;
  const Result<kernel::Unwinder> unwinder;
  const Result<kernel::TaskLayout> task_layout;
  const Result<std::vector<std::uint64_t>> per_cpu_offsets;  // by Linux CPU

 private:
  std::map<std::string, Result<kernel::BtfField>> fields_;
};

}  // namespace vmcore::triage
