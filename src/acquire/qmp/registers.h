// SPDX-License-Identifier: GPL-2.0-or-later
// The registers of a guest's vCPUs as QEMU tells them to people (HMP), while the guest runs on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "src/acquire/qmp/monitor_map.h"
#include "src/base/result.h"
#include "src/image/image.h"

namespace vmcore::acquire {

// More than QEMU makes of x86-64.
inline constexpr std::size_t kMostCpus = 4096;

// From the text of "info registers", with or without -a: of each CPU the index and what
// src/image/registers.h says (QEMU target/i386/cpu-dump.c, x86_cpu_dump_state; the same from v5.2
// to v11.0). A CPU without a number of its own is `first`. A CPU whose code is not of 64 bits tells
// only the lower 32 bits of RIP, RSP and GS, and R8 to R15 not at all; none tells more of CR0 and
// CR4. Errc::unsupported where the text has another form, or none.
Result<std::vector<CpuState>> parse_registers(std::string_view text, unsigned first = 0);

// Asks for each CPU by itself: with AVX-512 the text of one has 8 KiB. The CPUs are in the order of
// QEMU's own dump, each as it was when it was asked: no single moment. QEMU stops none of them for
// longer than it takes to read them.
Result<std::vector<CpuState>> read_registers(const Execute& execute);

// What a guest's CPUs run, as far as registers tell.
enum class CpuMode : std::uint8_t {
  unknown,
  no_paging,  // firmware or a boot loader: no kernel yet
  paging_32,  // paging without long mode: a 32-bit kernel
  paging_64,  // long mode, on one CPU at least
};
CpuMode mode_of(std::span<const CpuState> cpus);

}  // namespace vmcore::acquire
