// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/encrypted_memory.h"

#include <cpuid.h>

#include <cstring>

namespace vmcore::guest::save {
namespace {

constexpr std::uint32_t kEncryptionLeaf = 0x8000001f;
constexpr std::uint32_t kSevBit = 1U << 1;
constexpr std::uint32_t kTdxLeaf = 0x21;
constexpr std::string_view kTdxName = "IntelTDX    ";

}  // namespace

std::string_view encryption_of(const CpuidFacts& facts) {
  if ((facts.encryption_eax & kSevBit) != 0) {
    return "SEV";
  }
  return std::string_view(facts.tdx_name, sizeof facts.tdx_name) == kTdxName ? "TDX" : "";
}

std::string_view memory_encryption() {
  CpuidFacts facts;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(kEncryptionLeaf, &a, &b, &c, &d) != 0) {
    facts.encryption_eax = a;
  }
  if (__get_cpuid_count(kTdxLeaf, 0, &a, &b, &c, &d) != 0) {
    std::memcpy(facts.tdx_name, &b, 4);
    std::memcpy(facts.tdx_name + 4, &d, 4);
    std::memcpy(facts.tdx_name + 8, &c, 4);
  }
  return encryption_of(facts);
}

}  // namespace vmcore::guest::save
