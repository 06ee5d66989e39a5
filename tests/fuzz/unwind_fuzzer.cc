// SPDX-License-Identifier: GPL-2.0-or-later
// ORC tables and stacks with changes: unwinding from registers that the input tells.
// A byte for the form, 2 for each of ip, sp and bp, one whether tables or stacks are changed.
#include <algorithm>
#include <array>
#include <memory>

#include "src/kernel/arch/x86_64_unwind.h"
#include "tests/builders/unwind_guest.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;
using testing::OrcStyle;
using testing::UnwindGuest;

// One call of each way in the other.
std::vector<std::byte> stack_of(UnwindGuest& guest) {
  guest.put(guest.stack(0x100), guest.text(0x110));
  guest.put(guest.stack(0x110), guest.stack(0x180));
  guest.put(guest.stack(0x118), guest.text(0x220));
  guest.put(guest.stack(0x188), guest.text(0x310));
  guest.put_registers(guest.stack(0x190), guest.text(0x800), guest.stack(0x300), 0);
  guest.put(guest.stack(0x190) + 56, guest.stack(0x408));
  guest.put(guest.stack(0x400), guest.text(0x510));
  std::vector<std::byte> bytes(0x1000);
  static_cast<void>(read_exactly(guest.memory(), guest.physical("stack"), bytes));
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array kGuests{std::make_unique<UnwindGuest>(OrcStyle::before_6_3),
                                  std::make_unique<UnwindGuest>(OrcStyle::of_6_3),
                                  std::make_unique<UnwindGuest>(OrcStyle::since_6_4),
                                  std::make_unique<UnwindGuest>(OrcStyle::since_7_1)};
  const auto input = std::as_bytes(std::span(data, size));
  if (input.size() < 8) {
    return 0;
  }
  UnwindGuest& guest = *kGuests[std::to_integer<std::size_t>(input[0]) % kGuests.size()];
  auto stack = stack_of(guest);
  auto addresses = guest.tables().addresses;
  auto entries = guest.tables().entries;
  const std::array changed{&stack, &addresses, &entries};
  auto& bytes = *changed[std::to_integer<std::size_t>(input[7]) % changed.size()];
  const std::size_t length = bytes.size();
  fuzz::change(bytes, input.subspan(8));
  bytes.resize(length);
  guest.write("stack", stack);
  guest.write("__start_orc_unwind_ip", addresses);
  guest.write("__start_orc_unwind", entries);
  const auto unwinder =
      kernel::Unwinder::make(guest.kernel(), *guest.kernel().kallsyms(), nullptr, {});
  if (unwinder) {
    const auto trace = unwinder->from({guest.text(*load<ul16>(input, 1) % 0x1000),
                                       guest.stack(*load<ul16>(input, 3) % 0x1000),
                                       guest.stack(*load<ul16>(input, 5) % 0x1000)});
    if (trace.frames.empty() || trace.frames.size() > 512) {
      __builtin_trap();
    }
  }
  return 0;
}
