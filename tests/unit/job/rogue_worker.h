// SPDX-License-Identifier: GPL-2.0-or-later
// What the rogue worker does that a worker must not. The request's compression level tells it.
#pragma once

namespace vmcore::sandbox {

enum class Rogue : int {
  nothing,
  holds_on,        // does not let the guest go
  copies_late,     // asks for a page when the guest was let go
  reads,           // asks by a line for the page that it was told of, and says what it got
  reads_beside,    // the same for what lies beside it in the process
  is_ready_again,  // asks for the guest to stand still a second time
};

}  // namespace vmcore::sandbox
