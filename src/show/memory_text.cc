// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/memory_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "src/base/printable.h"
#include "src/base/units.h"
#include "src/image/page.h"
#include "src/show/text_line.h"

namespace vmcore::show {
namespace {

void row(std::string& out, std::string_view name, std::string_view title, std::uint64_t pages,
         std::uint64_t all) {
  out += fmt::format("{:<16}{:<32}{:>12}{:>8}\n", printable(name), printable(title),
                     human_size(pages * kPageSize), percent(pages, all));
}

}  // namespace

std::string percent(std::uint64_t part, std::uint64_t whole) {
  const double of = static_cast<double>(std::max<std::uint64_t>(whole, 1));
  return fmt::format("{:.1f}%", 100 * static_cast<double>(part) / of);
}

std::string memory_text(const report::MemoryReport& report) {
  std::string out;
  line(out, "kernel", report.release);
  if (report.incomplete) {
    line(out, "complete", "NO: pages are missing");
  }
  out += fmt::format("\n{:<16}{:<32}{:>12}{:>8}\n", "CLASS", "", "SIZE", "OF RAM");
  for (const report::ClassCount& use : report.classes) {
    if (use.pages != 0) {
      row(out, use.name, use.title, use.pages, report.memory);
    }
    if (use.name == "free" && report.free_zero != 0) {
      row(out, "", "of it zero: untouched", report.free_zero, report.memory);
    }
  }
  row(out, "total", "", report.memory, report.memory);
  out +=
      fmt::format("\na dump at level 31 keeps {} ({})\n", human_size(report.kept_at_31 * kPageSize),
                  percent(report.kept_at_31, report.memory));
  if (report.excluded_before != 0) {
    out += fmt::format("not in the file: {} ({}), left out when it was written\n",
                       human_size(report.excluded_before * kPageSize),
                       percent(report.excluded_before, report.memory));
  }
  for (const Remark& remark : report.remarks) {
    line(out, remark_label(remark), remark.text);
  }
  return out;
}

}  // namespace vmcore::show
