// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/memmap.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <set>
#include <span>

#include "src/base/little_endian.h"
#include "src/image/page.h"
#include "src/kernel/arch/arch.h"

namespace vmcore::kernel {
namespace {

constexpr std::uint64_t kMaxPages = kMaxPhysAddr / kPageSize;

// Flags in the low bits of section_mem_map. Their number grew from 2 to 6 (v4.13, v5.3, v5.12,
// v6.15), but the value above them is a page-aligned array minus a multiple of 2^15 struct pages
// (include/linux/mmzone.h), so that the bits below the page size are free.
constexpr std::uint64_t kSectionPresent = 1ULL << 0;
constexpr std::uint64_t kSectionHasMemmap = 1ULL << 1;
// SECTION_IS_ONLINE (v4.13, 2d070eab2e82; no kernel set the bit before).
constexpr std::uint64_t kSectionOnline = 1ULL << 2;
constexpr std::uint64_t kSectionFlags = kPageSize - 1;

// The most pages with struct pages of offline sections that are looked up: 512 GiB of memory have
// as many where they are mapped by 4 KiB.
constexpr std::uint64_t kMaxLookups = 1ULL << 21;

struct SparseLayout {
  VirtAddr mem_section;            // as VMCOREINFO says
  std::uint64_t section_size = 0;  // bytes of struct mem_section
  std::uint64_t map_offset = 0;    // of section_mem_map in it
  std::uint64_t sections = 0;      // in all
  std::uint64_t sections_per_root = 0;
  bool extreme = false;  // an array of pointers to roots, not of sections
  std::uint64_t pages_per_section = 0;
  std::uint64_t struct_page_size = 0;
  VirtAddr kernel_half;  // where kernel addresses begin
  // For struct pages that must be somewhere, but where a section says they cannot be. Reading them
  // fails, so that their pages are kept.
  VirtAddr nowhere;
};

Result<std::uint64_t> required(std::optional<std::uint64_t> value, const char* what) {
  if (!value) {
    return fail(Errc::not_found, "memmap: VMCOREINFO has no {}", what);
  }
  return *value;
}

Result<std::uint64_t> struct_page_size(const Vmcoreinfo& info) {
  TRY_ASSIGN(const std::uint64_t size, required(info.size("page"), "SIZE(page)"));
  if (size < 32 || size > 256 || size % 8 != 0) {
    return fail(Errc::malformed, "memmap: SIZE(page)={} is not plausible", size);
  }
  return size;
}

// NUMBER(MAX_PHYSMEM_BITS) came with v5.9 (1d50e5d0c505), NUMBER(SECTION_SIZE_BITS) with v5.13
// (4f5aecdff25f).
Result<SparseLayout> sparse_layout(const GuestKernel& kernel) {
  const Vmcoreinfo& info = kernel.info();
  const Architecture& arch = kernel.arch();
  SparseLayout layout;
  layout.kernel_half = arch.kernel_half;
  layout.nowhere = arch.nowhere;
  layout.mem_section = info.symbol("mem_section").value_or(VirtAddr{});
  TRY_ASSIGN(layout.struct_page_size, struct_page_size(info));
  TRY_ASSIGN(layout.section_size, required(info.size("mem_section"), "SIZE(mem_section)"));
  TRY_ASSIGN(layout.map_offset, required(info.offset("mem_section.section_mem_map"),
                                         "OFFSET(mem_section.section_mem_map)"));
  TRY_ASSIGN(const std::uint64_t length,
             required(info.length("mem_section"), "LENGTH(mem_section)"));
  const std::int64_t section_bits = info.number("SECTION_SIZE_BITS").value_or(arch.section_bits);
  const std::int64_t memory_bits =
      info.number("MAX_PHYSMEM_BITS").value_or(arch.memory_bits(kernel.page_tables()));
  if (section_bits < 24 || section_bits > 34 || memory_bits < 36 || memory_bits > 52) {
    return fail(Errc::malformed, "memmap: implausible SECTION_SIZE_BITS {} / MAX_PHYSMEM_BITS {}",
                section_bits, memory_bits);
  }
  if (!std::has_single_bit(layout.section_size) || layout.section_size < 8 ||
      layout.section_size > 256 || layout.map_offset > layout.section_size - 8) {
    return fail(Errc::malformed,
                "memmap: implausible SIZE(mem_section)={}, OFFSET(mem_section.section_mem_map)={}",
                layout.section_size, layout.map_offset);
  }
  layout.pages_per_section = 1ULL << (section_bits - kPageShift);
  layout.sections = 1ULL << (memory_bits - section_bits);
  layout.sections_per_root = kPageSize / layout.section_size;
  const std::uint64_t roots =
      (layout.sections + layout.sections_per_root - 1) / layout.sections_per_root;
  layout.extreme = length == roots;
  if (!layout.extreme && length != layout.sections) {
    return fail(Errc::malformed, "memmap: implausible LENGTH(mem_section)={} for {} sections",
                length, layout.sections);
  }
  layout.sections = std::min(layout.sections, kMaxPages / layout.pages_per_section);
  return layout;
}

// Collects the present sections of memory in ascending order.
class Runs {
 public:
  explicit Runs(const SparseLayout& layout) : layout_(&layout) {}

  // `sections`: consecutive struct mem_section, the first of which is number `first`.
  void add(std::uint64_t first, std::span<const std::byte> sections) {
    const std::uint64_t count = sections.size() / layout_->section_size;
    for (std::uint64_t i = 0; i < count && first + i < layout_->sections; ++i) {
      add_section(first + i,
                  load<std::uint64_t>(sections, i * layout_->section_size + layout_->map_offset)
                      .value_or(0));
    }
  }

  std::vector<MemmapRun> take() { return std::move(runs_); }

 private:
  void add_section(std::uint64_t number, std::uint64_t coded) {
    constexpr std::uint64_t kBoth = kSectionPresent | kSectionHasMemmap;
    if ((coded & kBoth) != kBoth) {
      return;
    }
    const Pfn first{number * layout_->pages_per_section};
    const std::uint64_t ahead = first.value * layout_->struct_page_size;
    VirtAddr pages{(coded & ~kSectionFlags) + ahead};
    if (pages < layout_->kernel_half) {
      pages = layout_->nowhere + ahead;
    }
    const bool offline = (coded & kSectionOnline) == 0;
    if (!runs_.empty()) {
      MemmapRun& last = runs_.back();
      if (last.offline == offline && last.first + last.count == first &&
          last.pages + last.count * layout_->struct_page_size == pages) {
        last.count += layout_->pages_per_section;
        return;
      }
    }
    runs_.push_back({first, layout_->pages_per_section, pages, offline});
  }

  const SparseLayout* layout_;
  std::vector<MemmapRun> runs_;
};

std::uint64_t root_count(const SparseLayout& layout) {
  return (layout.sections + layout.sections_per_root - 1) / layout.sections_per_root;
}

// The sections of the page-sized roots that root_address(root number) tells; null where there is
// none. A root that cannot be read is an error: its pages would pass for memory that Linux does not
// know.
template <class AddressOf>
Result<std::vector<MemmapRun>> walk_roots(const GuestKernel& kernel, const SparseLayout& layout,
                                          AddressOf root_address) {
  Runs runs(layout);
  std::vector<std::byte> sections(layout.sections_per_root * layout.section_size);
  for (std::uint64_t root = 0; root < root_count(layout); ++root) {
    const VirtAddr address = root_address(root);
    if (address.value == 0) {
      continue;
    }
    if (address < layout.kernel_half) {
      return fail(Errc::malformed,
                  "memmap: section root {} is at {:#x}, which is not a kernel address", root,
                  address.value);
    }
    TRY(kernel.read_exactly(address, sections));
    runs.add(root * layout.sections_per_root, sections);
  }
  return runs.take();
}

// SPARSEMEM_EXTREME: an array of pointers, one a root; most are null.
Result<std::vector<MemmapRun>> walk_extreme(const GuestKernel& kernel, const SparseLayout& layout,
                                            VirtAddr array) {
  std::vector<std::uint64_t> roots(root_count(layout));
  TRY(kernel.read_exactly(array, std::as_writable_bytes(std::span(roots))));
  return walk_roots(kernel, layout, [&](std::uint64_t root) { return VirtAddr{roots[root]}; });
}

Result<std::vector<MemmapRun>> walk_static(const GuestKernel& kernel, const SparseLayout& layout) {
  return walk_roots(kernel, layout, [&](std::uint64_t root) {
    return layout.mem_section + root * layout.sections_per_root * layout.section_size;
  });
}

bool lead_to_struct_pages(const GuestKernel& kernel, const std::vector<MemmapRun>& runs) {
  return std::any_of(runs.begin(), runs.end(), [&](const MemmapRun& run) {
    return kernel.page_tables().translate(run.pages).has_value();
  });
}

// SYMBOL(mem_section) is the root array, but in some v4.14 and v4.15 kernels the pointer to it
// (corrected by a0b1280368d1): read as roots, that leads to no struct page.
Result<std::vector<MemmapRun>> sparse_runs(const GuestKernel& kernel, const SparseLayout& layout) {
  if (!layout.extreme) {
    return walk_static(kernel, layout);
  }
  auto runs = walk_extreme(kernel, layout, layout.mem_section);
  if (runs && lead_to_struct_pages(kernel, *runs)) {
    return runs;
  }
  const auto array = kernel.read_value<std::uint64_t>(layout.mem_section);
  if (!array || *array < kernel.arch().kernel_half.value) {
    return runs;
  }
  auto others = walk_extreme(kernel, layout, {*array});
  return others && lead_to_struct_pages(kernel, *others) ? std::move(others) : std::move(runs);
}

bool text_is_online(const GuestKernel& kernel, const std::vector<MemmapRun>& runs) {
  const auto text =
      kernel.page_tables().translate(kernel.info().symbol("_stext").value_or(VirtAddr{}));
  return text && std::any_of(runs.begin(), runs.end(), [&](const MemmapRun& run) {
           const Pfn pfn = pfn_of(text->address);
           return !run.offline && pfn >= run.first && pfn < run.first + run.count;
         });
}

// The sections, by number, in which struct pages of offline runs lie: memmap_on_memory (v5.13,
// a08a2ae34613) puts those of a memory block at its own start, a namespace of persistent memory may
// do the same. Nothing where there are too many to look at.
std::optional<std::set<std::uint64_t>> sections_with_struct_pages(
    const GuestKernel& kernel, const SparseLayout& layout, const std::vector<MemmapRun>& runs) {
  std::set<std::uint64_t> sections;
  std::uint64_t lookups = 0;
  for (const MemmapRun& run : runs) {
    const VirtAddr end = run.pages + run.count * layout.struct_page_size;
    for (VirtAddr at = run.pages; run.offline && at < end; ++lookups) {
      if (lookups == kMaxLookups) {
        return std::nullopt;
      }
      const auto mapping = kernel.page_tables().translate(at);
      if (mapping) {
        const std::uint64_t size = std::min(mapping->size, end - at);
        const std::uint64_t section_bytes = layout.pages_per_section * kPageSize;
        sections.insert(mapping->address.value / section_bytes);
        sections.insert((mapping->address.value + size - 1) / section_bytes);
        at = at + mapping->size;
      } else {
        at = at + (kPageSize - at.value % kPageSize);
      }
    }
  }
  return sections;
}

// Offline runs less the sections in `used`, which count as online.
std::vector<MemmapRun> without_sections(const SparseLayout& layout,
                                        const std::vector<MemmapRun>& runs,
                                        const std::set<std::uint64_t>& used) {
  std::vector<MemmapRun> split;
  for (const MemmapRun& run : runs) {
    Pfn done = run.first;
    const auto append = [&](Pfn end, bool offline) {
      if (end != done) {
        split.push_back(
            {done, end - done, run.pages + (done - run.first) * layout.struct_page_size, offline});
        done = end;
      }
    };
    const std::uint64_t first = run.first.value / layout.pages_per_section;
    const Pfn end = run.first + run.count;
    for (auto section = used.lower_bound(first);
         run.offline && section != used.end() && *section * layout.pages_per_section < end.value;
         ++section) {
      append({*section * layout.pages_per_section}, true);
      append({(*section + 1) * layout.pages_per_section}, false);
    }
    append(end, run.offline);
  }
  return split;
}

// Takes back what is said of runs that are offline where it is not certain.
std::vector<MemmapRun> doubt_offline(const GuestKernel& kernel, const SparseLayout& layout,
                                     std::vector<MemmapRun> runs) {
  const auto used = text_is_online(kernel, runs) ? sections_with_struct_pages(kernel, layout, runs)
                                                 : std::nullopt;
  if (used) {
    return without_sections(layout, runs, *used);
  }
  for (MemmapRun& run : runs) {
    run.offline = false;
  }
  return runs;
}

Result<Memmap> read_sparse(const GuestKernel& kernel) {
  TRY_ASSIGN(const SparseLayout layout, sparse_layout(kernel));
  TRY_ASSIGN(std::vector<MemmapRun> runs, sparse_runs(kernel, layout));
  if (!lead_to_struct_pages(kernel, runs)) {
    return fail(Errc::malformed, "memmap: mem_section does not lead to any struct page");
  }
  runs = doubt_offline(kernel, layout, std::move(runs));
  return Memmap{std::move(runs), layout.struct_page_size};
}

// FLATMEM: one array for the only node.
Result<Memmap> read_flat(const GuestKernel& kernel, VirtAddr mem_map, VirtAddr node) {
  const Vmcoreinfo& info = kernel.info();
  Memmap memmap;
  TRY_ASSIGN(memmap.struct_page_size, struct_page_size(info));
  TRY_ASSIGN(const std::uint64_t start_at, required(info.offset("pglist_data.node_start_pfn"),
                                                    "OFFSET(pglist_data.node_start_pfn)"));
  TRY_ASSIGN(const std::uint64_t pages_at, required(info.offset("pglist_data.node_spanned_pages"),
                                                    "OFFSET(pglist_data.node_spanned_pages)"));
  TRY_ASSIGN(const auto start, kernel.read_value<std::uint64_t>(node + start_at));
  TRY_ASSIGN(const auto count, kernel.read_value<std::uint64_t>(node + pages_at));
  TRY_ASSIGN(const auto pages, kernel.read_value<std::uint64_t>(mem_map));
  if (start >= kMaxPages || count == 0 || count > kMaxPages - start ||
      pages < kernel.arch().kernel_half.value || !kernel.page_tables().translate({pages})) {
    return fail(Errc::malformed,
                "memmap: implausible mem_map: {} pages from page frame {}, at {:#x}", count, start,
                pages);
  }
  memmap.runs.push_back({Pfn{start}, count, VirtAddr{pages}});
  return memmap;
}

}  // namespace

Result<Memmap> read_memmap(const GuestKernel& kernel) {
  if (kernel.info().symbol("mem_section")) {
    return read_sparse(kernel);
  }
  const auto mem_map = kernel.info().symbol("mem_map");
  const auto node = kernel.info().symbol("contig_page_data");
  if (mem_map && node) {
    return read_flat(kernel, *mem_map, *node);
  }
  return fail(Errc::not_found, "memmap: VMCOREINFO has neither mem_section nor mem_map");
}

}  // namespace vmcore::kernel
