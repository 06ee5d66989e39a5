// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/knowledge.h"

#include <algorithm>
#include <array>
#include <span>

#include "src/kernel/cpus.h"
#include "src/kernel/type_numbers.h"

namespace vmcore::triage {
namespace {

// All types that are asked for by name, so that the BTF is searched once.
constexpr std::array<std::string_view, 66> kTypes{
    "task_struct", "signal_struct", "module", "module_memory", "mod_kallsyms",
    "inactive_task_frame", "timekeeper", "tk_data", "pcpu_hot", "cea_exception_stacks", "rq",
    "mm_struct", "percpu_counter", "pglist_data", "zone", "kmem_cache", "kmem_cache_node", "mount",
    "vfsmount", "dentry", "super_block", "file_system_type", "mnt_namespace", "nsproxy", "path",
    "qstr", "files_struct", "fdtable", "file", "mutex", "mutex_waiter", "rw_semaphore",
    "rwsem_waiter", "zone_stat_item", "node_stat_item", "zone_watermarks",
    "kmem_cache_order_objects", "kmem_cache_per_node_ptrs", "rb_node", "inode", "thread_info",
    "fs_struct", "wait_page_queue", "wait_bit_queue_entry", "folio", "page", "address_space",
    "buffer_head", "bh_state_bits", "block_device", "gendisk", "pageflags", "socket", "sock",
    "unix_sock", "unix_address",
    // TypeNumbers
    "mem_section", "free_area", "list_head", "per_cpu_pageset", "per_cpu_pages", "uts_namespace",
    "vmap_area", "pagetype", "compound_dtor_id", "migratetype"};

Result<kernel::Btf> read_btf(const kernel::GuestKernel& kernel) {
  TRY_ASSIGN(kernel::Btf btf, kernel::Btf::of_kernel(kernel, *kernel.kallsyms()));
  TRY(btf.know(kTypes));
  TRY_ASSIGN(const kernel::TypeNumbers numbers, kernel::TypeNumbers::of(btf));
  if (const auto contradiction = numbers.contradiction(kernel.info())) {
    return fail(Errc::malformed, "{}", *contradiction);
  }
  return btf;
}

Result<kernel::Modules> read_modules(const kernel::GuestKernel& kernel,
                                     const Result<kernel::Btf>& btf) {
  TRY_ASSIGN(const kernel::Btf& types, btf);
  return kernel::read_modules(kernel, *kernel.kallsyms(), types);
}

std::vector<kernel::Module> list_of(const Result<kernel::Modules>& modules) {
  return modules ? modules->modules : std::vector<kernel::Module>();
}

Result<kernel::TaskLayout> layout_of(const Result<kernel::Btf>& btf) {
  TRY_ASSIGN(const kernel::Btf& types, btf);
  return kernel::task_layout(types);
}

}  // namespace

Knowledge::Knowledge(const MemoryImage& the_image, const kernel::GuestKernel& the_kernel)
    : image(the_image),
      kernel(the_kernel),
      arch(kernel::architecture_of(the_image.machine)),
      kallsyms(*the_kernel.kallsyms()),
      btf(read_btf(kernel)),
      modules(read_modules(kernel, btf)),
      symbols(kernel, kallsyms, list_of(modules)),
      unwinder(kernel::Unwinder::make(kernel, kallsyms, btf ? &*btf : nullptr, symbols.modules())),
      task_layout(layout_of(btf)),
      per_cpu_offsets(kernel::read_per_cpu_offsets(kernel, kallsyms)) {}

Result<kernel::BtfField> Knowledge::field(const std::string& path) {
  if (!btf) {
    return tl::unexpected(btf.error());
  }
  const auto known = fields_.find(path);
  return known != fields_.end() ? known->second
                                : fields_.emplace(path, btf->field(path)).first->second;
}

Result<VirtAddr> Knowledge::place(VirtAddr object, const std::string& path) {
  TRY_ASSIGN(const kernel::BtfField found, field(path));
  return object + found.offset();
}

Result<std::uint64_t> Knowledge::number(VirtAddr object, const std::string& path) {
  TRY_ASSIGN(const kernel::BtfField found, field(path));
  std::uint64_t value = 0;
  TRY(kernel.read_exactly(object + found.offset(),
                          std::as_writable_bytes(std::span(&value, 1))
                              .first(std::min<std::uint64_t>(found.size, sizeof value))));
  if (found.bits != 0 && found.bits < 64) {
    value = value >> found.bit_offset % 8 & ((1ULL << found.bits) - 1);
  }
  return value;
}

Result<VirtAddr> Knowledge::pointer(VirtAddr object, const std::string& path) {
  TRY_ASSIGN(const std::uint64_t value, number(object, path));
  return VirtAddr{value};
}

Result<std::string> Knowledge::text(VirtAddr object, const std::string& path) {
  constexpr std::uint64_t kMostBytes = 256;
  TRY_ASSIGN(const kernel::BtfField found, field(path));
  return text_at(object + found.offset(), std::min(found.size, kMostBytes));
}

Result<std::string> Knowledge::text_at(VirtAddr address, std::size_t most) {
  std::string text(most, '\0');
  TRY_ASSIGN(const ReadExtent extent,
             kernel.read(address, std::as_writable_bytes(std::span(text))));
  text.resize(extent.good);
  const std::size_t end = text.find('\0');
  if (end == std::string::npos && extent.good < most) {
    return fail(Errc::unreadable, "the text at {:#x} cannot be read", address.value);
  }
  text.resize(std::min(end, text.size()));
  return text;
}

Result<VirtAddr> Knowledge::symbol(std::string_view name) const {
  const auto found = kallsyms.find(name);
  if (!found) {
    return fail(Errc::not_found, "no {} among the kernel's symbols", name);
  }
  return *found;
}

Result<VirtAddr> Knowledge::per_cpu(std::string_view name, std::size_t cpu) const {
  TRY_ASSIGN(const VirtAddr variable, symbol(name));
  TRY_ASSIGN(const auto& offsets, per_cpu_offsets);
  if (cpu >= offsets.size()) {
    return fail(Errc::not_found, "there is no Linux CPU {}", cpu);
  }
  return variable + offsets[cpu];
}

Result<std::vector<bool>> Knowledge::cpu_mask(std::string_view name) const {
  TRY_ASSIGN(const VirtAddr mask, symbol(name));
  TRY_ASSIGN(const auto& offsets, per_cpu_offsets);
  std::vector<std::uint64_t> words((offsets.size() + 63) / 64);
  TRY(kernel.read_exactly(mask, std::as_writable_bytes(std::span(words))));
  std::vector<bool> bits(offsets.size());
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = (words[i / 64] >> i % 64 & 1) != 0;
  }
  return bits;
}

}  // namespace vmcore::triage
