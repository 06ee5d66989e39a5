// What the worker says of a guest's memory, checked, and how it is told to people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

namespace vmcore::cli {

struct ClassUse {
  std::string name;  // stable
  std::string title;
  std::uint64_t pages = 0;
};

// One part of guest-physical memory, MemoryReport::bin_size bytes long.
struct BinUse {
  std::uint64_t start = 0;           // address, a multiple of the size
  std::vector<std::uint64_t> pages;  // in the order of MemoryReport::classes
  std::uint64_t free_zero = 0;       // of the free ones
};

struct MemoryReport {
  std::string release;
  bool torn = false;  // the guest ran meanwhile
  bool incomplete = false;
  // Pages.
  std::uint64_t memory = 0;
  std::uint64_t free_zero = 0;  // free ones that are known to be zero
  std::uint64_t kept_at_31 = 0;
  std::uint64_t excluded_before = 0;
  std::vector<ClassUse> classes;
  std::uint64_t bin_size = 0;  // bytes
  std::vector<BinUse> bins;    // ascending, disjoint; none says more pages than fit into it
  std::vector<std::string> remarks;
};

// Errc::malformed where the text is no such JSON document, or says what cannot be.
Result<MemoryReport> read_memory_report(std::string_view json);

// The table.
std::string describe_memory(const MemoryReport& report);

// "12.3%"; of nothing that is 0.
std::string percent(std::uint64_t part, std::uint64_t whole);

}  // namespace vmcore::cli
