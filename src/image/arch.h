// SPDX-License-Identifier: GPL-2.0-or-later
// The architectures whose dumps are read and written, with their names elsewhere. src/kernel/arch
// has what is known about their kernels.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace vmcore {

enum class Arch : std::uint8_t { unknown, x86_64 };

struct ArchNames {
  Arch arch = Arch::unknown;
  std::string_view name;          // as uname(2) says
  std::uint16_t elf_machine = 0;  // e_machine of ELF headers
  // Names of the 32-bit machine. Its guest may still switch to 64 bits.
  std::string_view qemu_narrow;
  std::string_view libvirt_narrow;
};

inline constexpr std::array kArchNames{
    ArchNames{Arch::x86_64, "x86_64", 62, "i386", "i686"},
};

// KVM runs guests of the host's architecture only.
inline constexpr Arch kHostArch = Arch::x86_64;

// The row of the architecture; a row of empty names for Arch::unknown.
constexpr ArchNames names_of(Arch arch) {
  const auto* const found = std::ranges::find(kArchNames, arch, &ArchNames::arch);
  return found != kArchNames.end() ? *found : ArchNames{};
}

// Arch::unknown where no row has the name.
constexpr Arch arch_from_name(std::string_view name) {
  const auto* const found = std::ranges::find(kArchNames, name, &ArchNames::name);
  return found != kArchNames.end() ? found->arch : Arch::unknown;
}

constexpr Arch arch_from_elf(std::uint16_t machine) {
  const auto* const found = std::ranges::find(kArchNames, machine, &ArchNames::elf_machine);
  return found != kArchNames.end() ? found->arch : Arch::unknown;
}

}  // namespace vmcore
