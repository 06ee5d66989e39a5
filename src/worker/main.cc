// SPDX-License-Identifier: GPL-2.0-or-later
// vmcore-worker: reads guest bytes so that no other process has to. Started by vmcorectl with its
// channel as descriptor 3; knows no paths, no sockets, no libvirt.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <new>
#include <thread>
#include <utility>

#include "src/base/start_thread.h"
#include "src/base/sys.h"
#include "src/sandbox/channel.h"
#include "src/sandbox/confine.h"
#include "src/sandbox/descriptors.h"
#include "src/sandbox/messages.h"
#include "src/worker/jobs.h"

namespace {

constexpr int kChannelFd = 3;

// When the program that started us is gone or cancels, we go at once and wherever we are: nobody
// wants what we write, and the holder of a pause ends it when we close the relay.
void die_with(const vmcore::sandbox::Channel& channel) {
  channel.wait_closed();
  ::_exit(0);
}

vmcore::Result<vmcore::sandbox::Done> work(const vmcore::sandbox::Channel& channel,
                                           bool allow_unconfined) {
  vmcore::sandbox::Confinement confinement(allow_unconfined);
  const vmcore::Result<> begun = confinement.begin();
  TRY_ASSIGN(vmcore::sandbox::Packet packet, channel.receive());
  TRY(begun);  // told as the answer to the request
  TRY_ASSIGN(const auto request, vmcore::sandbox::decode_request(packet.text));
  TRY_ASSIGN(auto descriptors,
             vmcore::sandbox::Descriptors::make(request.descriptors, std::move(packet.fds)));
  const auto source = vmcore::sys::file_size(descriptors.look_at("source"));
  TRY(confinement.narrow(request, source.value_or(0)));
  TRY_ASSIGN(std::thread watcher,
             vmcore::start_thread<std::thread>([&channel] { die_with(channel); }));
  watcher.detach();
  TRY_ASSIGN(vmcore::sandbox::Done done, vmcore::worker::run_job(channel, request, descriptors));
  const auto& remarks = confinement.remarks();
  done.summary.remarks.insert(done.summary.remarks.end(), remarks.begin(), remarks.end());
  return done;
}

// RLIMIT_DATA is part of the confinement (sandbox/bounds.h).
vmcore::Result<vmcore::sandbox::Done> work_within_memory(const vmcore::sandbox::Channel& channel,
                                                         bool allow_unconfined) {
  try {
    return work(channel, allow_unconfined);
  } catch (const std::bad_alloc&) {
    return vmcore::fail(vmcore::Errc::limit, "the input takes more memory than this job may have");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (::fcntl(kChannelFd, F_SETFD, FD_CLOEXEC) != 0) {
    std::fputs("vmcore-worker is started by vmcorectl, not by hand\n", stderr);
    return 2;
  }
  const vmcore::sandbox::Channel channel{vmcore::Fd(kChannelFd)};
  auto done = work_within_memory(channel, argc > 1 && argv[1] == vmcore::sandbox::kAllowUnconfined);
  const vmcore::sandbox::Event last =
      done ? vmcore::sandbox::Event(*std::move(done))
           : vmcore::sandbox::Event(vmcore::sandbox::Failed{std::move(done).error()});
  const auto sent = channel.send(vmcore::sandbox::encode(last));
  ::_exit(sent ? 0 : 1);  // the watcher still waits
}
