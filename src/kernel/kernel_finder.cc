// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/kernel/address_layout.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/cpu_anchors.h"
#include "src/kernel/elfcorehdr.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/proof.h"
#include "src/kernel/validate_kernel.h"
#include "src/kernel/vmcoreinfo_search.h"

namespace vmcore::kernel {
namespace {

// More are not looked at; those of an ordinary guest are one, or two.
constexpr std::size_t kMaxImages = 8;  // kernel images, up to 512 MiB each, that are searched

// Of the kernels that are not believed, at most that many are named.
constexpr std::size_t kMaxNamed = 3;

}  // namespace

class KernelFinder {
 public:
  explicit KernelFinder(const MemoryImage& image)
      : image_(&image),
        arch_(&architecture_of(image.machine)),
        vcpus_(distinct_tables(image)),
        must_prove_(tells_page_tables(image)) {}

  // `before` may be null.
  Result<FoundKernels> find(Search search, const FoundKernels* before,
                            const std::optional<InfoPlace>& hint);
  // Whether they are there still, and no other shows.
  bool take(const FoundKernels& before);
  FoundKernels taken() { return std::move(found_); }

 private:
  Result<GuestKernel> validated(const Vmcoreinfo& info, std::int64_t phys_base) const {
    return validate_kernel(*arch_, *image_->memory, info, phys_base);
  }
  // Adds the kernel that `info` describes; its phys_base may be wrong where registers know better.
  // Whether it is one of the guest's.
  Result<bool> add(const Vmcoreinfo& info, InfoSource source, std::optional<PhysAddr> address = {});
  Result<GuestKernel> located(const Vmcoreinfo& info);
  // Sorts the kernel in; whether it is one of the guest's.
  bool sort_in(GuestKernel kernel);
  GuestKernel in_this_image(const GuestKernel& known) const;
  void take_again(const FoundKernels& before);
  // Whether it is a capture kernel.
  bool describe(GuestKernel& kernel);
  void take_note();
  Result<> take_registers();
  Result<> take_hint(const InfoPlace& hint, bool only_proven);
  Result<> take_search(Search search);
  const std::vector<KernelAnchor>& anchors_of(VcpuTables& vcpu) const;
  bool is_known(const VcpuTables& vcpu) const;
  bool all_are_capture_kernels() const;
  bool any_is_capture_kernel() const;
  void put_crashed_first();
  void remark_on_note();
  void remark(Errc code, std::string text, Severity severity = Severity::warning) {
    found_.remarks.push_back({code, std::move(text), severity});
  }

  const MemoryImage* image_;
  const Architecture* arch_;
  std::vector<VcpuTables> vcpus_;
  bool must_prove_;
  FoundKernels found_;
  std::vector<bool> capture_;  // of each found kernel: runs on behalf of a crashed one
};

Result<FoundKernels> KernelFinder::find(Search search, const FoundKernels* before,
                                        const std::optional<InfoPlace>& hint) {
  take_note();
  if (hint && must_prove_ && found_.kernels.empty()) {
    TRY(take_hint(*hint, true));
  }
  TRY(take_registers());
  if (hint && found_.kernels.empty()) {
    TRY(take_hint(*hint, false));
  }
  if (search != Search::registers && all_are_capture_kernels()) {
    if (must_prove_ && found_.kernels.empty() && before != nullptr) {
      take_again(*before);
    } else {
      TRY(take_search(search));
    }
  }
  put_crashed_first();
  if (found_.kernels.empty() && !found_.doubted.empty()) {
    found_.remarks.push_back(remark_on_doubted(found_));
  } else {
    remark_on_note();
  }
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
  GuestKernel kernel = in_this_image(known);
  kernel.info_source_ = note != nullptr ? InfoSource::note : known.info_source();
  if (elfcorehdr_from_cmdline(kernel)) {
    return false;  // the crashed one is to be looked for
  }
  if (must_prove_ && why_not_running(kernel, vcpus_)) {
    return false;
  }
  found_.kernels.push_back(std::move(kernel));
  return std::ranges::all_of(vcpus_, [&](const VcpuTables& vcpu) { return is_known(vcpu); });
}

GuestKernel KernelFinder::in_this_image(const GuestKernel& known) const {
  GuestKernel kernel = known;
  kernel.memory_ = image_->memory.get();
  kernel.page_tables_ = known.page_tables().in(*image_->memory);
  return kernel;
}

// Instead of a search, which the guest would wait for: what the vCPUs run, their registers have led
// to.
void KernelFinder::take_again(const FoundKernels& before) {
  for (const GuestKernel& known : before.kernels) {
    if (validated(known.info(), known.phys_base())) {
      static_cast<void>(sort_in(in_this_image(known)));
    }
  }
  for (const DoubtedKernel& known : before.doubted) {
    if (validated(known.kernel.info(), known.kernel.phys_base())) {
      static_cast<void>(sort_in(in_this_image(known.kernel)));
    }
  }
}

Result<GuestKernel> KernelFinder::located(const Vmcoreinfo& info) {
  const std::optional<std::int64_t> claimed = arch_->phys_base(info);
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
  return kernel;
}

Result<bool> KernelFinder::add(const Vmcoreinfo& info, InfoSource source,
                               std::optional<PhysAddr> address) {
  TRY_ASSIGN(GuestKernel kernel, located(info));
  const auto same_root = [&](const GuestKernel& have) {
    return have.page_tables().root() == kernel.page_tables().root();
  };
  if (std::ranges::any_of(found_.kernels, same_root)) {
    return true;
  }
  // Where one is not believed, another VMCOREINFO of the same place may be right.
  if (std::ranges::any_of(found_.doubted, [&](const DoubtedKernel& have) {
        return same_root(have.kernel) && have.kernel.info().text() == info.text();
      })) {
    return false;
  }
  if (auto kallsyms = Kallsyms::read(kernel)) {
    kernel.kallsyms_ = std::make_shared<const Kallsyms>(*std::move(kallsyms));
  }
  TRY(check_build_id(kernel));
  kernel.info_source_ = source;
  kernel.info_address_ = address;
  return sort_in(std::move(kernel));
}

bool KernelFinder::sort_in(GuestKernel kernel) {
  if (auto why = must_prove_ ? why_not_running(kernel, vcpus_) : std::nullopt) {
    found_.doubted.push_back({std::move(kernel), *std::move(why)});
    return false;
  }
  capture_.push_back(describe(kernel));
  found_.kernels.push_back(std::move(kernel));
  return true;
}

bool KernelFinder::describe(GuestKernel& kernel) {
  const VirtAddr stext = kernel.info().symbol("_stext").value_or(VirtAddr{});
  const VirtAddr begin{stext.value & ~(arch_->kernel_align - 1)};
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
    capture = elfcorehdr_from_cmdline(kernel).has_value();
  }
  kernel.image_range_ = {begin, size};
  offsets.insert(offsets.end(), arch_->fixed_page_offsets.begin(), arch_->fixed_page_offsets.end());
  kernel.page_offset_ = verified_page_offset(kernel, offsets);
  if (!kernel.page_offset_) {
    remark(Errc::not_found, "the start of the kernel's direct map was not found");
  }
  return capture;
}

void KernelFinder::take_note() {
  const Note* const note = image_->find_note(kNoteNameVmcoreinfo, 0);
  if (note == nullptr) {
    return;
  }
  const auto info = Vmcoreinfo::parse(note->desc);
  const Result<bool> added = info ? add(*info, InfoSource::note) : tl::unexpected(info.error());
  if (!added) {
    remark(added.error().code, fmt::format("the VMCOREINFO note does not describe this memory: {}",
                                           added.error().message));
  }
}

const std::vector<KernelAnchor>& KernelFinder::anchors_of(VcpuTables& vcpu) const {
  if (!vcpu.anchors) {
    vcpu.anchors = find_anchors(*image_, *vcpu.cpu);
  }
  return *vcpu.anchors;
}

bool KernelFinder::is_known(const VcpuTables& vcpu) const {
  return std::ranges::any_of(found_.kernels,
                             [&](const GuestKernel& kernel) { return runs(vcpu.tables, kernel); });
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
      for (const FoundText& text : texts) {  // a stale copy is no news
        static_cast<void>(add(text.info, InfoSource::registers, text.address));
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

// A guest may have booted since: the kernel before may still lie there, whole. With `only_proven`,
// such a kernel is passed over; without, it is told as one that is not believed. The images of
// kernels that the vCPUs run are not searched where the hint leads to the only one.
Result<> KernelFinder::take_hint(const InfoPlace& hint, bool only_proven) {
  TRY_ASSIGN(const auto info, vmcoreinfo_at(*image_->memory, hint.address));
  if (!info || info->build_id().value_or("") != hint.build_id) {
    return {};
  }
  const auto kernel = validated(*info, arch_->phys_base(*info).value_or(0));
  if (!kernel || (only_proven && why_not_running(*kernel, vcpus_))) {
    return {};
  }
  if (must_prove_ || arch_->booted_last(kernel->page_tables(), *image_->memory)) {
    static_cast<void>(add(*info, InfoSource::search, hint.address));
  }
  return {};
}

Result<> KernelFinder::take_search(Search search) {
  std::size_t refused = 0;
  TRY(search_memory(*image_->memory, [&](const Vmcoreinfo& info, PhysAddr address) {
    const Result<bool> added = add(info, InfoSource::search, address);
    refused += added ? 0U : 1U;
    return added.value_or(false) && search == Search::first;
  }));
  if (refused != 0 && search == Search::memory) {
    remark(Errc::malformed,
           fmt::format("{} VMCOREINFO texts in memory do not describe a kernel in this memory",
                       refused));
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
                     crashed ? "the crashed one is used:" : "none is marked as crashed; used is",
                     kernels.front().info().release()),
         crashed ? Severity::fact : Severity::warning);
}

void KernelFinder::remark_on_note() {
  for (const DoubtedKernel& each : found_.doubted) {
    if (each.kernel.info_source() == InfoSource::note) {
      remark(
          Errc::malformed,
          fmt::format("the VMCOREINFO note describes kernel {}, which is not the running one: {}",
                      each.kernel.info().release(), each.why));
    }
  }
}

Remark remark_on_doubted(const FoundKernels& found) {
  std::string list;
  const std::size_t named = std::min(found.doubted.size(), kMaxNamed);
  for (std::size_t i = 0; i < named; ++i) {
    const GuestKernel& kernel = found.doubted[i].kernel;
    const VirtAddr stext = kernel.info().symbol("_stext").value_or(kernel.arch().kernel_map);
    list += fmt::format("{}{} at {:#x} ({})", i == 0 ? "" : ", ", kernel.info().release(),
                        kernel.arch().image_to_physical(stext, kernel.phys_base()).value,
                        found.doubted[i].why);
  }
  if (found.doubted.size() > named) {
    list += fmt::format(" and {} more", found.doubted.size() - named);
  }
  return {Errc::guest_state, fmt::format("no vCPU runs a kernel that was found; ignored, because "
                                         "it may be from an earlier boot: {}",
                                         list)};
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
  return KernelFinder(image).find(search, before, hint);
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
