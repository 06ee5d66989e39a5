// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/size_option.h"

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "src/base/number.h"
#include "src/image/page.h"

namespace vmcore::cli {
namespace {

std::string why_not(const std::string& text) {
  if (text.empty() || text.front() < '0' || text.front() > '9') {
    return fmt::format("{} is no size: give one such as 512MiB or 2G",
                       text.empty() ? "\"\"" : text);
  }
  const auto bytes = parse_number<std::uint64_t>(text);
  return bytes && *bytes != 0 && *bytes < kPageSize
             ? fmt::format("{0} without a unit is {0} bytes: give a unit, such as {0}MiB", text)
             : "";
}

}  // namespace

// CLI11 applies the transformation that was added last first.
CLI::Option* takes_size(CLI::Option* option) {
  return option->transform(CLI::AsSizeValue(false))
      ->transform(CLI::Validator([](std::string& text) { return why_not(text); }, ""));
}

}  // namespace vmcore::cli
