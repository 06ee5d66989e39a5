// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/lists.h"

#include <array>
#include <cstdint>

namespace vmcore::kernel {

ListWalk walk_list(const GuestKernel& kernel, VirtAddr head, std::size_t limit) {
  ListWalk walk;
  VirtAddr before = head;
  auto links = kernel.read_value<std::array<std::uint64_t, 2>>(head);  // next, prev
  while (links) {
    const VirtAddr at{(*links)[0]};
    if (at == head) {
      return walk;
    }
    if (walk.entries.size() == limit) {
      walk.broken = Error{Errc::limit, fmt::format("a list of more than {} entries", limit)};
      return walk;
    }
    links = kernel.read_value<std::array<std::uint64_t, 2>>(at);
    if (links && (*links)[1] != before.value) {
      walk.broken =
          Error{Errc::malformed, fmt::format("the list entry at {:#x} does not lead back to {:#x}",
                                             at.value, before.value)};
      return walk;
    }
    if (links) {
      walk.entries.push_back(at);
      before = at;
    }
  }
  walk.broken = links.error();
  return walk;
}

}  // namespace vmcore::kernel
