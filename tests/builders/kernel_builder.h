// SPDX-License-Identifier: GPL-2.0-or-later
// GuestBuilder: the memory of a small x86-64 Linux guest, made from a description: page tables,
// kernel image, VMCOREINFO, mem_section, struct pages, zones, kernel log, symbols.
//
//   GuestBuilder guest("6.12");
//   guest.pages("2000 free 4\n"       // pfn (hex), kind, order (decimal, 0 where left out)
//               "2010 anon\n"
//               "2200 hugetlb 9\n");
//   guest.log(1'500'000'000, "panic!");
//   MemoryImage image = guest.build();
//
// Among its symbols is one whose name is 300 times the letter l.
//
// Page frames below 0x100, and [0x1000, 0x2000) moved by kaslr()'s phys_base and offset, are the
// kernel's own. All that is not described is a kernel page, which no filter may drop.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/image/image.h"
#include "src/image/page_set.h"
#include "tests/builders/kernel_layouts.h"
#include "tests/builders/kernel_memory.h"

namespace vmcore::testing {

enum class PageKind : std::uint8_t {
  kernel,         // "kernel": allocated, nothing known of it
  reserved,       // "reserved": PG_reserved
  free,           // "free": a buddy block of 2^order pages
  cache,          // "cache": a file's clean page; a large folio with an order
  private_cache,  // "private_cache": the same with PG_private
  shmem,          // "shmem": page cache of tmpfs, PG_swapbacked
  anon,           // "anon": a process's page; transparent huge with an order
  ksm,            // "ksm": anonymous and merged
  swapcache,      // "swapcache": anonymous, in the swap cache too
  hugetlb,        // "hugetlb": hugetlbfs
  slab,           // "slab": its `mapping` looks anonymous, as it may from v6.2 on
  compound,       // "compound": a kernel's own compound page
  offline,        // "offline": ballooned or unplugged
  hwpoison,       // "hwpoison"
  freed,          // "freed": on no free list; what listed() makes of pages
  unaccepted,     // "unaccepted": 2^10 pages of TDX or SNP, layout 7.1 only
};

// The page table by which CPUs are started: Architecture::booted_last() looks at it.
inline constexpr PhysAddr kTrampoline{0x99000};

// What build() writes into the page frame `pfn` of a page that is described: recognisable, and no
// two alike. 4096 bytes.
std::vector<std::byte> page_pattern(Pfn pfn);

class GuestBuilder {
 public:
  // `layout`: "5.4", "5.15", "6.1", "6.6", "6.12" or "7.1"; aborts on another.
  explicit GuestBuilder(std::string_view layout);

  // RAM is [0, 64 MiB) unless changed here; further ranges lie where they are told to.
  GuestBuilder& ram(std::uint64_t mebibytes);
  GuestBuilder& add_ram(PhysRange range);

  GuestBuilder& five_levels();
  // Moves the image by `offset` (virtually) and `phys_base` (physically), both multiples of 2 MiB,
  // and the direct map to `page_offset`.
  GuestBuilder& kaslr(std::uint64_t offset, std::int64_t phys_base, VirtAddr page_offset);
  GuestBuilder& memory_encryption(std::uint64_t mask);

  GuestBuilder& pages(std::string_view description);
  GuestBuilder& page(Pfn pfn, PageKind kind, unsigned order = 0);
  // A described page that holds only zeros.
  GuestBuilder& zero(Pfn pfn);
  // The page is RAM, but not in the image.
  GuestBuilder& excluded(Pfn pfn);
  // What the zones say is free, instead of the truth: their counters, and the free lists of order 0
  // (the others are empty then).
  GuestBuilder& free_counter(std::int64_t pages);
  GuestBuilder& free_lists(std::uint64_t pages);
  // The free block that begins there is isolated: in the free lists, and not in the counter.
  GuestBuilder& isolated(Pfn pfn);
  // Pages are in zone 1 of node 0 unless changed here.
  GuestBuilder& zone(PfnRange range, unsigned index);
  // The section of 128 MiB with that number is offline; its struct pages lie in it.
  GuestBuilder& offline_section(std::uint64_t number);
  GuestBuilder& memmap_in_section(std::uint64_t number);

  // The kernel has BTF in memory.
  GuestBuilder& types();
  // The kernel has types(), and saved the registers of these CPUs when it crashed.
  GuestBuilder& crash_notes(std::vector<unsigned> cpus);
  // Blocks of freed pages, the order of which is that of the list, wait on a per-CPU list of zone 1
  // (kernel_types.h), first to last. The kernel has BTF then.
  GuestBuilder& listed(unsigned cpu, unsigned list, std::vector<Pfn> blocks);

  // `caller`, as printk_info.caller_id, is in logs that are a ring.
  GuestBuilder& log(std::uint64_t nanoseconds, std::string_view text, std::uint32_t caller = 0);
  GuestBuilder& command_line(std::string_view text);
  // Reserves zero bytes in the kernel's image between the symbols `begin` and `end` (which may be
  // empty). A test writes into them after build().
  GuestBuilder& room(std::string_view begin, std::uint64_t bytes, std::string_view end = {});
  // The memory that is kept free for a capture kernel (it is RAM all the same), and whether one is
  // loaded there.
  GuestBuilder& crash_region(PhysRange range, bool loaded = true);
  // The kernel is in its panic, on that CPU.
  GuestBuilder& panicked(std::uint32_t cpu);
  // A line of VMCOREINFO, added or replaced; nothing as `value` takes it away.
  GuestBuilder& vmcoreinfo(std::string_view key, std::optional<std::string_view> value);
  // The kernel has no kallsyms in memory.
  GuestBuilder& without_symbols();
  // The image has no VMCOREINFO note; the text is still in memory.
  GuestBuilder& without_note();
  // vCPUs, instead of one in kernel mode that runs as Linux CPU 0. per_cpu_offset() tells what
  // their GS base has to be.
  GuestBuilder& cpus(std::vector<CpuState> cpus);
  std::uint64_t per_cpu_offset(unsigned cpu) const;

  MemoryImage build();

  // Valid after build().
  const std::string& vmcoreinfo_text() const { return text_; }
  VirtAddr symbol(std::string_view name) const { return symbols_.at(std::string(name)); }
  // Where an address of the kernel image lies.
  PhysAddr physical(VirtAddr image_address) const;
  PhysAddr root() const { return root_; }
  // Where the per-CPU lists of that CPU begin, if there are any: what struct zone points to.
  PhysAddr lists_of(unsigned cpu) const { return lists_ + cpu * kPerCpuBytes; }
  VirtAddr page_offset() const { return page_offset_; }
  PhysAddr struct_page_at(Pfn pfn) const;
  VirtAddr vmemmap() const { return vmemmap_; }

 private:
  static constexpr std::uint64_t kPerCpuBytes = 0x10'0000;
  struct Described {
    PageKind kind = PageKind::kernel;
    unsigned order = 0;
  };

  VirtAddr image_begin() const;
  VirtAddr direct(PhysAddr address) const { return page_offset_ + address.value; }
  VirtAddr reserve_image(std::uint64_t size, std::uint64_t align = 8);
  PhysAddr reserve_pages(std::uint64_t count);
  void write_image(VirtAddr at, std::span<const std::byte> bytes);
  void put(std::string key, std::string value);
  void map(VirtAddr from, PhysAddr to, unsigned level);
  void map_image_and_ram();
  void build_trampoline();
  void build_uts();
  void build_memmap();
  void build_struct_page(Pfn pfn, const Described& page);
  void build_zones();
  void build_log_ring();
  void build_log_records();
  void build_cpus();
  void build_kallsyms();
  void build_text();
  void set_page_field(Pfn pfn, std::uint64_t offset, std::uint64_t value, unsigned bytes);
  VirtAddr struct_page(Pfn pfn) const;
  void set_flags(Pfn pfn, std::uint64_t flags);
  void build_free_lists(PhysAddr zone);
  void build_listed(PhysAddr zone);
  void build_listed_set(unsigned cpu);
  void build_btf();

  const KernelLayout* layout_;
  std::vector<PhysRange> ram_{{{0}, 64ULL << 20}};
  bool five_levels_ = false;
  std::uint64_t image_offset_ = 0;
  std::int64_t phys_base_ = 0;
  std::uint64_t encryption_ = 0;
  VirtAddr page_offset_{0xffff'8880'0000'0000};
  VirtAddr vmemmap_{0xffff'ea00'0000'0000};
  std::map<Pfn, Described> described_;
  std::set<Pfn> zero_;
  std::set<Pfn> excluded_;
  std::optional<std::int64_t> free_counter_;
  std::optional<std::uint64_t> free_lists_;
  std::set<Pfn> isolated_;
  std::vector<std::pair<PfnRange, unsigned>> zones_;
  std::set<std::uint64_t> offline_sections_;
  std::set<std::uint64_t> memmap_in_section_;
  bool has_types_ = false;
  std::vector<unsigned> crash_notes_;
  std::map<std::pair<unsigned, unsigned>, std::vector<Pfn>> listed_;  // by CPU and list
  PhysAddr lists_;
  struct LogLine {
    std::uint64_t time;
    std::string message;
    std::uint32_t caller;
  };
  std::vector<LogLine> log_;
  PhysRange crash_region_;
  bool panic_kernel_loaded_ = false;
  std::uint32_t panic_cpu_ = ~0U;
  std::string command_line_ = "root=/dev/vda1 ro";
  struct Room {
    std::string begin;
    std::uint64_t bytes = 0;
    std::string end;
  };
  std::vector<Room> rooms_;
  std::map<std::string, std::optional<std::string>, std::less<>> overrides_;
  bool note_ = true;
  bool has_symbols_ = true;
  std::optional<std::vector<CpuState>> cpus_;

  std::unique_ptr<SparseMemory> memory_;
  std::uint64_t image_used_ = 0;  // bytes
  std::uint64_t pages_used_ = 0;
  PhysAddr root_;
  std::map<std::uint64_t, PhysAddr> memmap_pages_;  // by page frame of the virtual address
  std::map<std::string, VirtAddr> symbols_;
  std::vector<std::pair<std::string, std::string>> lines_;
  std::string text_;
};

}  // namespace vmcore::testing
