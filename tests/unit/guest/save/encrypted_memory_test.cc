// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/encrypted_memory.h"

#include <gtest/gtest.h>

#include <cstring>

namespace vmcore::guest::save {
namespace {

TEST(EncryptedMemory, IsToldByCpuid) {
  EXPECT_EQ(encryption_of({}), "");
  CpuidFacts sev;
  sev.encryption_eax = 2;
  EXPECT_EQ(encryption_of(sev), "SEV");
  CpuidFacts sme;  // encrypts for the host, not against it
  sme.encryption_eax = 1;
  EXPECT_EQ(encryption_of(sme), "");
  CpuidFacts tdx;
  std::memcpy(tdx.tdx_name, "IntelTDX    ", sizeof tdx.tdx_name);
  EXPECT_EQ(encryption_of(tdx), "TDX");
}

}  // namespace
}  // namespace vmcore::guest::save
