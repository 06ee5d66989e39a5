// Whether this guest's memory is encrypted against its host. Such a guest sends its host nothing
// that is not sealed.
#pragma once

#include <cstdint>
#include <string_view>

namespace vmcore::guest::save {

// What CPUID says (AMD APM volume 3, E.4.17; Intel TDX module specification, leaf 21H).
struct CpuidFacts {
  std::uint32_t encryption_eax = 0;  // leaf 8000001FH, EAX; 0 where there is no such leaf
  char tdx_name[12] = {};            // leaf 21H, EBX EDX ECX; zeros where there is no such leaf
};

// "SEV", "TDX", or empty: not encrypted. QEMU shows a guest the bit of SEV only where it launched
// that guest with SEV (v2.12, target/i386/cpu.c: "if (sev_enabled())").
std::string_view encryption_of(const CpuidFacts& facts);

// Of the machine this runs on.
std::string_view memory_encryption();

}  // namespace vmcore::guest::save
