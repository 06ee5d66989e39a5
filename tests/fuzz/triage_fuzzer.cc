// SPDX-License-Identifier: GPL-2.0-or-later
// The report of a guest whose tasks, run queue, socket, waiter and types are changed: it ends, it
// is bounded, and it is a document. A byte tells whether the types or the rest is changed.
#include <memory>

#include "src/triage/io_waits.h"
#include "src/triage/run_queue.h"
#include "src/triage/sockets.h"
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

constexpr unsigned kTasks = 4;

testing::TriageGuest whole_guest() {
  using testing::TriageGuest;
  TriageGuest guest(kTasks);
  const std::uint64_t queue = guest.object(TriageGuest::kQueue);
  guest.put32(queue + 32, 1);
  guest.queue(queue + 16, TriageGuest::kGroupNode, {1, 2});
  guest.queue(queue + 40, TriageGuest::kRunList, {3});
  guest.make_socket(1, 1, 0, 10);
  guest.make_waiter(1, "wake_page_function", guest.object(TriageGuest::kFolio), 0);
  guest.put32(guest.task(1) + TriageGuest::kState, 2);
  return guest;
}

// What triage() does not come to in such a small guest.
void read_parts(const testing::TriageGuest& guest) {
  triage::Knowledge knowledge(guest.image(), guest.kernel());
  const auto queue = triage::RunQueueReader(knowledge).read({guest.object(0)});
  if (queue.tasks.size() > report::kMaxQueued) {
    __builtin_trap();
  }
  static_cast<void>(triage::socket_of(knowledge, {guest.object(testing::TriageGuest::kFile)}));
  const auto task = knowledge.task_layout
                        ? kernel::read_task(guest.kernel(), *knowledge.task_layout, {guest.task(1)})
                        : tl::unexpected(knowledge.task_layout.error());
  if (task) {
    static_cast<void>(triage::IoWaitFinder(knowledge).find(
        *task, {.frames = {{.function = "__wait_on_buffer"}}}));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static testing::TriageGuest guest = whole_guest();
  static const auto types = testing::TriageGuest::types().build();
  static const auto tasks =
      bytes_at(guest, "init_task", kTasks * 256 + testing::TriageGuest::kObjectBytes);
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
  read_parts(guest);
  const auto report = triage::triage(guest.image(), guest.kernel(), {});
  const std::string text = to_json(report);
  const auto again = report::triage_from_json(text);
  if (!again || to_json(*again) != text) {
    __builtin_trap();
  }
  return 0;
}
