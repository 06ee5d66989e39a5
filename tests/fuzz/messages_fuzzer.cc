// SPDX-License-Identifier: GPL-2.0-or-later
// What a worker says to vmcorectl, and the reverse: whatever comes, what is taken is within its
// bounds, and can be said again.
#include <cstdint>
#include <cstdlib>

#include "src/sandbox/messages.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;
using namespace vmcore::sandbox;

std::vector<std::string> messages() {
  const InfoPlace place{.address = {0x1234000}, .build_id = std::string(40, 'a')};
  const Request request{
      .input = SnapshotInput{{{{{0x1000}, 0x2000}, "pc.ram", 0x1000}}},
      .how = {.compress_level = 3},
      .hint = place,
      .host_event_time = 1,
      .capture = Capture{.method = "direct", .consistency = "stopped", .crash = "claim"},
      .descriptors = {"source", "spool", "header", "output"}};
  const Done done{.summary = {.release = "6.12.0",
                              .armed = true,
                              .classes = {{"free", "free", 1}},
                              .remarks = {{Errc::io, "text"}}},
                  .place = place};
  return {encode(request),
          encode(Request{.input = ProcessInput{.torn = true, .rehearsal = true, .copied = true}}),
          encode(Request{.input = GuestStreamInput{}}),
          encode(Event(Progress{1, 2})),
          encode(Event(Hello{.release = "6.12.0", .tag = "tag", .ram_bytes = 1})),
          encode(Event(LogRead{1, "Kernel panic - not syncing"})),
          encode(Event(Ready{1, 2})),
          encode(Event(Want{{{0x1000}, 0x1000}})),
          encode(Event(Locate{{{{0x1000}, 0x1000}, {{0x3000}, 0x1000}}})),
          encode(Event(Copy{3})),
          encode(Event(done)),
          encode(Event(Failed{{Errc::io, "text"}})),
          encode(Have{Error{Errc::io, "text"}}),
          encode(Cost{.pause_us = 1, .host_memory = -1}),
          encode(Located{.error = Error{Errc::io, "text"},
                         .pieces = {{{{0x1000}, 0x1000}, 0x7f0000000000, FilePlace{1, 2}}}})};
}

void check(bool promise) {
  if (!promise) {
    std::abort();
  }
}

void check_event(const Event& event) {
  if (const auto* asked = std::get_if<Locate>(&event)) {
    check(asked->blocks.size() <= kMaxPieces);
    for (const PhysRange& block : asked->blocks) {
      check(block.size <= kMaxPhysAddr && block.begin.value <= kMaxPhysAddr - block.size);
    }
  }
  const auto again = decode_event(encode(event));
  check(again && again->index() == event.index());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::string> originals = messages();
  const std::string packet = fuzz::changed_text(originals, std::as_bytes(std::span(data, size)));
  if (packet.size() > kMaxPacket) {
    return 0;
  }
  if (const auto event = decode_event(packet)) {
    check_event(*event);
  }
  if (const auto request = decode_request(packet)) {
    check(decode_request(encode(*request)).has_value());
  }
  if (const auto located = decode_located(packet)) {
    check(decode_located(encode(*located)).has_value());
  }
  static_cast<void>(decode_have(packet));
  static_cast<void>(decode_cost(packet));
  return 0;
}
