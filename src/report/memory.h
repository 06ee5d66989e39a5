// SPDX-License-Identifier: GPL-2.0-or-later
// MemoryReport: what a guest's memory is used for, as the JSON document of `vmcorectl memory
// --output json` (docs/schema/memory.json) has it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/report/summary.h"

namespace vmcore::report {

// One part of guest-physical memory, MemoryReport::bin_size bytes long.
struct BinUse {
  std::uint64_t start = 0;           // address, a multiple of the size
  std::vector<std::uint64_t> pages;  // in the order of MemoryReport::classes
  std::uint64_t free_zero = 0;       // of the free ones
};

struct MemoryReport {
  static constexpr std::string_view kSchema = "vmcorectl-memory/1";

  std::string release = {};
  bool torn = false;  // the guest ran meanwhile
  bool incomplete = false;
  // Pages.
  std::uint64_t memory = 0;
  std::uint64_t free_zero = 0;  // free ones that are known to be zero
  std::uint64_t kept_at_31 = 0;
  std::uint64_t excluded_before = 0;
  std::vector<ClassCount> classes = {};
  std::vector<PhysRange> ram = {};
  std::uint64_t bin_size = 4096;  // bytes, a power of two
  std::vector<BinUse> bins = {};  // ascending, disjoint; none says more pages than fit into it
  std::vector<Remark> remarks = {};
};

std::string to_json(const MemoryReport& report);
// Errc::malformed where the text is no such document, or says what cannot be.
Result<MemoryReport> memory_from_json(std::string_view text);

}  // namespace vmcore::report
