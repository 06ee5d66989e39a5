// SPDX-License-Identifier: GPL-2.0-or-later
// Any bytes as VMCOREINFO, and every getter on every key that is there.
#include <string>

#include "src/kernel/vmcoreinfo.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto info = vmcore::kernel::Vmcoreinfo::parse(std::as_bytes(std::span(data, size)));
  if (!info) {
    return 0;
  }
  std::string_view rest = info->text();
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const std::size_t open = line.find('(');
    const std::size_t close = line.find(')');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
      continue;
    }
    const std::string_view name = line.substr(open + 1, close - open - 1);
    static_cast<void>(info->symbol(name));
    static_cast<void>(info->offset(name));
    static_cast<void>(info->size(name));
    static_cast<void>(info->length(name));
    static_cast<void>(info->number(name));
  }
  static_cast<void>(info->build_id());
  static_cast<void>(info->crash_time());
  return 0;
}
