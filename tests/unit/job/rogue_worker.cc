// SPDX-License-Identifier: GPL-2.0-or-later
// Stands where vmcore-worker lies, and does as a worker may that a guest has taken over: it begins
// as it should, lets the guest go, and then does what the request's compression
// level says (rogue_worker.h).
#include <unistd.h>

#include "src/sandbox/channel.h"
#include "src/sandbox/copy_room.h"
#include "src/sandbox/descriptors.h"
#include "src/sandbox/messages.h"
#include "src/sandbox/read_line.h"
#include "tests/unit/job/rogue_worker.h"

namespace vmcore::sandbox {
namespace {

Result<Packet> ask(const Channel& channel, const Event& question) {
  TRY(channel.send(encode(question)));
  return channel.receive();
}

// Of the first page that was located.
Result<Have> copy_a_page(const Channel& channel, const CopyRoom& room, std::uint64_t address) {
  room.table().front() = {address, 0, 4096};
  TRY_ASSIGN(const Packet packet, ask(channel, Copy{1}));
  return decode_have(packet.text);
}

// What is read by a line at that address; fails where the line is closed.
Result<std::uint64_t> read_by_line(Descriptors& descriptors, std::uint64_t address) {
  TRY_ASSIGN(const Fd line, descriptors.take("line0"));
  TRY(send_on(line.get(), CopyEntry{address, 0, 4096}));
  return receive_on<std::uint64_t>(line.get());
}

Result<> work(const Channel& channel) {
  TRY_ASSIGN(Packet given, channel.receive());
  TRY_ASSIGN(const Request request, decode_request(given.text));
  if (request.operation == Operation::memory) {
    TRY_ASSIGN(const Packet pipe, ask(channel, Ready{.pause_us = 1, .kept_pages = 1}));
    ::pause();
  }
  const auto does = [&](Rogue what) {
    return request.how.compress_level == static_cast<int>(what);
  };
  TRY_ASSIGN(auto descriptors, Descriptors::make(request.descriptors, std::move(given.fds)));
  TRY_ASSIGN(const Fd shared, descriptors.take("room"));
  TRY_ASSIGN(const CopyRoom room, CopyRoom::map(shared.get()));
  TRY_ASSIGN(const Packet places, ask(channel, Locate{}));
  TRY_ASSIGN(const Located located, decode_located(places.text));
  const std::uint64_t address = *located.pieces.front().address;
  if (does(Rogue::reads) || does(Rogue::reads_beside)) {
    const auto got = read_by_line(descriptors, does(Rogue::reads) ? address : address + 4096);
    return channel.send(encode(Event(Failed{{Errc::unsupported, got ? "it was read" : "closed"}})));
  }
  TRY(copy_a_page(channel, room, address));
  TRY_ASSIGN(Packet pipe, ask(channel, Ready{.pause_us = 1, .kept_pages = 1}));
  if (does(Rogue::holds_on)) {
    ::pause();
  }
  pipe.fds.clear();
  TRY(ask(channel, SourceRead{}));
  if (does(Rogue::copies_late)) {
    TRY(copy_a_page(channel, room, address));
  } else if (does(Rogue::is_ready_again)) {
    TRY(ask(channel, Ready{.pause_us = 1, .kept_pages = 1}));
  }
  return channel.send(encode(Event(Done{})));
}

}  // namespace
}  // namespace vmcore::sandbox

int main() {
  constexpr int kChannelFd = 3;
  return vmcore::sandbox::work(vmcore::sandbox::Channel(vmcore::Fd(kChannelFd))) ? 0 : 1;
}
