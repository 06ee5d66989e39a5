// SPDX-License-Identifier: GPL-2.0-or-later
// Requests and answers of the control socket: whatever they are, they are refused, or are written
// and read again as the same.
#include <cstdint>
#include <cstdlib>

#include "src/control/control.h"
#include "tests/fuzz/change.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  using namespace vmcore::control;
  static const std::vector<std::string> originals{
      to_json(Request{.verb = Verb::arm, .guests = {"vm1"}, .uri = "qemu:///system"}),
      to_json(Answer{.guests = {{.name = "vm1", .armed = true, .on_crash_before = "destroy"}}}),
      to_json(Answer{.error = Error{Errc::busy, "later"}})};
  const std::string text = fuzz::changed_text(originals, std::as_bytes(std::span(data, size)));
  if (const auto request = request_from_json(text)) {
    const auto again = request_from_json(to_json(*request));
    if (!again || to_json(*again) != to_json(*request)) {
      std::abort();
    }
  }
  if (const auto answer = answer_from_json(text)) {
    const auto again = answer_from_json(to_json(*answer));
    if (!again || to_json(*again) != to_json(*answer)) {
      std::abort();
    }
  }
  return 0;
}
