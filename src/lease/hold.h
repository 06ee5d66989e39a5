// SPDX-License-Identifier: GPL-2.0-or-later
// vmcore-holder: the one process that holds the reading end of the pipe of a lease
// (acquire/guest.h). While that end is open the guest stands still, and when it is closed the guest
// runs. So whatever vmcorectl, its worker or a disk does, the pause ends when this process closes
// it or dies.
//
// It is a small static program, and no forked child of vmcorectl: its few pages are locked in
// memory, where those of vmcorectl (with libvirt's libraries) may have to be read from a disk that
// does not answer; and it can be started when vmcorectl has threads. It has one thread and a
// session of its own, opens nothing, allocates nothing and waits for nothing but its descriptors.
// It never looks at a byte of the guest: it moves them on to the worker by splice(2), which does
// not wait.
//
// It drops the lease when
// - it is told to, or the worker has closed its pipe,
// - the time is over,
// - vmcorectl or the worker dies (pidfd); it kills the worker of a vmcorectl that died,
// - vmcorectl or the worker is stopped (SIGSTOP, a debugger). Nobody tells that to a process that
//   is not the parent, so their /proc/PID/stat, opened before, is read twenty times a second. Where
//   /proc hides it (hidepid=), this and the next are not noticed,
// - nothing moves for ten seconds after the first byte: no byte passed by, and neither has used a
//   processor. That is a disk that does not answer, where there is no limit.
// Of a guest that stands still by itself (not `guarded`) only deaths and orders count: it loses
// nothing, and its dump may wait for a disk as long as it takes.
//
// If the holder itself is stopped, the kernel kills it: a timer that it winds up again and again
// sends SIGKILL, which ends stopped processes too, five seconds later or soon after the limit.
//
// One thing can hold it up: a worker that waits for a page of its own buffer from a swap that does
// not answer, inside read(2), has the lock of its pipe. Workers read into memory that they have
// written to before.
#pragma once

#include "src/lease/terms.h"

namespace vmcore::lease {

// The program, from its start to its end; returns its exit status.
int hold(const Orders& orders);

}  // namespace vmcore::lease
