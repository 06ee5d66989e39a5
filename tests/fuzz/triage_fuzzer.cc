// SPDX-License-Identifier: GPL-2.0-or-later
// The report of a guest whose tasks, lists and types are changed: it ends, it is bounded, and it is
// a document. A byte tells whether the types or the tasks are changed.
#include <memory>

#include "src/triage/triage.h"
#include "tests/builders/triage_guest.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;

std::vector<std::byte> bytes_at(testing::TriageGuest& guest, const char* symbol, std::size_t size) {
  std::vector<std::byte> bytes(size);
  static_cast<void>(read_exactly(guest.memory(), guest.physical(symbol), bytes));
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr unsigned kTasks = 4;
  static testing::TriageGuest guest(kTasks);
  static const auto types = testing::TriageGuest::types().build();
  static const auto tasks = bytes_at(guest, "init_task", kTasks * 256);
  const auto input = std::as_bytes(std::span(data, size));
  if (input.empty()) {
    return 0;
  }
  const bool of_types = (std::to_integer<unsigned>(input[0]) & 1) != 0;
  auto changed = of_types ? types : tasks;
  const std::size_t length = changed.size();
  fuzz::change(changed, input.subspan(1));
  changed.resize(length);
  guest.memory().write(guest.physical("__start_BTF"), of_types ? changed : types);
  guest.memory().write(guest.physical("init_task"), of_types ? tasks : changed);
  const auto report = triage::triage(guest.image(), guest.kernel(), {});
  const std::string text = to_json(report);
  const auto again = report::triage_from_json(text);
  if (!again || to_json(*again) != text) {
    __builtin_trap();
  }
  return 0;
}
