#include "filters/plausibility.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace vmcore::filters {
namespace {

using kernel::GuestKernel;

constexpr std::uint64_t kMaxNodes = 4096;
constexpr std::uint64_t kMaxZones = 16;

// NR_FREE_PAGES summed over all zones of all nodes (struct zone.vm_stat). Nothing where VMCOREINFO
// does not lead there. The counters lag behind by what CPUs keep to themselves.
std::optional<std::uint64_t> counted_free_pages(const GuestKernel& kernel) {
  const auto& info = kernel.info();
  const auto zones_at = info.offset("pglist_data.node_zones");
  const auto zone_count_at = info.offset("pglist_data.nr_zones");
  const auto stat_at = info.offset("zone.vm_stat");
  const auto zone_size = info.size("zone");
  const auto index = info.number("NR_FREE_PAGES");
  if (!zones_at || !zone_count_at || !stat_at || !zone_size || !index || *index < 0 ||
      *index > 64 || *zone_size > (1U << 20) || *zone_count_at > (1U << 24)) {
    return std::nullopt;
  }
  std::vector<VirtAddr> nodes;
  if (const auto contiguous = info.symbol("contig_page_data")) {
    nodes.push_back(*contiguous);
  } else if (const auto table = info.symbol("node_data")) {
    std::vector<std::uint64_t> pointers(std::min(info.length("node_data").value_or(1), kMaxNodes));
    const auto read = kernel.read(*table, std::as_writable_bytes(std::span(pointers)));
    pointers.resize(read ? read->good / sizeof(std::uint64_t) : 0);
    for (const std::uint64_t node : pointers) {
      if (node != 0) {
        nodes.push_back({node});
      }
    }
  }
  std::uint64_t sum = 0;
  bool any = false;
  for (const VirtAddr node : nodes) {
    const auto zones = kernel.read_value<std::uint32_t>(node + *zone_count_at);
    if (!zones || *zones > kMaxZones) {
      return std::nullopt;
    }
    for (std::uint64_t zone = 0; zone < *zones; ++zone) {
      const auto free =
          kernel.read_value<std::int64_t>(node + (*zones_at + zone * *zone_size + *stat_at +
                                                  static_cast<std::uint64_t>(*index) * 8));
      if (!free) {
        return std::nullopt;
      }
      sum += static_cast<std::uint64_t>(std::max<std::int64_t>(*free, 0));
      any = true;
    }
  }
  return any ? std::optional(sum) : std::nullopt;
}

std::optional<VirtAddr> pointer_at(const GuestKernel& kernel, VirtAddr address) {
  const auto pointer = kernel.read_value<std::uint64_t>(address);
  return pointer ? std::optional(VirtAddr{*pointer}) : std::nullopt;
}

// Where the text of the kernel log begins: in the ring buffer, or before v5.10 the record buffer.
std::optional<VirtAddr> log_text(const GuestKernel& kernel) {
  const auto& info = kernel.info();
  if (const auto buffer = info.symbol("log_buf")) {
    return pointer_at(kernel, *buffer);
  }
  const auto symbol = info.symbol("prb");
  const auto text_ring = info.offset("printk_ringbuffer.text_data_ring");
  const auto data = info.offset("prb_data_ring.data");
  if (!symbol || !text_ring || !data) {
    return std::nullopt;
  }
  const auto ring = pointer_at(kernel, *symbol);
  return ring ? pointer_at(kernel, *ring + *text_ring + *data) : std::nullopt;
}

class Checks {
 public:
  Checks(const CensusCounts& seen, const GuestKernel& kernel, const PageLayout& layout)
      : seen_(seen), kernel_(kernel), layout_(layout) {}

  void free_pages() {
    constexpr ClassMask kFree = mask_of(PageClass::free) | mask_of(PageClass::unaccepted);
    if (!layout_.buddy_type) {
      distrust(kFree, "free pages are kept: VMCOREINFO has no PAGE_BUDDY_MAPCOUNT_VALUE");
      return;
    }
    const auto counted = counted_free_pages(kernel_);
    if (!counted) {
      remark("the number of free pages could not be checked against the kernel's own count");
      return;
    }
    // Per-CPU deltas are at most 125 pages a CPU and zone; 2 % and 16 MiB allow for many of them.
    const std::uint64_t tolerance = std::max<std::uint64_t>(4096, *counted / 50);
    if (seen_.free > *counted + tolerance) {
      distrust(kFree, fmt::format("free pages are kept: {} look free, the kernel counts {}",
                                  seen_.free, *counted));
    } else if (seen_.free + tolerance < *counted) {
      doubts_.unreached |= kFree;
      remark(
          fmt::format("only {} of the {} free pages that the kernel counts were found: the rest "
                      "is kept",
                      seen_.free, *counted));
    }
  }

  // In a kernel that exports PG_slab but does not set it any more, slab pages look anonymous.
  void user_pages() {
    constexpr ClassMask kUser = mask_of(PageClass::user);
    // Whether a page is cache or anonymous hangs on slab pages being told as well.
    constexpr ClassMask kMapped =
        kUser | mask_of(PageClass::cache) | mask_of(PageClass::private_cache);
    if (!layout_.tells_slab()) {
      distrust(kUser, "user pages are kept: slab pages cannot be told from them");
    } else if (seen_.slab == 0) {
      distrust(kUser, "user pages are kept: no slab page was found, so they cannot be told apart");
    }
    if (seen_.with_tail < (seen_.heads + 1) / 2) {
      distrust(kMapped, "user and cache pages are kept: compound pages have no tail pages");
    }
  }

  void kernel_page(const KernelPage& page) {
    for (const ClassName& entry : kClassNames) {
      if ((excluded_classes(kMaxLevel) & page.classes & mask_of(entry.page_class)) == 0) {
        continue;
      }
      if (entry.page_class == PageClass::no_memmap) {
        doubts_.unreached = ~ClassMask{0};  // the memmap has gaps: anything may lie there
      }
      distrust(mask_of(entry.page_class),
               fmt::format("{} pages are kept: the kernel's {} would have been left out",
                           entry.title, page.what));
    }
  }

  Doubts take() { return std::move(doubts_); }

 private:
  void remark(std::string text) { doubts_.remarks.push_back({Errc::malformed, std::move(text)}); }
  void distrust(ClassMask classes, std::string text) {
    if ((doubts_.distrusted & classes) != classes) {
      doubts_.distrusted |= classes;
      remark(std::move(text));
    }
  }

  const CensusCounts& seen_;
  const GuestKernel& kernel_;
  const PageLayout& layout_;
  Doubts doubts_;
};

}  // namespace

Evidence gather_evidence(const kernel::GuestKernel& kernel, const kernel::Memmap& memmap) {
  Evidence evidence;
  const auto add = [&](std::string_view what, PhysAddr address) {
    evidence.kernel_pages.push_back({what, {address.value / 4096}});
  };
  const auto add_mapped = [&](std::string_view what, std::optional<VirtAddr> address) {
    if (address) {
      if (const auto mapping = kernel.page_tables().translate(*address)) {
        add(what, mapping->address);
      }
    }
  };
  add("top page table", kernel.page_tables().root());
  for (const char* symbol : {"init_uts_ns", "_stext", "swapper_pg_dir", "init_task", "prb",
                             "log_buf", "mem_section", "node_data", "node_online_map"}) {
    add_mapped(symbol, kernel.info().symbol(symbol));
  }
  add_mapped("log text", log_text(kernel));
  for (const kernel::MemmapRun& run : memmap.runs) {
    add_mapped("memmap", run.pages);
  }
  return evidence;
}

void Evidence::add(const Census& census) {
  filters::add(census.seen, seen);
  for (KernelPage& page : kernel_pages) {
    if (census.with_memmap.contains(page.pfn)) {
      page.classes &= ~mask_of(PageClass::no_memmap);
    }
    for (const ClassName& entry : kClassNames) {
      if (census.pages[static_cast<std::size_t>(entry.page_class)].contains(page.pfn)) {
        page.classes |= mask_of(entry.page_class);
      }
    }
  }
}

Doubts doubts_about(const Evidence& evidence, const kernel::GuestKernel& kernel,
                    const PageLayout& layout) {
  Checks checks(evidence.seen, kernel, layout);
  checks.free_pages();
  checks.user_pages();
  for (const KernelPage& page : evidence.kernel_pages) {
    checks.kernel_page(page);
  }
  return checks.take();
}

}  // namespace vmcore::filters
