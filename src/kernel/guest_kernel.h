// SPDX-License-Identifier: GPL-2.0-or-later
// GuestKernel: the kernel found in a memory image: its VMCOREINFO, its page tables, and how to read
// its virtual memory. Everything in src/kernel and filters/ starts from here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/image/image.h"
#include "src/image/info_place.h"
#include "src/kernel/page_tables.h"
#include "src/kernel/vmcoreinfo.h"

namespace vmcore::kernel {

// Where the VMCOREINFO came from.
enum class InfoSource : std::uint8_t {
  note,       // the image's own note (or the kdump sub-header)
  registers,  // found through CR3 and the kernel image
  search,     // found by scanning memory for its page
};

class Kallsyms;
class TypeNumbers;

class GuestKernel {
 public:
  const Vmcoreinfo& info() const { return info_; }
  InfoSource info_source() const { return info_source_; }
  // Where its text lies; nothing where a note has it.
  std::optional<PhysAddr> info_address() const { return info_address_; }
  const PageTables& page_tables() const { return page_tables_; }

  const Architecture& arch() const { return page_tables_.arch(); }

  // Physical minus virtual offset of the kernel image: PA = VA - arch().kernel_map + phys_base.
  std::int64_t phys_base() const { return phys_base_; }
  // Start of the direct map (PAGE_OFFSET, randomised by KASLR), verified by translating; nothing
  // where it could not be established.
  std::optional<VirtAddr> page_offset() const { return page_offset_; }
  // The kernel image [_stext's aligned start, end) in virtual memory, as far as it is mapped
  // linearly by phys_base. size is 0 where not known.
  struct VirtRange {
    VirtAddr begin;
    std::uint64_t size = 0;
  };
  VirtRange image_range() const { return image_range_; }

  // The kernel's symbols; null if it has none (CONFIG_KALLSYMS), or they are broken.
  const Kallsyms* kallsyms() const { return kallsyms_.get(); }

  // What its BTF tells that filters need; null if there is none, or it cannot be used. The first
  // call reads it; copies of this kernel, in other images too, keep the result. Thread-safe.
  const TypeNumbers* types() const;

  // Reads kernel virtual memory; a short `good` where a page is not mapped or not in the image.
  // `first_bad` of the result is the *physical* address where there is one.
  Result<ReadExtent> read(VirtAddr address, std::span<std::byte> out) const;
  // All of `out`, or Errc::unreadable naming the address.
  Result<> read_exactly(VirtAddr address, std::span<std::byte> out) const;
  template <class T>
  Result<T> read_value(VirtAddr address) const {
    T value{};
    TRY(read_exactly(address, std::as_writable_bytes(std::span<T, 1>(&value, 1))));
    return value;
  }

  const PhysicalMemory& memory() const { return *memory_; }

 private:
  friend class KernelFinder;
  friend Result<GuestKernel> validate_kernel(const Architecture& arch, const PhysicalMemory& memory,
                                             const Vmcoreinfo& info, std::int64_t phys_base);
  struct Types;
  GuestKernel(const PhysicalMemory& memory, Vmcoreinfo info, PageTables page_tables);

  const PhysicalMemory* memory_;  // borrowed: the image outlives its kernels
  Vmcoreinfo info_;
  PageTables page_tables_;
  InfoSource info_source_ = InfoSource::note;
  std::optional<PhysAddr> info_address_;
  std::int64_t phys_base_ = 0;
  std::optional<VirtAddr> page_offset_;
  VirtRange image_range_;
  std::shared_ptr<const Kallsyms> kallsyms_;
  std::shared_ptr<Types> types_;
};

// A kernel that lies in memory and is not believed to be the guest's.
struct DoubtedKernel {
  GuestKernel kernel;
  std::string why;  // for a remark
};

struct FoundKernels {
  // Validated against the memory they describe (uts release and, where exported, the build-id's
  // note; _stext translates), and run by a vCPU where the image tells CR3 (proof.h). The kernel to
  // filter by comes first. Empty where none was found.
  std::vector<GuestKernel> kernels;
  // Validated, but not run by any vCPU: of an earlier boot, mostly.
  std::vector<DoubtedKernel> doubted;
  std::vector<Remark> remarks;
};

// Names the kernels that are not believed, and why: for an image where none is.
Remark remark_on_doubted(const FoundKernels& found);

// How hard to look where the image has no usable VMCOREINFO note.
enum class Search : std::uint8_t {
  registers,  // only what CR3 and the kernel image lead to: reads a few MiB
  memory,     // scan all of memory for the VMCOREINFO page: for files
  first,      // the same up to the first kernel: for what will be looked at again
};

// Finds the kernels of the image, which must outlive them. A note that does not validate is a
// Remark and the search goes on. Fails only where the image's memory cannot be read at all.
// `before`, which may be null, is what was found in the same memory a moment ago: it is validated,
// and taken where nothing speaks against it, so that less is read. `hint` is read before anything
// is searched. If it leads to the kernel that a vCPU runs, nothing is searched; without registers,
// if it leads to the kernel that booted last.
Result<FoundKernels> find_kernels(const MemoryImage& image, Search search,
                                  const FoundKernels* before = nullptr,
                                  const std::optional<InfoPlace>& hint = {});

// What a later look at the same guest may be given as a hint: where the only kernel was found.
std::optional<InfoPlace> place_of(const FoundKernels& found);

}  // namespace vmcore::kernel
