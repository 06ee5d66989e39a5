// SPDX-License-Identifier: GPL-2.0-or-later
// Guardian: a guest in the reset trap stands still without a lease: QEMU waits for a command. So
// for each guest whose resets are trapped, a separate process waits beside vmcored. It does nothing
// while vmcored, or a job that has the guest's monitor, lives. If they die it carries the guest on
// and puts QEMU's actions back.
#pragma once

#include "qmp/run_actions.h"
#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/guardian/line.h"

namespace vmcore::guardian {

// Waits until the line ends; returns what was said last. kDone where the guardian has nothing to
// do.
char watch(int line);

// Carries the guest on. The monitor may be in any state: half a command was sent, half a message
// received. Actions on a panic stay as they are: the next vmcored handles a guest that panicked
// meanwhile.
Result<> take_over(Fd monitor, char said, const qmp::RunActions& before);

}  // namespace vmcore::guardian
