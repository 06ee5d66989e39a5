// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/proof.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "src/image/page.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/kallsyms.h"

namespace vmcore::kernel {
namespace {

// Its own page tables lead to the vCPU's instructions, and not to the kernel. A vCPU in a nested
// guest is none of these: its CR3 is an address in the nested guest's memory.
bool runs_other(const VcpuTables& vcpu, const GuestKernel& kernel) {
  return !runs(vcpu.tables, kernel) &&
         std::ranges::any_of(vcpu.tables, [&](const PageTables& tables) {
           return tables.translate({vcpu.cpu->rip}).has_value();
         });
}

// Whether kernel_kexec() has begun (v3.13, 4fc9bbf98fd6): the other vCPUs stand still in the kernel
// that hands over, until the next one starts them.
bool hands_over(const GuestKernel& kernel) {
  const auto symbol =
      kernel.kallsyms() != nullptr ? kernel.kallsyms()->find("kexec_in_progress") : std::nullopt;
  return symbol && kernel.read_value<std::uint8_t>(*symbol).value_or(0) != 0;
}

// Where the kernel has put its own VMCOREINFO; nothing where its symbols are not known, address 0
// where it has not made any yet. Set by a subsys_initcall, when all struct pages are initialised.
std::optional<VirtAddr> own_info(const GuestKernel& kernel) {
  // A pointer since v4.13 (203e9e41219b).
  const auto symbol =
      kernel.kallsyms() != nullptr ? kernel.kallsyms()->find("vmcoreinfo_data") : std::nullopt;
  const auto pointer =
      symbol ? kernel.read_value<std::uint64_t>(*symbol)
             : Result<std::uint64_t>(fail(Errc::not_found, "the kernel has no such symbol"));
  return pointer ? std::optional(VirtAddr{*pointer}) : std::nullopt;
}

// A kernel that boots without KASLR lies where the one before lay, whose VMCOREINFO fits it, and
// does not describe its memory yet.
bool is_of_another_boot(const GuestKernel& kernel) {
  const auto at = own_info(kernel);
  if (!at) {
    return false;
  }
  const auto mapping = kernel.page_tables().translate(*at);
  if (!mapping) {
    return mapping.error().code == Errc::not_found;
  }
  std::string own(kernel.info().text().size(), '\0');
  const auto got = kernel.read(*at, std::as_writable_bytes(std::span(own)));
  if (!got || got->good != own.size()) {
    return false;  // not in the file
  }
  // A crash makes it a copy in the memory of the capture kernel, which uses the page for anything.
  // CRASHTIME is added at the end, of one of the two earlier.
  const std::string_view text(own.c_str());
  return text.starts_with("OSRELEASE=") &&
         !std::string_view(kernel.info().text()).starts_with(text);
}

// By the first tables that lead to `address`: the tables on the way and, where asked for, what is
// there.
void add_used(std::span<const PageTables> candidates, std::uint64_t address, bool with_target,
              std::vector<Pfn>& used) {
  for (const PageTables& tables : candidates) {
    std::vector<PhysAddr> way;
    const auto mapping = tables.translate({address}, &way);
    if (!mapping) {
      continue;
    }
    if (with_target) {
      way.push_back(mapping->address);
    }
    for (const PhysAddr at : way) {
      used.push_back(pfn_of(at));
    }
    return;
  }
}

}  // namespace

bool tells_page_tables(const MemoryImage& image) {
  const Architecture& arch = architecture_of(image.machine);
  return std::ranges::any_of(image.cpus, [&](const CpuState& cpu) {
    if (!arch.tells_page_tables(cpu)) {
      return false;
    }
    const auto tables = page_tables_of(image, cpu);
    return !image.file.incomplete || tables.empty() ||
           std::ranges::any_of(tables, [&](const PageTables& each) {
             const Presence presence = image.memory->presence(each.root());
             return presence == Presence::data || presence == Presence::zero;
           });
  });
}

bool maps(const PageTables& tables, const GuestKernel& kernel) {
  const auto stext = kernel.info().symbol("_stext");
  if (!stext) {
    return false;
  }
  // Where memory is encrypted, entries have a bit that CR3 does not tell.
  const auto mapping = kernel.page_tables().at(tables.root(), tables.levels()).translate(*stext);
  return mapping && mapping->address == kernel.arch().image_to_physical(*stext, kernel.phys_base());
}

bool runs(std::span<const PageTables> tables, const GuestKernel& kernel) {
  return std::ranges::any_of(tables, [&](const PageTables& each) { return maps(each, kernel); });
}

std::optional<std::string> why_not_running(const GuestKernel& kernel,
                                           std::span<const VcpuTables> vcpus) {
  if (vcpus.empty()) {
    return "no vCPU uses page tables (firmware, a boot loader)";
  }
  if (std::ranges::none_of(vcpus,
                           [&](const VcpuTables& vcpu) { return runs(vcpu.tables, kernel); })) {
    return "no vCPU's page tables lead to its code";
  }
  if (is_of_another_boot(kernel)) {
    return "the kernel that the vCPUs run has another VMCOREINFO, or none yet";
  }
  const auto other =
      std::ranges::find_if(vcpus, [&](const VcpuTables& vcpu) { return runs_other(vcpu, kernel); });
  if (other != vcpus.end() && hands_over(kernel)) {
    return fmt::format("it began a kexec, and vCPU {} runs something else", other->cpu->index);
  }
  return std::nullopt;
}

std::vector<Pfn> pages_in_use(const MemoryImage& image) {
  // Addresses below belong to processes, or are physical ones that are mapped one to one.
  const std::uint64_t kernel_half = architecture_of(image.machine).kernel_half.value;
  std::vector<Pfn> used;
  for (const CpuState& cpu : image.cpus) {
    const auto tables = page_tables_of(image, cpu);
    add_used(tables, cpu.rip, !cpu.user_mode(), used);
    // In the first instructions of an entry from user mode the stack is still that of a process.
    if (!cpu.user_mode() && (cpu.rsp >= kernel_half || cpu.rip < kernel_half)) {
      add_used(tables, cpu.rsp, true, used);
    }
  }
  std::ranges::sort(used);
  used.erase(std::unique(used.begin(), used.end()), used.end());
  return used;
}

}  // namespace vmcore::kernel
