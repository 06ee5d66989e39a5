// SPDX-License-Identifier: GPL-2.0-or-later
// vmcore-worker: reads guest bytes so that no other process has to. Started by vmcorectl with its
// channel as descriptor 3; knows no paths, no sockets, no libvirt.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <thread>
#include <utility>

#include "src/sandbox/channel.h"
#include "src/sandbox/confine.h"
#include "src/sandbox/descriptors.h"
#include "src/sandbox/messages.h"
#include "src/worker/jobs.h"

namespace {

constexpr int kChannelFd = 3;

// When the program that started us is gone or cancels, we go at once and wherever we are: we may
// hold the pipe whose closing lets a paused guest run.
void die_with(const vmcore::sandbox::Channel& channel) {
  channel.wait_closed();
  ::_exit(0);
}

vmcore::Result<vmcore::sandbox::Done> work(const vmcore::sandbox::Channel& channel) {
  TRY(vmcore::sandbox::confine());
  TRY_ASSIGN(vmcore::sandbox::Packet packet, channel.receive());
  TRY_ASSIGN(const auto request, vmcore::sandbox::decode_request(packet.text));
  TRY_ASSIGN(auto descriptors,
             vmcore::sandbox::Descriptors::make(request.descriptors, std::move(packet.fds)));
  std::thread(die_with, std::cref(channel)).detach();
  return vmcore::worker::run_job(channel, request, descriptors);
}

}  // namespace

int main() {
  if (::fcntl(kChannelFd, F_SETFD, FD_CLOEXEC) != 0) {
    std::fputs("vmcore-worker is started by vmcorectl, not by hand\n", stderr);
    return 2;
  }
  const vmcore::sandbox::Channel channel{vmcore::Fd(kChannelFd)};
  auto done = work(channel);
  const vmcore::sandbox::Event last =
      done ? vmcore::sandbox::Event(*std::move(done))
           : vmcore::sandbox::Event(vmcore::sandbox::Failed{std::move(done).error()});
  const auto sent = channel.send(vmcore::sandbox::encode(last));
  ::_exit(sent ? 0 : 1);  // the watcher still waits
}
