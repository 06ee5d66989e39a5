// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/copier.h"

#include <algorithm>

#include "src/sandbox/messages.h"

namespace vmcore::sources {

Result<> Copier::copy(std::span<sandbox::CopyEntry> entries) const {
  const auto table = room_.table();
  while (!entries.empty()) {
    const auto some = entries.first(std::min(entries.size(), table.size()));
    std::ranges::copy(some, table.begin());
    TRY(channel_.send(encode(sandbox::Event(sandbox::Copy{some.size()}))));
    TRY_ASSIGN(const sandbox::Packet packet, channel_.receive());
    TRY_ASSIGN(const sandbox::Have copied, sandbox::decode_have(packet.text));
    if (copied.error) {
      return tl::unexpected(*copied.error);
    }
    std::ranges::copy(table.first(some.size()), some.begin());
    entries = entries.subspan(some.size());
  }
  return {};
}

}  // namespace vmcore::sources
