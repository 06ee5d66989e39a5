// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/validate_kernel.h"

#include <array>
#include <cstring>
#include <string_view>

#include "src/kernel/arch/arch.h"
#include "src/kernel/build_id.h"
#include "src/kernel/kallsyms.h"

namespace vmcore::kernel {
namespace {

// __NEW_UTS_LEN + 1, the size of each member of new_utsname; the release is the third.
constexpr std::size_t kUtsMember = 65;

// The text up to the first NUL.
std::string_view until_nul(std::span<const char> text) {
  return {text.data(), ::strnlen(text.data(), text.size())};
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
    return fail(Errc::malformed, "the release in init_uts_ns differs from the one in VMCOREINFO");
  }
  return {};
}

}  // namespace

Result<> check_stext(const PageTables& tables, VirtAddr stext, std::int64_t phys_base) {
  TRY_ASSIGN(const Mapping mapping, tables.translate(stext));
  if (mapping.address != tables.arch().image_to_physical(stext, phys_base)) {
    return fail(Errc::malformed, "_stext is mapped at {:#x}, not at phys_base {:#x}",
                mapping.address.value, phys_base);
  }
  return {};
}

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

Result<GuestKernel> validate_kernel(const Architecture& arch, const PhysicalMemory& memory,
                                    const Vmcoreinfo& info, std::int64_t phys_base) {
  const auto stext = info.symbol("_stext");
  if (!stext || *stext < arch.kernel_map) {
    return fail(Errc::malformed, "VMCOREINFO has no plausible _stext");
  }
  TRY_ASSIGN(PageTables tables, arch.kernel_page_tables(memory, info, phys_base));
  TRY(check_stext(tables, *stext, phys_base));
  GuestKernel kernel(memory, info, tables);
  kernel.phys_base_ = phys_base;
  TRY(check_release(kernel));
  return kernel;
}

}  // namespace vmcore::kernel
