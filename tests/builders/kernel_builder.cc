// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/kernel_builder.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "src/image/page.h"
#include "src/kernel/vmcoreinfo.h"
#include "tests/builders/kallsyms_builder.h"
#include "tests/builders/kernel_types.h"

namespace vmcore::testing {
namespace {

const std::string kLongSymbol(300, 'l');
constexpr std::uint64_t kLargePage = 2ULL << 20;
constexpr std::uint64_t kStructPage = 64;
constexpr std::uint64_t kSectionPages = 1ULL << 15;
constexpr VirtAddr kKernelMap{0xffff'ffff'8000'0000};
constexpr VirtAddr kImage{0xffff'ffff'8100'0000};
constexpr std::uint64_t kImageBytes = 4ULL << 20;
constexpr std::uint64_t kPoolBytes = 12ULL << 20;  // of page tables, memmap and the like
constexpr unsigned kCpus = 4;
constexpr std::uint64_t kNoteAt = 0xa00;  // in the page of a CPU's lists

// Page flags that VMCOREINFO does not export.
constexpr std::uint64_t kUptodate = 1U << 3;
constexpr std::uint64_t kReserved = 1ULL << 21;

constexpr std::uint64_t kAddressSpace = 0xffff'8880'0123'4560;  // some kernel object

struct NamedKind {
  std::string_view name;
  PageKind kind;
};
constexpr std::array kKinds{NamedKind{"kernel", PageKind::kernel},
                            NamedKind{"reserved", PageKind::reserved},
                            NamedKind{"free", PageKind::free},
                            NamedKind{"cache", PageKind::cache},
                            NamedKind{"private_cache", PageKind::private_cache},
                            NamedKind{"shmem", PageKind::shmem},
                            NamedKind{"anon", PageKind::anon},
                            NamedKind{"ksm", PageKind::ksm},
                            NamedKind{"swapcache", PageKind::swapcache},
                            NamedKind{"hugetlb", PageKind::hugetlb},
                            NamedKind{"slab", PageKind::slab},
                            NamedKind{"compound", PageKind::compound},
                            NamedKind{"offline", PageKind::offline},
                            NamedKind{"hwpoison", PageKind::hwpoison},
                            NamedKind{"unaccepted", PageKind::unaccepted},
                            NamedKind{"freed", PageKind::freed}};

[[noreturn]] void die(const std::string& message) {
  std::fprintf(stderr, "GuestBuilder: %s\n", message.c_str());
  std::abort();
}

std::uint64_t parse(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size()) {
    die("not a number: " + std::string(text));
  }
  return value;
}

// Takes the first word off `line`.
std::string_view word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view first = line.substr(0, line.find(' '));
  line.remove_prefix(first.size());
  return first;
}

PageKind kind_of(std::string_view name) {
  for (const NamedKind& entry : kKinds) {
    if (entry.name == name) {
      return entry.kind;
    }
  }
  die("no page kind: " + std::string(name));
}

std::uint64_t align_up(std::uint64_t value, std::uint64_t align) {
  return (value + align - 1) / align * align;
}

// What the struct page of a head holds.
struct Fields {
  std::uint64_t flags = kUptodate;
  std::uint64_t mapping = 0;
  std::uint64_t mapcount = 0xffff'ffff;  // or the type
  std::uint64_t references = 1;
  std::uint64_t owner = 0;  // page.private
  std::uint64_t tail_flags = 0;
  bool compound = false;
};

// The numbers of a layout, by name.
class Numbers {
 public:
  explicit Numbers(const KernelLayout& layout) : info_(parse_lines(layout)) {}
  std::uint64_t flag(const char* name) const {
    const auto bit = info_.number(name);
    return bit ? 1ULL << *bit : 0;
  }
  // As it stands in _mapcount; that of a page without a type where there is none of that name.
  std::uint64_t type(const char* name) const {
    return static_cast<std::uint64_t>(info_.number(name).value_or(-1)) & 0xffff'ffff;
  }
  std::uint64_t head_mask() const {
    return static_cast<std::uint64_t>(info_.number("PG_head_mask").value_or(0));
  }

 private:
  static kernel::Vmcoreinfo parse_lines(const KernelLayout& layout) {
    const std::string text = fmt::format("OSRELEASE=-\n{}", layout.lines);
    return *kernel::Vmcoreinfo::parse(std::as_bytes(std::span(text)));
  }
  kernel::Vmcoreinfo info_;
};

// Pages on an LRU list: file cache and anonymous memory.
void describe_user_page(PageKind kind, const Numbers& numbers, Fields& fields) {
  const bool shmem_or_anon = kind != PageKind::cache && kind != PageKind::private_cache;
  fields.flags |= numbers.flag("PG_lru");
  fields.flags |= shmem_or_anon ? numbers.flag("PG_swapbacked") : 0;
  fields.mapping = kAddressSpace;
  if (kind == PageKind::private_cache) {
    fields.flags |= numbers.flag("PG_private");
    fields.owner = kAddressSpace + 0x1000;
  }
  if (kind == PageKind::anon || kind == PageKind::swapcache || kind == PageKind::ksm) {
    fields.flags |= kind == PageKind::swapcache ? numbers.flag("PG_swapcache") : 0;
    fields.mapping |= kind == PageKind::ksm ? 3 : 1;
    fields.mapcount = 0;
  }
}

Fields fields_of(const KernelLayout& layout, PageKind kind, unsigned order) {
  const Numbers numbers(layout);
  Fields fields;
  fields.compound = order > 0;
  switch (kind) {
    case PageKind::kernel:
    case PageKind::compound:
      break;
    case PageKind::reserved:
      fields.flags |= kReserved;
      break;
    case PageKind::free:
    case PageKind::unaccepted:
      fields.mapcount = numbers.type(kind == PageKind::free ? "PAGE_BUDDY_MAPCOUNT_VALUE"
                                                            : "PAGE_UNACCEPTED_MAPCOUNT_VALUE");
      fields.references = 0;
      fields.owner = kind == PageKind::free ? order : 0;
      fields.compound = false;
      break;
    case PageKind::cache:
    case PageKind::private_cache:
    case PageKind::shmem:
    case PageKind::anon:
    case PageKind::ksm:
    case PageKind::swapcache:
      describe_user_page(kind, numbers, fields);
      break;
    case PageKind::hugetlb:
      fields.mapping = kAddressSpace | 1;
      fields.mapcount = numbers.type("PAGE_HUGETLB_MAPCOUNT_VALUE");
      fields.tail_flags = numbers.flag("PG_hugetlb");
      break;
    case PageKind::slab:
      fields.flags |= numbers.flag("PG_slab");
      fields.mapping = 0x1d;
      fields.mapcount = numbers.type("PAGE_SLAB_MAPCOUNT_VALUE");
      break;
    case PageKind::offline:
      fields.mapcount = numbers.type("PAGE_OFFLINE_MAPCOUNT_VALUE");
      break;
    case PageKind::freed:
      fields.references = 0;
      fields.compound = false;
      break;
    case PageKind::hwpoison:
      fields.flags |= numbers.flag("PG_hwpoison");
      break;
  }
  fields.flags |= fields.compound ? numbers.head_mask() : 0;
  return fields;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

}  // namespace

std::vector<std::byte> page_pattern(Pfn pfn) {
  std::vector<std::uint64_t> words(kPageSize / sizeof(std::uint64_t));
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = (pfn.value << 16) ^ (i * 0x9e37'79b9'7f4a'7c15);
  }
  const auto bytes = bytes_of(words);
  return {bytes.begin(), bytes.end()};
}

GuestBuilder::GuestBuilder(std::string_view layout) : layout_(find_layout(layout)) {
  if (layout_ == nullptr) {
    die("no layout: " + std::string(layout));
  }
}

GuestBuilder& GuestBuilder::ram(std::uint64_t mebibytes) {
  ram_.front() = {{0}, mebibytes << 20};
  return *this;
}

GuestBuilder& GuestBuilder::add_ram(PhysRange range) {
  ram_.push_back(range);
  return *this;
}

GuestBuilder& GuestBuilder::five_levels() {
  five_levels_ = true;
  page_offset_ = VirtAddr{0xff11'0000'0000'0000};
  vmemmap_ = VirtAddr{0xffd4'0000'0000'0000};
  return *this;
}

GuestBuilder& GuestBuilder::kaslr(std::uint64_t offset, std::int64_t phys_base,
                                  VirtAddr page_offset) {
  image_offset_ = offset;
  phys_base_ = phys_base;
  page_offset_ = page_offset;
  return *this;
}

GuestBuilder& GuestBuilder::memory_encryption(std::uint64_t mask) {
  encryption_ = mask;
  return *this;
}

GuestBuilder& GuestBuilder::pages(std::string_view description) {
  while (!description.empty()) {
    std::string_view line = description.substr(0, description.find('\n'));
    description.remove_prefix(std::min(line.size() + 1, description.size()));
    const std::string_view pfn = word(line);
    if (pfn.empty()) {
      continue;
    }
    const PageKind kind = kind_of(word(line));
    const std::string_view order = word(line);
    page(Pfn{parse(pfn, 16)}, kind, order.empty() ? 0 : static_cast<unsigned>(parse(order, 10)));
  }
  return *this;
}

GuestBuilder& GuestBuilder::page(Pfn pfn, PageKind kind, unsigned order) {
  described_[pfn] = {kind, kind == PageKind::unaccepted ? 10 : order};
  return *this;
}

GuestBuilder& GuestBuilder::zero(Pfn pfn) {
  zero_.insert(pfn);
  return *this;
}

GuestBuilder& GuestBuilder::excluded(Pfn pfn) {
  excluded_.insert(pfn);
  return *this;
}

GuestBuilder& GuestBuilder::free_counter(std::int64_t pages) {
  free_counter_ = pages;
  return *this;
}

GuestBuilder& GuestBuilder::free_lists(std::uint64_t pages) {
  free_lists_ = pages;
  return *this;
}

GuestBuilder& GuestBuilder::isolated(Pfn pfn) {
  isolated_.insert(pfn);
  return *this;
}

GuestBuilder& GuestBuilder::zone(PfnRange range, unsigned index) {
  zones_.emplace_back(range, index);
  return *this;
}

GuestBuilder& GuestBuilder::offline_section(std::uint64_t number) {
  offline_sections_.insert(number);
  return *this;
}

GuestBuilder& GuestBuilder::memmap_in_section(std::uint64_t number) {
  memmap_in_section_.insert(number);
  return *this;
}

GuestBuilder& GuestBuilder::log(std::uint64_t nanoseconds, std::string_view text,
                                std::uint32_t caller) {
  log_.push_back({nanoseconds, std::string(text), caller});
  return *this;
}

GuestBuilder& GuestBuilder::types() {
  has_types_ = true;
  return *this;
}

GuestBuilder& GuestBuilder::crash_notes(std::vector<unsigned> cpus) {
  crash_notes_ = std::move(cpus);
  return types();
}

GuestBuilder& GuestBuilder::listed(unsigned cpu, unsigned list, std::vector<Pfn> blocks) {
  for (const Pfn block : blocks) {
    page(block, PageKind::freed, per_cpu_lists(*layout_).order(list));
  }
  listed_[{cpu, list}] = std::move(blocks);
  return types();
}

GuestBuilder& GuestBuilder::room(std::string_view begin, std::uint64_t bytes,
                                 std::string_view end) {
  rooms_.push_back({std::string(begin), bytes, std::string(end)});
  return *this;
}

GuestBuilder& GuestBuilder::command_line(std::string_view text) {
  command_line_ = text;
  return *this;
}

GuestBuilder& GuestBuilder::crash_region(PhysRange range, bool loaded) {
  crash_region_ = range;
  panic_kernel_loaded_ = loaded;
  return *this;
}

GuestBuilder& GuestBuilder::panicked(std::uint32_t cpu) {
  panic_cpu_ = cpu;
  return *this;
}

GuestBuilder& GuestBuilder::vmcoreinfo(std::string_view key,
                                       std::optional<std::string_view> value) {
  overrides_[std::string(key)] = value;
  return *this;
}

GuestBuilder& GuestBuilder::without_symbols() {
  has_symbols_ = false;
  return *this;
}

GuestBuilder& GuestBuilder::without_note() {
  note_ = false;
  return *this;
}

GuestBuilder& GuestBuilder::cpus(std::vector<CpuState> cpus) {
  cpus_ = std::move(cpus);
  return *this;
}

std::uint64_t GuestBuilder::per_cpu_offset(unsigned cpu) const {
  return page_offset_.value + 0x100'0000 + cpu * kPerCpuBytes;
}

VirtAddr GuestBuilder::image_begin() const { return kImage + image_offset_; }

PhysAddr GuestBuilder::physical(VirtAddr image_address) const {
  return {image_address - kKernelMap + static_cast<std::uint64_t>(phys_base_)};
}

VirtAddr GuestBuilder::reserve_image(std::uint64_t size, std::uint64_t align) {
  image_used_ = align_up(image_used_, align) + size;
  if (image_used_ > kImageBytes) {
    die("the kernel image is full");
  }
  return image_begin() + (image_used_ - size);
}

PhysAddr GuestBuilder::reserve_pages(std::uint64_t count) {
  pages_used_ += count;
  if (pages_used_ * kPageSize > kPoolBytes) {
    die("no room for page tables and memmap: less RAM, please");
  }
  return physical(image_begin()) + kImageBytes + (pages_used_ - count) * kPageSize;
}

void GuestBuilder::write_image(VirtAddr at, std::span<const std::byte> bytes) {
  memory_->write(physical(at), bytes);
}

void GuestBuilder::put(std::string key, std::string value) {
  lines_.emplace_back(std::move(key), std::move(value));
}

// Maps one page of that level: 1 is 4 KiB, 2 is 2 MiB.
void GuestBuilder::map(VirtAddr from, PhysAddr to, unsigned level) {
  constexpr std::uint64_t kTableFlags = 0x63;
  constexpr std::uint64_t kPageFlags = (1ULL << 63) | 0x163;  // NX, global, dirty, accessed, rw
  PhysAddr table = root_;
  for (unsigned at = five_levels_ ? 5 : 4; at > level; --at) {
    const PhysAddr slot = table + ((from.value >> (12 + 9 * (at - 1))) & 511) * 8;
    std::uint64_t entry = 0;
    if (!memory_->read(slot, std::as_writable_bytes(std::span(&entry, 1)))) {
      die("page tables outside RAM");
    }
    if (entry == 0) {
      entry = reserve_pages(1).value | kTableFlags | encryption_;
      memory_->write_value(slot, entry);
    }
    table = PhysAddr{entry & 0x000f'ffff'ffff'f000 & ~encryption_};
  }
  const PhysAddr slot = table + ((from.value >> (12 + 9 * (level - 1))) & 511) * 8;
  memory_->write_value(slot, to.value | kPageFlags | encryption_ | (level > 1 ? 0x80U : 0U));
}

void GuestBuilder::map_image_and_ram() {
  const VirtAddr top = reserve_image(kPageSize, kPageSize);
  root_ = physical(top);
  symbols_["init_top_pgt"] = top;
  for (std::uint64_t at = 0; at < kImageBytes; at += kLargePage) {
    map(image_begin() + at, physical(image_begin()) + at, 2);
  }
  for (const PhysRange& range : ram_) {
    for (PhysAddr at = range.begin; at < range.end(); at = at + kLargePage) {
      map(direct(at), at, 2);
    }
  }
}

void GuestBuilder::build_trampoline() {
  std::uint64_t kernel_half = 0;
  if (!memory_->read(root_ + 511 * 8, std::as_writable_bytes(std::span(&kernel_half, 1)))) {
    die("page tables outside RAM");
  }
  memory_->write_value(kTrampoline, reserve_pages(1).value | 0x63U);
  memory_->write_value(kTrampoline + 511 * 8, kernel_half & ~0x20ULL);
}

void GuestBuilder::build_uts() {
  symbols_["_stext"] = reserve_image(kPageSize, kPageSize);
  const VirtAddr uts = reserve_image(512);
  symbols_["init_uts_ns"] = uts;
  const std::uint64_t name = layout_->name == "5.4" ? 4 : 0;
  constexpr std::uint64_t kMember = 65;
  unsigned member = 0;
  for (const std::string_view text :
       {std::string_view("Linux"), std::string_view("guest"), layout_->release}) {
    write_image(uts + name + kMember * member++, std::as_bytes(std::span(text)));
  }
  const VirtAddr line = reserve_image(command_line_.size() + 1);
  write_image(line, std::as_bytes(std::span(command_line_)));
  symbols_["saved_command_line"] = reserve_image(8);
  memory_->write_value(physical(symbols_["saved_command_line"]), line.value);
  symbols_["crashk_res"] = reserve_image(16);
  if (crash_region_.size != 0) {
    memory_->write_value(physical(symbols_["crashk_res"]), crash_region_.begin.value);
    memory_->write_value(physical(symbols_["crashk_res"] + 8), crash_region_.end().value - 1);
  }
  symbols_["page_offset_base"] = reserve_image(8);
  memory_->write_value(physical(symbols_["page_offset_base"]), page_offset_.value);
  symbols_["kexec_crash_image"] = reserve_image(8);
  const VirtAddr image = panic_kernel_loaded_ ? direct(crash_region_.begin) : VirtAddr{};
  memory_->write_value(physical(symbols_["kexec_crash_image"]), image.value);
  symbols_["panic_cpu"] = reserve_image(8);
  memory_->write_value(physical(symbols_["panic_cpu"]), panic_cpu_);
}

VirtAddr GuestBuilder::struct_page(Pfn pfn) const { return vmemmap_ + pfn.value * kStructPage; }

PhysAddr GuestBuilder::struct_page_at(Pfn pfn) const {
  const VirtAddr at = struct_page(pfn);
  return memmap_pages_.at(at.value / kPageSize) + at.value % kPageSize;
}

void GuestBuilder::set_page_field(Pfn pfn, std::uint64_t offset, std::uint64_t value,
                                  unsigned bytes) {
  const VirtAddr at = struct_page(pfn) + offset;
  const auto page = memmap_pages_.find(at.value / kPageSize);
  if (page == memmap_pages_.end()) {
    die("a page without RAM: " + std::to_string(pfn.value));
  }
  memory_->write(page->second + at.value % kPageSize,
                 std::as_bytes(std::span(&value, 1)).first(bytes));
}

// Three bits for the zone, below ten for the node, as with 1024 nodes and ZONE_DEVICE.
void GuestBuilder::set_flags(Pfn pfn, std::uint64_t flags) {
  std::uint64_t zone = 1;
  for (const auto& [range, index] : zones_) {
    zone = pfn >= range.first && pfn < range.end() ? index : zone;
  }
  set_page_field(pfn, 0, flags | zone << 51, 8);
}

// Sections with RAM have a memmap as a whole, as in the kernel.
void GuestBuilder::build_memmap() {
  const bool with_extension = layout_->name != "5.4";
  const std::uint64_t section_bytes = with_extension ? 32 : 16;
  const std::uint64_t per_root = kPageSize / section_bytes;
  const unsigned memory_bits = five_levels_ ? 52 : 46;
  const std::uint64_t roots = (1ULL << (memory_bits - 27)) / per_root;
  std::set<std::uint64_t> sections;
  for (const PhysRange& range : ram_) {
    for (std::uint64_t pfn = range.begin.value / kPageSize; pfn < range.end().value / kPageSize;
         ++pfn) {
      sections.insert(pfn / kSectionPages);
    }
  }
  const std::uint64_t used_roots = *sections.rbegin() / per_root + 1;
  const std::uint64_t array_pages =
      align_up(std::max(used_roots, roots) * 8, kPageSize) / kPageSize;
  const PhysAddr array = reserve_pages(array_pages);
  std::map<std::uint64_t, PhysAddr> root_pages;
  for (const std::uint64_t section : sections) {
    auto [root, fresh] = root_pages.try_emplace(section / per_root);
    if (fresh) {
      root->second = reserve_pages(1);
      memory_->write_value(array + root->first * 8, direct(root->second).value);
    }
    const std::uint64_t present_and_early = with_extension ? 0xf : 0x7;
    const std::uint64_t online = offline_sections_.count(section) == 0 ? 0 : 0x4;
    memory_->write_value(root->second + section % per_root * section_bytes,
                         vmemmap_.value | (present_and_early & ~online));
    const std::uint64_t bytes = kSectionPages * kStructPage;
    const PhysAddr pages = memmap_in_section_.count(section) == 0
                               ? reserve_pages(bytes / kPageSize)
                               : PhysAddr{section * kSectionPages * kPageSize};
    for (std::uint64_t at = 0; at < bytes; at += kPageSize) {
      const VirtAddr from = struct_page(Pfn{section * kSectionPages}) + at;
      map(from, pages + at, 1);
      memmap_pages_[from.value / kPageSize] = pages + at;
    }
    for (std::uint64_t pfn = section * kSectionPages; pfn < (section + 1) * kSectionPages; ++pfn) {
      set_flags(Pfn{pfn}, 0);
      set_page_field(Pfn{pfn}, 48, 0xffff'ffff, 4);
      set_page_field(Pfn{pfn}, 52, 1, 4);
    }
  }
  symbols_["mem_section"] = direct(array);
  put("LENGTH(mem_section)", std::to_string(roots));
  if (with_extension) {
    put("NUMBER(MAX_PHYSMEM_BITS)", std::to_string(memory_bits));
  }
  for (const auto& [pfn, page] : described_) {
    build_struct_page(pfn, page);
  }
}

void GuestBuilder::build_struct_page(Pfn pfn, const Described& page) {
  const Fields fields = fields_of(*layout_, page.kind, page.order);
  set_flags(pfn, fields.flags);
  set_page_field(pfn, 24, fields.mapping, 8);
  set_page_field(pfn, 40, fields.owner, 8);
  set_page_field(pfn, 48, fields.mapcount, 4);
  set_page_field(pfn, 52, fields.references, 4);
  const std::uint64_t count = 1ULL << page.order;
  const std::uint64_t mask = ~(count * kStructPage - 1);
  for (std::uint64_t i = 1; i < count; ++i) {
    set_page_field(pfn + i, 52, 0, 4);
    if (fields.compound) {
      set_page_field(pfn + i, 8, (layout_->mask_in_tail ? mask : struct_page(pfn).value) | 1, 8);
    }
  }
  if (!fields.compound || count == 1) {
    return;
  }
  if (layout_->compound == CompoundStyle::tail_bytes) {
    set_page_field(pfn + 1, 16, page.kind == PageKind::hugetlb ? 2 : 1, 1);
    set_page_field(pfn + 1, 17, page.order, 1);
  } else {
    set_flags(pfn + 1, page.order | fields.tail_flags);
  }
}

// Each list leads to the first of its blocks, and no further.
void GuestBuilder::build_free_lists(PhysAddr zone) {
  constexpr std::uint64_t kAreaBytes = 88;
  constexpr std::uint64_t kLru = 8;
  std::array<std::uint64_t, 11> blocks{};
  for (std::uint64_t order = 0; order < blocks.size(); ++order) {
    for (std::uint64_t type = 0; type < 5; ++type) {
      const PhysAddr list = zone + 256 + order * kAreaBytes + type * 16;
      memory_->write_value(list, direct(list).value);
      memory_->write_value(list + 8, direct(list).value);
    }
  }
  for (auto block = described_.rbegin(); block != described_.rend(); ++block) {
    const auto& [pfn, page] = *block;
    if (page.kind == PageKind::free) {
      const std::uint64_t type = isolated_.count(pfn) == 0 ? 1 : 4;
      ++blocks.at(page.order);
      memory_->write_value(zone + 256 + page.order * kAreaBytes + type * 16,
                           struct_page(pfn).value + kLru);
    }
  }
  if (free_lists_) {
    blocks = {*free_lists_};
  }
  for (std::uint64_t order = 0; order < blocks.size(); ++order) {
    memory_->write_value(zone + 256 + order * kAreaBytes + 80, blocks.at(order));
  }
}

// Each CPU's lists are at the same place of its per-CPU data; the note of its registers follows in
// the same page.
void GuestBuilder::build_listed(PhysAddr zone) {
  lists_ = reserve_pages((kCpus - 1) * kPerCpuBytes / kPageSize + 1);
  memory_->write_value(zone + per_cpu_lists(*layout_).in_zone,
                       direct(lists_).value - per_cpu_offset(0));
  const VirtAddr per_cpu{direct(lists_).value - per_cpu_offset(0)};
  symbols_["crash_notes"] = reserve_image(8);
  memory_->write_value(physical(symbols_["crash_notes"]), (per_cpu + kNoteAt).value);
  for (const unsigned cpu : crash_notes_) {
    memory_->write_value(lists_of(cpu) + kNoteAt, std::uint64_t{0x150'0000'0005});
  }
  for (unsigned cpu = 0; cpu < kCpus; ++cpu) {
    build_listed_set(cpu);
  }
}

void GuestBuilder::build_listed_set(unsigned cpu) {
  constexpr std::uint64_t kLru = 8;
  const PerCpuLists sets = per_cpu_lists(*layout_);
  std::uint32_t count = 0;
  for (unsigned list = 0; list < sets.lists; ++list) {
    const VirtAddr head = direct(lists_of(cpu)) + (sets.lists_at + list * 16);
    VirtAddr before = head;
    const auto link = [&](VirtAddr at, std::uint64_t offset, VirtAddr to) {
      const auto page = memmap_pages_.find(at.value / kPageSize);
      const PhysAddr place = page == memmap_pages_.end() ? PhysAddr{at - page_offset_}
                                                         : page->second + at.value % kPageSize;
      memory_->write_value(place + offset, to.value);
    };
    for (const Pfn block : listed_[{cpu, list}]) {
      const VirtAddr entry = struct_page(block) + kLru;
      link(before, 0, entry);
      link(entry, 8, before);
      before = entry;
      count += 1U << sets.order(list);
    }
    link(before, 0, head);
    link(head, 8, before);
  }
  memory_->write_value(lists_of(cpu) + sets.count_at, count);
}

void GuestBuilder::build_btf() {
  const std::vector<std::byte> types = build_types(*layout_);
  symbols_["__start_BTF"] = reserve_image(types.size());
  symbols_["__stop_BTF"] = symbols_["__start_BTF"] + types.size();
  write_image(symbols_["__start_BTF"], types);
}

// One node; its second zone has all the memory.
void GuestBuilder::build_zones() {
  constexpr std::uint64_t kZoneBytes = 1536;
  const std::uint64_t spanned = ram_.back().end().value / kPageSize;
  std::int64_t free = 0;
  for (const auto& [pfn, page] : described_) {
    const bool counted = page.kind == PageKind::free || page.kind == PageKind::unaccepted;
    free += counted && isolated_.count(pfn) == 0 ? std::int64_t{1} << page.order : 0;
  }
  const PhysAddr node = reserve_pages(2);
  build_free_lists(node + kZoneBytes);
  if (has_types_) {
    build_listed(node + kZoneBytes);
    build_btf();
  }
  memory_->write_value(node + kZoneBytes + 1344, free_counter_.value_or(free));
  memory_->write_value(node + kZoneBytes + 144, spanned);
  memory_->write_value(node + 6144, std::uint32_t{3});
  memory_->write_value(node + 6168, spanned);
  const VirtAddr node_data = reserve_image(1024 * 8);
  memory_->write_value(physical(node_data), direct(node).value);
  symbols_["node_data"] = node_data;
  put("LENGTH(node_data)", "1024");
  const VirtAddr online = reserve_image(128);
  memory_->write_value(physical(online), std::uint64_t{1});
  symbols_["node_online_map"] = online;
}

void GuestBuilder::build_log_ring() {
  constexpr unsigned kDescBits = 6;
  constexpr unsigned kTextBits = 12;
  constexpr std::uint64_t kCount = 1U << kDescBits;
  const VirtAddr ring = reserve_image(88);
  const VirtAddr descs = reserve_image(kCount * 24);
  const VirtAddr infos = reserve_image(kCount * 88);
  const VirtAddr text = reserve_image(1U << kTextBits);
  // The ids of the kernel begin so that the first wraps soon: DESC0_ID.
  const std::uint64_t first_id = (~0ULL >> 2) - 1;
  std::uint64_t position = 0 - (1ULL << kTextBits);  // BLK0_LPOS
  std::uint64_t id = first_id;
  std::uint64_t sequence = 0;
  for (const auto& [time, message, caller] : log_) {
    // A record without text has no block: EMPTY_LINE_LPOS.
    const std::uint64_t size = message.empty() ? 0 : align_up(8 + message.size(), 8);
    std::uint64_t next = position + size;
    std::uint64_t at = position % (1U << kTextBits);
    if (at + size > 1U << kTextBits) {
      next = align_up(position, 1U << kTextBits) + size;
      at = 0;
    }
    const std::uint64_t index = id % kCount;
    memory_->write_value(physical(descs + index * 24), id | (2ULL << 62));
    memory_->write_value(physical(descs + index * 24 + 8), size == 0 ? 3 : position);
    memory_->write_value(physical(descs + index * 24 + 16), size == 0 ? 3 : next);
    memory_->write_value(physical(infos + index * 88), sequence++);
    memory_->write_value(physical(infos + index * 88 + 8), time);
    memory_->write_value(physical(infos + index * 88 + 16),
                         static_cast<std::uint16_t>(message.size()));
    memory_->write_value(physical(infos + index * 88 + 19), std::uint8_t{6 << 5});
    memory_->write_value(physical(infos + index * 88 + 20), caller);
    if (size != 0) {
      memory_->write_value(physical(text + at), id);
      write_image(text + at + 8, std::as_bytes(std::span(message)));
    }
    position = next;
    id = (id + 1) & (~0ULL >> 2);
  }
  const std::uint64_t last_id = (id - 1) & (~0ULL >> 2);
  const std::uint64_t tail = log_.size() > kCount ? (id - kCount) & (~0ULL >> 2) : first_id;
  memory_->write_value(physical(ring), std::uint32_t{kDescBits});
  memory_->write_value(physical(ring + 8), descs.value);
  memory_->write_value(physical(ring + 16), infos.value);
  memory_->write_value(physical(ring + 24), log_.empty() ? first_id : last_id);
  memory_->write_value(physical(ring + 32), tail);
  memory_->write_value(physical(ring + 48), std::uint32_t{kTextBits});
  memory_->write_value(physical(ring + 56), text.value);
  symbols_["prb"] = reserve_image(8);
  memory_->write_value(physical(symbols_["prb"]), ring.value);
}

void GuestBuilder::build_log_records() {
  constexpr std::uint32_t kBytes = 4096;
  const VirtAddr buffer = reserve_image(kBytes);
  std::uint32_t at = 0;
  for (const auto& [time, message, caller] : log_) {
    const auto length = static_cast<std::uint16_t>(align_up(16 + message.size(), 8));
    if (at + length + 16U > kBytes) {
      die("the log has no room for more records");
    }
    memory_->write_value(physical(buffer + at), time);
    memory_->write_value(physical(buffer + at + 8), length);
    memory_->write_value(physical(buffer + at + 10), static_cast<std::uint16_t>(message.size()));
    memory_->write_value(physical(buffer + at + 15), std::uint8_t{6 << 5});
    write_image(buffer + at + 16, std::as_bytes(std::span(message)));
    at += length;
  }
  for (const char* name : {"log_buf", "log_buf_len", "log_first_idx", "log_next_idx"}) {
    symbols_[name] = reserve_image(8);
  }
  memory_->write_value(physical(symbols_["log_buf"]), buffer.value);
  memory_->write_value(physical(symbols_["log_buf_len"]), kBytes);
  memory_->write_value(physical(symbols_["log_next_idx"]), at);
}

void GuestBuilder::build_cpus() {
  symbols_["nr_cpu_ids"] = reserve_image(8);
  memory_->write_value(physical(symbols_["nr_cpu_ids"]), std::uint32_t{kCpus});
  symbols_["__per_cpu_offset"] = reserve_image(kCpus * 8);
  for (unsigned cpu = 0; cpu < kCpus; ++cpu) {
    memory_->write_value(physical(symbols_["__per_cpu_offset"] + cpu * 8), per_cpu_offset(cpu));
  }
  symbols_["__cpu_possible_mask"] = reserve_image(8);
  memory_->write_value(physical(symbols_["__cpu_possible_mask"]), std::uint64_t{0xf});
  symbols_["__cpu_online_mask"] = reserve_image(8);
  memory_->write_value(physical(symbols_["__cpu_online_mask"]), std::uint64_t{0x1});
}

void GuestBuilder::build_kallsyms() {
  symbols_["_end"] = image_begin() + kImageBytes;
  symbols_[kLongSymbol] = image_begin() + 0x2000;
  std::vector<KallsymsSymbol> all;
  for (const auto& [name, address] : symbols_) {
    if (name != "mem_section") {  // the array's address, not the variable's
      all.push_back({name, 'D', address});
    }
  }
  if (!layout_->place_relative) {
    all.push_back({"fixed_percpu_data", 'A', {0}});
  }
  const KallsymsStyle style{layout_->offsets_first, layout_->place_relative, layout_->kallsyms};
  // The size does not depend on the place.
  const VirtAddr at = reserve_image(testing::build_kallsyms(all, style, {0}).bytes.size());
  const KallsymsImage tables = testing::build_kallsyms(all, style, at);
  write_image(at, tables.bytes);
  for (const auto& [name, place] : tables.places) {
    symbols_[name] = at + place;
  }
}

// Only what the kernel itself exports; saved_command_line and the like are known to kallsyms only.
void GuestBuilder::build_text() {
  put("NUMBER(phys_base)", std::to_string(phys_base_));
  put("NUMBER(pgtable_l5_enabled)", five_levels_ ? "1" : "0");
  put("NUMBER(sme_mask)", std::to_string(encryption_));
  for (const auto& [name, address] : symbols_) {
    const bool exported = name == "init_uts_ns" || name == "_stext" || name == "init_top_pgt" ||
                          name == "mem_section" || name == "prb" || name == "node_data" ||
                          name == "node_online_map" || name.starts_with("log_") ||
                          (name.starts_with("kallsyms_") && layout_->kallsyms);
    if (exported) {
      put(fmt::format("SYMBOL({})", name), fmt::format("{:x}", address.value));
    }
  }
  text_ = fmt::format("OSRELEASE={}\n{}", layout_->release, layout_->lines);
  for (const auto& [key, value] : lines_) {
    text_ += fmt::format("{}={}\n", key, value);
  }
  std::string kept;
  std::string_view rest = text_;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n') + 1);
    rest.remove_prefix(line.size());
    if (!overrides_.contains(line.substr(0, line.find('=')))) {
      kept += line;
    }
  }
  for (const auto& [key, value] : overrides_) {
    if (value) {
      // OSRELEASE has to stay the first line, by which the text is found.
      kept.insert(key == "OSRELEASE" ? 0 : kept.size(), fmt::format("{}={}\n", key, *value));
    }
  }
  text_ = kept;
}

MemoryImage GuestBuilder::build() {
  memory_ = std::make_unique<SparseMemory>(ram_);
  map_image_and_ram();
  build_trampoline();
  build_uts();
  build_memmap();
  build_zones();
  layout_->log_ring ? build_log_ring() : build_log_records();
  build_cpus();
  const VirtAddr data_pointer = symbols_["vmcoreinfo_data"] = reserve_image(8);
  symbols_["kexec_in_progress"] = reserve_image(8);
  for (const Room& room : rooms_) {
    symbols_[room.begin] = reserve_image(room.bytes, 16);
    if (!room.end.empty()) {
      symbols_[room.end] = symbols_[room.begin] + room.bytes;
    }
  }
  if (has_symbols_) {
    build_kallsyms();
  }
  build_text();
  const PhysAddr page = reserve_pages(1);
  memory_->write(page, std::as_bytes(std::span(text_)));
  memory_->write_value(physical(data_pointer), direct(page).value);

  for (const auto& [pfn, described] : described_) {
    for (std::uint64_t i = 0; i < 1ULL << described.order; ++i) {
      const Pfn at = pfn + i;
      if (!zero_.contains(at)) {
        memory_->write(PhysAddr{at.value * kPageSize}, page_pattern(at));
      }
    }
  }
  for (const Pfn pfn : excluded_) {
    memory_->exclude(pfn);
  }

  MemoryImage image;
  image.machine.arch = Arch::x86_64;
  image.file.format = "test";
  CpuState cpu;
  cpu.cs.selector = 0x10;
  cpu.rip = symbol("_stext").value;
  cpu.gs.base = per_cpu_offset(0);
  cpu.cr0 = 0x8005'0033;
  cpu.cr3 = root_.value;
  cpu.cr4 = five_levels_ ? 0x1020 : 0x20;
  image.cpus = cpus_.value_or(std::vector{cpu});
  if (note_) {
    const auto text = std::as_bytes(std::span(text_));
    image.notes.push_back({std::string(kNoteNameVmcoreinfo), 0, {text.begin(), text.end()}});
  }
  image.memory = std::move(memory_);
  return image;
}

}  // namespace vmcore::testing
