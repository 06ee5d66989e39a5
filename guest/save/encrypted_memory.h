// SPDX-License-Identifier: GPL-2.0-or-later
// Whether this guest's memory is encrypted against its host. Such a guest sends its host only
// sealed data.
#pragma once

#include <cstdint>
#include <string_view>

namespace vmcore::guest::save {

// The facts from CPUID (AMD APM volume 3, E.4.17; Intel TDX module specification, leaf 21H).
struct CpuidFacts {
  std::uint32_t encryption_eax = 0;  // leaf 8000001FH, EAX; 0 without that leaf
  char tdx_name[12] = {};            // leaf 21H, EBX EDX ECX; zeros without that leaf
};

// "SEV", "TDX", or empty if the memory is not encrypted. QEMU sets the SEV bit only for a guest
// that it launched with SEV (v2.12, target/i386/cpu.c: "if (sev_enabled())").
std::string_view encryption_of(const CpuidFacts& facts);

// The same for this machine.
std::string_view memory_encryption();

}  // namespace vmcore::guest::save
