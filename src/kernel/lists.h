// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's linked lists (include/linux/list.h).
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

struct ListWalk {
  // The struct list_head of each entry, in order; the head is not among them.
  std::vector<VirtAddr> entries;
  // Why the walk ended early. Errc::malformed: the `prev` of an entry is not the entry before it;
  // this check ends every cycle. Errc::unreadable: an entry cannot be read. Errc::limit: there are
  // more than `limit` entries.
  std::optional<Error> broken;
};

// Walks the list of the struct list_head at `head`, up to `limit` entries.
ListWalk walk_list(const GuestKernel& kernel, VirtAddr head, std::size_t limit);

}  // namespace vmcore::kernel
