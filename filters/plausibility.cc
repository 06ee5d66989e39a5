// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/plausibility.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "filters/zones.h"
#include "src/image/page.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/kallsyms.h"

namespace vmcore::filters {
namespace {

using kernel::GuestKernel;

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
    const auto zones = read_zones(kernel_);
    const auto counted = zones ? count_free(kernel_, *zones) : std::nullopt;
    if (!counted) {
      remark("the number of free pages was not checked: the kernel's own count cannot be read");
    } else if (!counted->listed) {
      compare(kFree, "free", seen_.free + seen_.unaccepted, {counted->counter, counted->counter});
    } else {
      compare(mask_of(PageClass::free), "free", seen_.free, {*counted->listed, *counted->listed});
      // The counter has them beside what is listed, but for what is listed in isolated blocks.
      const std::uint64_t least = counted->counter - std::min(counted->counter, *counted->listed);
      compare(mask_of(PageClass::unaccepted), "unaccepted", seen_.unaccepted,
              {least, counted->counter});
    }
  }

  void offline_sections() {
    if (seen_.doubtful_offline != 0) {
      doubts_.unreached |= mask_of(PageClass::offline_section);
      remark(
          fmt::format("{} pages in offline memory blocks are kept: which of them are memory of "
                      "devices is not known",
                      seen_.doubtful_offline));
    }
  }

  // In a kernel that exports PG_slab but does not set it any more, slab pages look anonymous.
  void user_pages() {
    constexpr ClassMask kUser = mask_of(PageClass::user);
    // Whether a page is cache or anonymous hangs on slab pages being told as well.
    constexpr ClassMask kMapped =
        kUser | mask_of(PageClass::cache) | mask_of(PageClass::private_cache);
    if (!layout_.tells_slab()) {
      distrust(kUser, "user pages are kept: slab pages cannot be distinguished from them");
    } else if (seen_.slab == 0) {
      distrust(kUser,
               "user pages are kept: no slab page was found, so the two cannot be distinguished");
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
      distrust(
          mask_of(entry.page_class),
          fmt::format("{} pages are kept: the kernel's {} is among them", entry.title, page.what));
    }
  }

  Doubts take() { return std::move(doubts_); }

 private:
  // How many pages the kernel counts.
  struct Counted {
    std::uint64_t least;
    std::uint64_t most;
  };

  void compare(ClassMask classes, const char* what, std::uint64_t seen, Counted counted) {
    if (seen > counted.most + tolerance(counted.most)) {
      distrust(classes, fmt::format("{} pages are kept: {} look {}, the kernel counts {}", what,
                                    seen, what, counted.most));
    } else if (seen + tolerance(counted.least) < counted.least) {
      doubts_.unreached |= classes;
      remark(
          fmt::format("only {} of the {} {} pages that the kernel counts were found: the rest "
                      "is kept",
                      seen, counted.least, what));
    }
  }

  // Counters lag by at most 125 pages a CPU and zone, and a guest that runs goes on while it is
  // looked at; 2 % and 16 MiB allow for many of them.
  static std::uint64_t tolerance(std::uint64_t counted) {
    return std::max<std::uint64_t>(4096, counted / 50);
  }

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

void look_at(const Census& census, KernelPage& page) {
  if (census.with_memmap.contains(page.pfn)) {
    page.classes &= ~mask_of(PageClass::no_memmap);
  }
  for (const ClassName& entry : kClassNames) {
    if (census.pages[static_cast<std::size_t>(entry.page_class)].contains(page.pfn)) {
      page.classes |= mask_of(entry.page_class);
    }
  }
}

// Objects that are the kernel's whatever struct pages say: init_task, and what variables of the
// kernel's allocators point to, most of which is slab.
template <class Add>
void add_known_objects(const GuestKernel& kernel, Add add_mapped) {
  if (kernel.kallsyms() == nullptr) {
    return;
  }
  add_mapped("init_task", kernel.kallsyms()->find("init_task"));
  const auto variables = kernel.kallsyms()->find(
      {"kmem_cache", "kmem_cache_node", "task_struct_cachep", "signal_cachep", "sighand_cachep",
       "files_cachep", "fs_cachep", "vm_area_cachep", "names_cachep", "filp_cachep", "dentry_cache",
       "inode_cachep", "radix_tree_node_cachep", "anon_vma_cachep"});
  for (const auto& variable : variables) {
    const auto object = variable ? pointer_at(kernel, *variable) : std::nullopt;
    if (object && *object >= kernel.arch().kernel_half) {
      add_mapped("slab object", object);
    }
  }
}

}  // namespace

Evidence gather_evidence(const kernel::GuestKernel& kernel, const kernel::Memmap& memmap) {
  Evidence evidence;
  const auto add = [&](std::string_view what, PhysAddr address) {
    evidence.kernel_pages.push_back({what, pfn_of(address)});
  };
  const auto add_mapped = [&](std::string_view what, std::optional<VirtAddr> address) {
    if (address) {
      if (const auto mapping = kernel.page_tables().translate(*address)) {
        add(what, mapping->address);
      }
    }
  };
  const auto add_tables = [&](VirtAddr address) {
    std::vector<PhysAddr> way;
    static_cast<void>(kernel.page_tables().translate(address, &way));
    for (const PhysAddr table : way) {
      add("page table", table);
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
    add_tables(run.pages);
  }
  add_tables(kernel.info().symbol("_stext").value_or(VirtAddr{}));
  add_known_objects(kernel, add_mapped);
  return evidence;
}

void Evidence::add(const Census& census) {
  filters::add(census.seen, seen);
  for (KernelPage& page : kernel_pages) {
    look_at(census, page);
  }
  for (KernelPage& page : in_use) {
    look_at(census, page);
  }
}

std::optional<KernelPage> used_and_left_out(const Evidence& evidence, ClassMask excluded) {
  const auto found = std::ranges::find_if(evidence.in_use, [excluded](const KernelPage& page) {
    return (page.classes & excluded) != 0;
  });
  return found == evidence.in_use.end() ? std::nullopt : std::optional(*found);
}

Doubts doubts_about(const Evidence& evidence, const kernel::GuestKernel& kernel,
                    const PageLayout& layout) {
  Checks checks(evidence.seen, kernel, layout);
  checks.free_pages();
  checks.offline_sections();
  checks.user_pages();
  for (const KernelPage& page : evidence.kernel_pages) {
    checks.kernel_page(page);
  }
  return checks.take();
}

}  // namespace vmcore::filters
