// SPDX-License-Identifier: GPL-2.0-or-later
// What QEMU says on its monitor: greeting, answers and events in any order, cut anywhere.
#include <sys/socket.h>

#include <cstdint>
#include <string_view>

#include "qmp/client.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  constexpr std::size_t kFitsIntoASocket = 64 << 10;
  if (size > kFitsIntoASocket) {
    return 0;
  }
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
    return 0;
  }
  const Fd qemu(ends[1]);
  if (::send(qemu.get(), data, size, MSG_DONTWAIT) < 0) {
    ::close(ends[0]);
    return 0;
  }
  ::shutdown(qemu.get(), SHUT_WR);
  auto client = qmp::Client::open(
      Fd(ends[0]), {.greeting = qmp::Milliseconds(100), .events = {"STOP", "RESUME"}});
  if (client) {
    static_cast<void>(client->execute("query-status", qmp::Json::object(), qmp::Milliseconds(100)));
    static_cast<void>(client->take_event("STOP"));
    static_cast<void>(client->wait_event("RESUME", qmp::Milliseconds(100)));
  }
  return 0;
}
