#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/kernel/address_layout.h"
#include "src/kernel/build_id.h"
#include "src/kernel/cpu_anchors.h"
#include "src/kernel/elfcorehdr.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/trampoline.h"
#include "src/kernel/vmcoreinfo_search.h"

namespace vmcore::kernel {
namespace {

// __NEW_UTS_LEN + 1, the size of each member of new_utsname; the release is the third.
constexpr std::size_t kUtsMember = 65;

// More are not looked at: a file may claim any number of vCPUs. Those of an ordinary guest lead to
// one kernel, or to two.
constexpr std::size_t kMaxTables = 64;  // distinct page tables of vCPUs
constexpr std::size_t kMaxImages = 8;   // kernel images, up to 512 MiB each, that are searched

// Where the direct map begins without KASLR: v4.20 (d52888aa2753), before it, and with 5 levels.
constexpr std::array kFixedPageOffsets{
    VirtAddr{0xffff'8880'0000'0000}, VirtAddr{0xffff'8800'0000'0000},
    VirtAddr{0xff11'0000'0000'0000}, VirtAddr{0xff10'0000'0000'0000}};

// The text up to the first NUL.
std::string_view until_nul(std::span<const char> text) {
  return {text.data(), ::strnlen(text.data(), text.size())};
}

// _stext lies where phys_base says: else it is another kernel's VMCOREINFO, or a wrong phys_base.
Result<> check_stext(const PageTables& tables, VirtAddr stext, std::int64_t phys_base) {
  TRY_ASSIGN(const Mapping mapping, tables.translate(stext));
  if (mapping.address != image_to_physical(stext, phys_base)) {
    return fail(Errc::malformed, "_stext is mapped at {:#x}, not at phys_base {:#x}",
                mapping.address.value, phys_base);
  }
  return {};
}

Result<> check_release(const GuestKernel& kernel) {
  const auto uts = kernel.info().symbol("init_uts_ns");
  if (!uts) {
    return fail(Errc::malformed, "VMCOREINFO has no init_uts_ns");
  }
  // v2.6.24 exports the offset of the name; without it there was a kref of 4 bytes before it.
  const std::uint64_t name = kernel.info().offset("uts_namespace.name").value_or(4);
  std::array<char, kUtsMember> release{};
  TRY(kernel.read_exactly(*uts + name + kUtsMember * 2,
                          std::as_writable_bytes(std::span(release))));
  if (until_nul(release) != kernel.info().release()) {
    return fail(Errc::malformed, "init_uts_ns holds another release than VMCOREINFO");
  }
  return {};
}

// Where both build-ids can be had, they have to agree: debug information is found by them.
Result<> check_build_id(const GuestKernel& kernel) {
  if (kernel.kallsyms() == nullptr) {
    return {};
  }
  const auto in_memory = read_build_id(kernel, *kernel.kallsyms());
  if (in_memory && kernel.info().build_id() && *in_memory != *kernel.info().build_id()) {
    return fail(Errc::malformed, "the kernel's build-id is {}, not that of VMCOREINFO", *in_memory);
  }
  return {};
}

// The page tables that VMCOREINFO describes. The symbol is init_top_pgt since v4.13 (65ade2f872b4).
Result<PageTables> kernel_page_tables(const PhysicalMemory& memory, const Vmcoreinfo& info,
                                      std::int64_t phys_base) {
  for (const char* name : {"init_top_pgt", "init_level4_pgt", "swapper_pg_dir"}) {
    const auto symbol = info.symbol(name);
    if (!symbol) {
      continue;
    }
    const PhysAddr root = image_to_physical(*symbol, phys_base);
    if (root.value >= kMaxPhysAddr || root.value % 4096 != 0) {
      return fail(Errc::malformed, "VMCOREINFO: {} lies at {:#x}", name, root.value);
    }
    return PageTables(memory, root, info.number("pgtable_l5_enabled").value_or(0) == 1,
                      static_cast<std::uint64_t>(info.number("sme_mask").value_or(0)));
  }
  return fail(Errc::malformed, "VMCOREINFO has no page tables");
}

// What a vCPU's control registers lead to; the anchors are looked for when they are needed.
struct VcpuTables {
  const CpuState* cpu;
  std::vector<PageTables> tables;
  std::optional<std::vector<KernelAnchor>> anchors;
};

bool same_tables(const std::vector<PageTables>& a, const std::vector<PageTables>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.root() == other.root() && one.five_levels() == other.five_levels();
  });
}

// Of the first vCPUs whose page tables differ.
std::vector<VcpuTables> distinct_tables(const MemoryImage& image) {
  std::vector<VcpuTables> found;
  for (const CpuState& cpu : image.cpus) {
    auto tables = page_tables_of(*image.memory, cpu);
    const bool known = std::any_of(found.begin(), found.end(), [&](const VcpuTables& have) {
      return same_tables(have.tables, tables);
    });
    if (!known && !tables.empty() && found.size() < kMaxTables) {
      found.push_back({&cpu, std::move(tables), {}});
    }
  }
  return found;
}

}  // namespace

class KernelFinder {
 public:
  explicit KernelFinder(const MemoryImage& image)
      : image_(&image), vcpus_(distinct_tables(image)) {}

  Result<FoundKernels> find(Search search, const std::optional<InfoPlace>& hint);
  // Whether they are there still, and no other shows.
  bool take(const FoundKernels& before);
  FoundKernels taken() { return std::move(found_); }

 private:
  Result<GuestKernel> validated(const Vmcoreinfo& info, std::int64_t phys_base) const;
  // Adds the kernel that `info` describes; its phys_base may be wrong where registers know better.
  Result<> add(const Vmcoreinfo& info, InfoSource source, std::optional<PhysAddr> address = {});
  void describe(GuestKernel& kernel);
  void take_note();
  Result<> take_registers();
  Result<> take_hint(const InfoPlace& hint);
  Result<> take_search(Search search);
  const std::vector<KernelAnchor>& anchors_of(VcpuTables& vcpu) const;
  bool is_known(const VcpuTables& vcpu) const;
  bool all_are_capture_kernels() const;
  bool any_is_capture_kernel() const;
  void put_crashed_first();
  void remark(Errc code, std::string text) { found_.remarks.push_back({code, std::move(text)}); }

  const MemoryImage* image_;
  std::vector<VcpuTables> vcpus_;
  FoundKernels found_;
  std::vector<bool> capture_;  // of each found kernel: runs on behalf of a crashed one
};

Result<FoundKernels> KernelFinder::find(Search search, const std::optional<InfoPlace>& hint) {
  take_note();
  TRY(take_registers());
  if (hint && found_.kernels.empty()) {
    TRY(take_hint(*hint));
  }
  if (search != Search::registers && all_are_capture_kernels()) {
    TRY(take_search(search));
  }
  put_crashed_first();
  return std::move(found_);
}

bool KernelFinder::take(const FoundKernels& before) {
  if (before.kernels.size() != 1 || !before.remarks.empty()) {
    return false;  // not so clear that it need not be looked at again
  }
  const GuestKernel& known = before.kernels.front();
  const Note* const note = image_->find_note(kNoteNameVmcoreinfo, 0);
  if (note != nullptr) {
    const auto info = Vmcoreinfo::parse(note->desc);
    if (!info || info->text() != known.info().text()) {
      return false;
    }
  }
  if (!validated(known.info(), known.phys_base())) {
    return false;
  }
  GuestKernel kernel = known;
  kernel.memory_ = image_->memory.get();
  kernel.page_tables_ = known.page_tables().in(*image_->memory);
  kernel.info_source_ = note != nullptr ? InfoSource::note : known.info_source();
  if (told_elfcorehdr(kernel)) {
    return false;  // the crashed one is to be looked for
  }
  found_.kernels.push_back(std::move(kernel));
  return std::ranges::all_of(vcpus_, [&](const VcpuTables& vcpu) { return is_known(vcpu); });
}

Result<GuestKernel> KernelFinder::validated(const Vmcoreinfo& info, std::int64_t phys_base) const {
  const auto stext = info.symbol("_stext");
  if (!stext || *stext < kKernelMap) {
    return fail(Errc::malformed, "VMCOREINFO has no plausible _stext");
  }
  TRY_ASSIGN(PageTables tables, kernel_page_tables(*image_->memory, info, phys_base));
  TRY(check_stext(tables, *stext, phys_base));
  GuestKernel kernel(*image_->memory, info, tables);
  kernel.phys_base_ = phys_base;
  TRY(check_release(kernel));
  return kernel;
}

Result<> KernelFinder::add(const Vmcoreinfo& info, InfoSource source,
                           std::optional<PhysAddr> address) {
  const std::optional<std::int64_t> claimed = info.number("phys_base");  // v4.10, 401721ecd1dc
  Result<GuestKernel> kernel = validated(info, claimed.value_or(0));
  for (VcpuTables& vcpu : vcpus_) {
    if (kernel) {
      break;
    }
    for (const KernelAnchor& anchor : anchors_of(vcpu)) {
      if (auto other = validated(info, anchor.phys_base)) {
        kernel = std::move(other);
        if (claimed) {
          remark(Errc::malformed,
                 fmt::format("VMCOREINFO says phys_base {:#x}, but the CPUs use {:#x}", *claimed,
                             anchor.phys_base));
        }
        break;
      }
    }
  }
  if (!kernel) {
    return tl::unexpected(std::move(kernel).error());
  }
  for (const GuestKernel& have : found_.kernels) {
    if (have.page_tables().root() == kernel->page_tables().root()) {
      return {};
    }
  }
  if (auto kallsyms = Kallsyms::read(*kernel)) {
    kernel->kallsyms_ = std::make_shared<const Kallsyms>(*std::move(kallsyms));
  }
  TRY(check_build_id(*kernel));
  kernel->info_source_ = source;
  kernel->info_address_ = address;
  describe(*kernel);
  found_.kernels.push_back(*std::move(kernel));
  return {};
}

void KernelFinder::describe(GuestKernel& kernel) {
  const VirtAddr stext = kernel.info().symbol("_stext").value_or(VirtAddr{});
  const VirtAddr begin{stext.value & ~(kKernelAlign - 1)};
  std::uint64_t size = linear_size(kernel.page_tables(), kernel.phys_base(), begin);
  std::vector<VirtAddr> offsets;
  if (const auto offset = page_offset_from_mem_section(kernel)) {
    offsets.push_back(*offset);
  }
  bool capture = false;
  if (kernel.kallsyms() != nullptr) {
    const auto symbols = kernel.kallsyms()->find({"_end", "page_offset_base"});
    if (symbols[0] && *symbols[0] > begin && *symbols[0] - begin < size) {
      size = *symbols[0] - begin;
    }
    if (symbols[1]) {
      offsets.push_back({kernel.read_value<std::uint64_t>(*symbols[1]).value_or(0)});
    }
    capture = told_elfcorehdr(kernel).has_value();
  }
  kernel.image_range_ = {begin, size};
  for (const VirtAddr fixed : kFixedPageOffsets) {
    offsets.push_back(fixed);
  }
  kernel.page_offset_ = verified_page_offset(kernel, offsets);
  if (!kernel.page_offset_) {
    remark(Errc::not_found, "the start of the kernel's direct map could not be established");
  }
  capture_.push_back(capture);
}

void KernelFinder::take_note() {
  const Note* const note = image_->find_note(kNoteNameVmcoreinfo, 0);
  if (note == nullptr) {
    return;
  }
  const auto info = Vmcoreinfo::parse(note->desc);
  const Result<> added = info ? add(*info, InfoSource::note) : tl::unexpected(info.error());
  if (!added) {
    remark(added.error().code, fmt::format("the VMCOREINFO note does not describe this memory: {}",
                                           added.error().message));
  }
}

const std::vector<KernelAnchor>& KernelFinder::anchors_of(VcpuTables& vcpu) const {
  if (!vcpu.anchors) {
    vcpu.anchors = find_anchors(*image_->memory, *vcpu.cpu);
  }
  return *vcpu.anchors;
}

bool KernelFinder::is_known(const VcpuTables& vcpu) const {
  for (const PageTables& tables : vcpu.tables) {
    for (const GuestKernel& kernel : found_.kernels) {
      const VirtAddr stext = kernel.info().symbol("_stext").value_or(VirtAddr{});
      if (check_stext(tables, stext, kernel.phys_base())) {
        return true;
      }
    }
  }
  return false;
}

Result<> KernelFinder::take_registers() {
  std::vector<std::int64_t> searched;  // images that were looked at
  for (VcpuTables& vcpu : vcpus_) {
    if (is_known(vcpu)) {
      continue;
    }
    for (const KernelAnchor& anchor : anchors_of(vcpu)) {
      if (searched.size() == kMaxImages) {
        return {};
      }
      if (std::find(searched.begin(), searched.end(), anchor.phys_base) != searched.end()) {
        continue;
      }
      searched.push_back(anchor.phys_base);
      TRY_ASSIGN(const auto texts, search_kernel_image(*image_->memory, anchor));
      for (const Vmcoreinfo& info : texts) {
        static_cast<void>(add(info, InfoSource::registers));  // a stale copy is no news
      }
    }
  }
  return {};
}

bool KernelFinder::all_are_capture_kernels() const {
  return std::find(capture_.begin(), capture_.end(), false) == capture_.end();
}

bool KernelFinder::any_is_capture_kernel() const {
  return std::find(capture_.begin(), capture_.end(), true) != capture_.end();
}

// A guest may have booted since: the kernel before may still lie there, whole.
Result<> KernelFinder::take_hint(const InfoPlace& hint) {
  TRY_ASSIGN(const auto info, vmcoreinfo_at(*image_->memory, hint.address));
  if (!info || info->build_id().value_or("") != hint.build_id) {
    return {};
  }
  const auto kernel = validated(*info, info->number("phys_base").value_or(0));
  if (kernel && booted_last(kernel->page_tables(), *image_->memory)) {
    static_cast<void>(add(*info, InfoSource::search, hint.address));
  }
  return {};
}

Result<> KernelFinder::take_search(Search search) {
  std::size_t refused = 0;
  TRY(search_memory(*image_->memory, [&](const Vmcoreinfo& info, PhysAddr address) {
    const bool added = add(info, InfoSource::search, address).has_value();
    refused += added ? 0U : 1U;
    return added && search == Search::first;
  }));
  if (refused != 0 && search == Search::memory) {
    remark(Errc::malformed,
           fmt::format("{} VMCOREINFO texts in memory describe no kernel that is there", refused));
  }
  return {};
}

// A kernel that crashed into a capture kernel has stamped its VMCOREINFO with CRASHTIME; the
// capture kernel was given elfcorehdr=.
void KernelFinder::put_crashed_first() {
  std::vector<GuestKernel>& kernels = found_.kernels;
  if (kernels.size() < 2) {
    return;
  }
  std::optional<std::size_t> crashed;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    if (kernels[i].info().crash_time() || (!crashed && !capture_[i] && any_is_capture_kernel())) {
      crashed = i;
    }
  }
  const auto chosen = kernels.begin() + static_cast<std::ptrdiff_t>(crashed.value_or(0));
  std::rotate(kernels.begin(), chosen, chosen + 1);
  remark(Errc::not_found,
         fmt::format("{} kernels are in memory; {} {}", kernels.size(),
                     crashed ? "the crashed one, taken, is" : "none says that it crashed; taken is",
                     kernels.front().info().release()));
}

Result<FoundKernels> find_kernels(const MemoryImage& image, Search search,
                                  const FoundKernels* before,
                                  const std::optional<InfoPlace>& hint) {
  if (before != nullptr) {
    KernelFinder finder(image);
    if (finder.take(*before)) {
      return finder.taken();
    }
  }
  return KernelFinder(image).find(search, hint);
}

std::optional<InfoPlace> place_of(const FoundKernels& found) {
  if (found.kernels.size() != 1 || !found.kernels.front().info_address()) {
    return std::nullopt;
  }
  const GuestKernel& kernel = found.kernels.front();
  InfoPlace place{*kernel.info_address(), std::string(kernel.info().build_id().value_or(""))};
  return can_be_place(place) ? std::optional(std::move(place)) : std::nullopt;
}

}  // namespace vmcore::kernel
