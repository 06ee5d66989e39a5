// SPDX-License-Identifier: GPL-2.0-or-later
// What a job reads, opened from the descriptors of its request.
#pragma once

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/image/image.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/descriptors.h"
#include "src/sandbox/messages.h"
#include "src/sources/copier.h"
#include "src/sources/process_reader.h"

namespace vmcore::worker {

// Whoever started us may be gone: the channel's watcher ends us then.
void tell(const sandbox::Channel& channel, const sandbox::Event& event);

// Those who have memory of a guest's process read. Borrowed; null where the input is no process, or
// none copies.
struct Reach {
  const sources::ProcessReader* reader = nullptr;
  const sources::Copier* copier = nullptr;
};

struct Input {
  MemoryImage image;
  Fd held;  // a pipe; while it is open the guest stands still; mostly nothing
  // Whoever wrote to the pipe ended by itself: the guest may have run while it was read.
  bool lease_lost = false;

  // Lets the guest run, and says so: nothing more is read from it.
  void let_go(const sandbox::Channel& channel);
  // Errc::guest_state where it was lost.
  Result<> check_lease() const;
};

// A dump file that ends after its headers: its memory comes from elsewhere, so nothing is lost.
// Errc::guest_state where the dump is of a guest that is not understood: no other way to its memory
// would change that.
Result<MemoryImage> open_headers(Fd file);

// Asks over the channel for the one descriptor that answers it.
Result<Fd> ask(const sandbox::Channel& channel, const sandbox::Event& question);

// Opens the input from its descriptors. A fetched or located input sends its questions over the
// channel, now and as long as the image is read. A guest's process is opened when it is `ready`.
Result<Input> open_input(const sandbox::Channel& channel, const sandbox::Request& request,
                         const sandbox::Ready& ready, const Reach& reach,
                         sandbox::Descriptors& descriptors);

}  // namespace vmcore::worker
