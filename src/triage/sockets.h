// SPDX-License-Identifier: GPL-2.0-or-later
// What an open file is that is a socket.
#pragma once

#include "src/report/triage.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

// Of a struct file of sockfs. Errc::malformed if it does not lead to a socket that leads back to
// it.
Result<report::OpenSocket> socket_of(Knowledge& knowledge, VirtAddr file);

}  // namespace vmcore::triage
