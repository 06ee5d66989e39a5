// SPDX-License-Identifier: GPL-2.0-or-later
// The rights of a program of others that opens what a guest wrote: crash, drgn.
#pragma once

#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::sandbox {

// Call it in a child that executes the program next, and has one thread. It gets namespaces of its
// own (users, network, mounts, processes), a user of its own where this one is root, and no
// capability over the host. It reads `reads` (absolute paths of files, and of folders with all that
// is below) and the system's programs and libraries, whoever owns them, and writes to nothing but
// the descriptors that it has and a /tmp of its own, in memory. It makes no sockets.
//
// /proc has its own processes and nothing else of the system, read-only: of the host that tells the
// list of mounts (/proc/self/mountinfo) and the name of its cgroup. Where the host hides parts of
// /proc, as in most containers, nothing of /proc can be read: then crash fails to pipe.
//
// Returns in a process of its own; the one that called waits for it, passes SIGINT on, and ends as
// it does. It has no controlling terminal, to which it could type (TIOCSTI). Whatever it starts
// ends with it. Errc::denied if any part cannot be had.
Result<> confine_program(const std::vector<std::string>& reads);

}  // namespace vmcore::sandbox
