// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/arch/x86_64_unwind.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "tests/builders/unwind_guest.h"

namespace vmcore::kernel {
namespace {

using testing::OrcStyle;
using testing::UnwindGuest;

constexpr std::array kStyles{OrcStyle::before_6_3, OrcStyle::of_6_3, OrcStyle::since_6_4,
                             OrcStyle::since_7_1};

Unwinder unwinder_of(const UnwindGuest& guest) {
  const auto btf = Btf::of_kernel(guest.kernel(), *guest.kernel().kallsyms());
  EXPECT_TRUE(btf) << btf.error().message;
  auto unwinder = Unwinder::make(guest.kernel(), *guest.kernel().kallsyms(), &*btf, {});
  EXPECT_TRUE(unwinder) << unwinder.error().message;
  return *std::move(unwinder);
}

// Offsets into "text" of each frame's code; "*" where it was interrupted, "?" where it is guessed;
// then why there is no more.
std::string shown(const UnwindGuest& guest, const Backtrace& trace) {
  std::string text;
  for (const StackFrame& frame : trace.frames) {
    text += fmt::format("{:x}{}{} ", frame.code.value - guest.text(0), frame.exact ? "*" : "",
                        frame.guessed ? "?" : "");
  }
  return text + (trace.broken ? std::string(errc_name(trace.broken->code)) : "whole");
}

class UnwindStyles : public ::testing::TestWithParam<OrcStyle> {};

TEST_P(UnwindStyles, IsFoundOut) {
  const UnwindGuest guest(GetParam());
  const auto table = OrcTable::of_kernel(guest.kernel(), *guest.kernel().kallsyms());
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->form().renumbered, GetParam() == OrcStyle::since_7_1);
  EXPECT_EQ(table->form().flags == OrcForm::Flags::types,
            GetParam() == OrcStyle::since_6_4 || GetParam() == OrcStyle::since_7_1);
  const auto entry = table->find({guest.text(0x1ff)});
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->sp_register, OrcRegister::sp);
  EXPECT_EQ(entry->sp_offset, 24);
  EXPECT_EQ(entry->bp_register, OrcRegister::previous_sp);
  EXPECT_EQ(entry->bp_offset, -16);
  EXPECT_EQ(table->find({guest.text(0)})->sp_offset, 8);
  EXPECT_EQ(table->find({guest.text(0) - 1}).error().code, Errc::not_found);
  EXPECT_EQ(table->find({guest.text(0xfff)})->sp_offset, 56);
  EXPECT_EQ(table->find({guest.text(0x5ff)})->type, OrcType::end_of_stack);
  EXPECT_EQ(table->find({guest.text(0x700)})->type, OrcType::undefined);
}

// leaf <- one that saves BP <- one with a frame pointer <- a thread's beginning
TEST_P(UnwindStyles, Calls) {
  UnwindGuest guest(GetParam());
  guest.put(guest.stack(0x100), guest.text(0x110));
  guest.put(guest.stack(0x110), guest.stack(0x180));  // BP
  guest.put(guest.stack(0x118), guest.text(0x220));
  guest.put(guest.stack(0x180), 0x1234);
  guest.put(guest.stack(0x188), guest.text(0x510));
  const Backtrace trace = unwinder_of(guest).from({guest.text(0x20), guest.stack(0x100), 0});
  EXPECT_EQ(shown(guest, trace), "20* 110 220 510 whole");
  EXPECT_EQ(trace.frames[2].sp.value, guest.stack(0x120));
}

// __crash_kexec() of 6.1 saves the address of a label that lies where no code is.
TEST_P(UnwindStyles, AnAddressBehindACallWithoutReturn) {
  UnwindGuest guest(GetParam());
  const Registers saved{guest.text(0xb10), guest.stack(0x100), 0};
  EXPECT_EQ(shown(guest, unwinder_of(guest).from(saved)), "b10* not_found");
  guest.put(guest.stack(0x128), guest.text(0x510));  // of 0xa50
  EXPECT_EQ(shown(guest, unwinder_of(guest).from(saved)), "b10* 510 whole");
  guest.put(guest.stack(0x130), guest.text(0x520));  // of 0xa60, which is nearer
  EXPECT_EQ(shown(guest, unwinder_of(guest).from(saved)), "b10* 520 whole");
}

// The byte before a return address tells: a call may be the last of its function.
TEST_P(UnwindStyles, CallsThatDoNotReturn) {
  UnwindGuest guest(GetParam());
  guest.put(guest.stack(0x100), guest.text(0x200));  // behind the end of the one before
  guest.put(guest.stack(0x118), guest.text(0x510));
  const Backtrace trace = unwinder_of(guest).from({guest.text(0), guest.stack(0x100), 0});
  EXPECT_EQ(shown(guest, trace), "0* 200 510 whole");
}

// leaf on the interrupts' stack <- entry <- what it interrupted, which was at the first byte of its
// function <- user mode
TEST_P(UnwindStyles, Interrupts) {
  UnwindGuest guest(GetParam());
  guest.put(guest.irq_stack(0x100), guest.text(0x310));
  guest.put_registers(guest.irq_stack(0x108), guest.text(0x200), guest.stack(0x200),
                      guest.stack(0x300));
  guest.put(guest.stack(0x308), guest.text(0x320));
  guest.put_registers(guest.stack(0x310), 0x44'b3b0, 0x7fff'0000, 0, true);
  const Backtrace trace = unwinder_of(guest).from({guest.text(0), guest.irq_stack(0x100), 7});
  EXPECT_EQ(shown(guest, trace), "0* 310 200* 320 whole");
  EXPECT_EQ(trace.frames[2].registers, VirtAddr{guest.irq_stack(0x108)});
  EXPECT_TRUE(trace.frames[2].all_registers);
  EXPECT_EQ(trace.frames[3].registers, std::nullopt);
}

// An NMI's entry that has not saved all registers yet.
TEST_P(UnwindStyles, PartialRegisters) {
  UnwindGuest guest(GetParam());
  guest.put_partial(guest.irq_stack(0x108) - 128, guest.text(0x50), guest.stack(0x200));
  guest.put(guest.stack(0x200), guest.text(0x510));
  const Backtrace trace = unwinder_of(guest).from({guest.text(0x400), guest.irq_stack(0x100), 0});
  EXPECT_EQ(shown(guest, trace), "400* 50* 510 whole");
  EXPECT_FALSE(trace.frames[1].all_registers);
}

TEST_P(UnwindStyles, OtherRegisters) {
  UnwindGuest guest(GetParam());
  // Through a pointer on the stack, and through one before the frame pointer.
  guest.put(guest.irq_stack(0x100), guest.stack(0x200));
  guest.put(guest.stack(0x200), guest.text(0x910));
  guest.put(guest.stack(0x2f8), guest.stack(0x400));
  guest.put(guest.stack(0x300), 0);  // BP
  guest.put(guest.stack(0x3f8), guest.text(0x510));
  EXPECT_EQ(shown(guest, unwinder_of(guest).from(
                             {guest.text(0x600), guest.irq_stack(0x100), guest.stack(0x300)})),
            "600* 910 510 whole");
  // R10 is told by the registers of an interrupt, and by nothing else.
  guest.put_registers(guest.stack(0x500), guest.text(0x800), guest.stack(0x600), 0);
  guest.put(guest.stack(0x500) + 56, guest.stack(0x700));
  guest.put(guest.stack(0x6f8), guest.text(0x510));
  EXPECT_EQ(shown(guest, unwinder_of(guest).from({guest.text(0x300), guest.stack(0x500), 0})),
            "300* 800* 510 whole");
  EXPECT_EQ(shown(guest, unwinder_of(guest).from({guest.text(0x800), guest.stack(0x500), 0})),
            "800* malformed");
}

TEST_P(UnwindStyles, SleepingTasks) {
  UnwindGuest guest(GetParam());
  const std::uint64_t sp = guest.stack(0x100);
  guest.put(sp + 40, guest.stack(0x200));  // bp
  guest.put(sp + 48, guest.text(0x210));   // ret_addr
  guest.put(guest.stack(0x208), guest.text(0x510));
  EXPECT_EQ(shown(guest, unwinder_of(guest).of_sleeping({sp})), "210 510 whole");
  EXPECT_EQ(shown(guest, unwinder_of(guest).of_sleeping({0x1000})), "unreadable");
  const auto without = Unwinder::make(guest.kernel(), *guest.kernel().kallsyms(), nullptr, {});
  EXPECT_EQ(shown(guest, without->of_sleeping({sp})), "not_found");
}

INSTANTIATE_TEST_SUITE_P(All, UnwindStyles, ::testing::ValuesIn(kStyles));

TEST(Unwind, CallOfNull) {
  UnwindGuest guest(OrcStyle::since_6_4);
  guest.put(guest.stack(0x100), guest.text(0x510));
  const Backtrace trace = unwinder_of(guest).from({0, guest.stack(0x100), 0});
  ASSERT_EQ(trace.frames.size(), 2U);
  EXPECT_EQ(trace.frames[1].code.value, guest.text(0x510));
}

TEST(Unwind, CodeOfWhichNothingIsKnown) {
  UnwindGuest guest(OrcStyle::since_6_4);
  const std::uint64_t jit = guest.kernel().page_offset()->value + 0x5000;
  // With a frame pointer, as BPF's code has it, it is gone through, and what follows is a guess.
  guest.put(guest.stack(0x200), guest.stack(0x300));
  guest.put(guest.stack(0x208), guest.text(0x510));
  const Backtrace trace = unwinder_of(guest).from({jit, guest.stack(0x100), guest.stack(0x200)});
  ASSERT_EQ(trace.frames.size(), 2U);
  EXPECT_TRUE(trace.frames[1].guessed);
  EXPECT_FALSE(trace.broken);
  // But not twice.
  guest.put(guest.stack(0x208), 0xffff'ffff'c000'5000);
  const Backtrace lost = unwinder_of(guest).from({jit, guest.stack(0x100), guest.stack(0x200)});
  EXPECT_EQ(lost.broken->code, Errc::not_found);
  EXPECT_EQ(shown(guest, unwinder_of(guest).from({guest.text(0x700), guest.stack(0), 0})),
            "700* not_found");
}

// Where no call is before it, a word of the stack may be a return address by chance.
TEST(Unwind, ReturnAddresses) {
  UnwindGuest guest(OrcStyle::since_6_4);
  const auto from = [&](std::uint64_t word) {
    guest.put(guest.stack(0x100), word);
    return shown(guest, unwinder_of(guest).from({guest.text(0), guest.stack(0x100), 0}));
  };
  guest.put(guest.stack(0x118), guest.text(0x510));  // the caller of 0x110
  EXPECT_EQ(from(guest.text(0x110)), "0* 110 510 whole");
  EXPECT_EQ(from(0x46), "0* malformed");
  EXPECT_EQ(from(0), "0* malformed");
  EXPECT_EQ(from(guest.kernel().page_offset()->value + 0x5000), "0* malformed");
  using Bytes = std::vector<std::uint8_t>;
  const auto behind = [&](const Bytes& code) {
    std::vector bytes(0x20, std::byte{0x90});
    std::ranges::transform(code, bytes.begin() + (0x10 - std::ssize(code)),
                           [](std::uint8_t each) { return std::byte{each}; });
    guest.memory().write(guest.physical("text") + 0x100, bytes);
    return from(guest.text(0x110));
  };
  for (const Bytes& call :
       {Bytes{0xff, 0xd0}, Bytes{0x41, 0xff, 0xd3}, Bytes{0xff, 0x50, 8},
        Bytes{0xff, 0x54, 0x24, 8}, Bytes{0xff, 0x15, 1, 2, 3, 4},
        Bytes{0xff, 0x94, 0xc8, 1, 2, 3, 4}, Bytes{0xe8, 1, 2, 3, 4}, Bytes{0x48, 0xcb}}) {
    EXPECT_EQ(behind(call), "0* 110 510 whole");
  }
  for (const Bytes& other : {Bytes{0x90}, Bytes{0xe9, 1, 2, 3, 4}, Bytes{0xff, 0xe0}}) {
    EXPECT_EQ(behind(other), "0* 110? 510? whole");
  }
}

TEST(Unwind, RegistersThatAreNone) {
  UnwindGuest guest(OrcStyle::since_6_4);
  guest.put_registers(guest.stack(0x100), guest.text(0x10), guest.stack(0x200), 0);
  guest.put(guest.stack(0x200), guest.text(0x510));
  EXPECT_EQ(shown(guest, unwinder_of(guest).from({guest.text(0x300), guest.stack(0x100), 0})),
            "300* 10* 510 whole");
  guest.put(guest.stack(0x100) + 136, 0x18);  // CS
  EXPECT_EQ(shown(guest, unwinder_of(guest).from({guest.text(0x300), guest.stack(0x100), 0})),
            "300* malformed");
}

// Nothing is left of their code when the kernel has booted.
TEST(Unwind, ReturnAddressesInInitFunctions) {
  UnwindGuest guest(OrcStyle::since_6_4);
  guest.put(guest.stack(0x100), guest.at("_sinittext").value + 0x10);
  const Backtrace trace = unwinder_of(guest).from({guest.text(0), guest.stack(0x100), 0});
  ASSERT_GE(trace.frames.size(), 2U);
  EXPECT_EQ(trace.frames[1].code, guest.at("_sinittext") + 0x10);
  EXPECT_FALSE(trace.frames[1].guessed);
}

TEST(Unwind, StacksThatDoNotEnd) {
  UnwindGuest guest(OrcStyle::since_6_4);
  // Registers that were saved at the place that they lead to.
  guest.put_registers(guest.stack(0x100), guest.text(0x300), guest.stack(0x100), 0);
  EXPECT_EQ(shown(guest, unwinder_of(guest).from({guest.text(0x300), guest.stack(0x100), 0})),
            "300* malformed");
  // One call in another, as far as there is stack.
  for (std::uint64_t at = 0; at < 0x1000; at += 8) {
    guest.put(guest.stack(at), guest.text(0x10));
    guest.put(guest.irq_stack(at), guest.text(0x10));
  }
  const Backtrace trace = unwinder_of(guest).from({guest.text(0), guest.stack(0), 0});
  EXPECT_EQ(trace.frames.size(), 512U);
  EXPECT_EQ(trace.broken->code, Errc::limit);
  EXPECT_EQ(shown(guest, unwinder_of(guest).from({guest.text(0), 0x1000, 0})), "0* unreadable");
}

TEST(Orc, NotThereOrBroken) {
  testing::GuestBuilder without("6.1");
  const MemoryImage image = without.build();
  const auto found = find_kernels(image, Search::registers);
  const GuestKernel& kernel = found->kernels.at(0);
  EXPECT_EQ(OrcTable::of_kernel(kernel, *kernel.kallsyms()).error().code, Errc::not_found);

  UnwindGuest guest(OrcStyle::since_6_4);
  guest.write("__start_orc_unwind",
              std::vector<std::byte>(guest.tables().entries.size(), std::byte{0x99}));
  EXPECT_EQ(OrcTable::of_kernel(guest.kernel(), *guest.kernel().kallsyms()).error().code,
            Errc::malformed);
}

TEST(Orc, OutOfOrder) {
  UnwindGuest guest(OrcStyle::since_6_4);
  const auto table = [&] {
    return *OrcTable::of_kernel(guest.kernel(), *guest.kernel().kallsyms());
  };
  ASSERT_TRUE(table().find({guest.text(0x405)}));
  // The entry of 0x400 claims to begin far behind.
  const PhysAddr place = guest.physical("__start_orc_unwind_ip") + 4 * 4;
  guest.memory().write_value(place, std::int32_t{0x4000'0000});
  for (const std::uint64_t code : {0x305U, 0x405U, 0x505U}) {
    EXPECT_EQ(table().find({guest.text(code)}).error().code, Errc::malformed) << code;
  }
  EXPECT_TRUE(table().find({guest.text(0x105)}));
}

TEST(Orc, OfModules) {
  UnwindGuest guest(OrcStyle::since_7_1);
  Module module;
  module.orc_ip = {guest.at("__start_orc_unwind_ip"), 5};
  module.orc = guest.at("__start_orc_unwind");
  const OrcForm form{OrcForm::Flags::types, true};
  const auto table = OrcTable::of_module(guest.kernel(), module, form);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_TRUE(table->covers({guest.text(0)}));
  EXPECT_FALSE(table->covers({guest.text(0x500)}));
  EXPECT_EQ(table->find({guest.text(0x105)})->sp_offset, 24);
  module.orc_ip.count = 0;
  EXPECT_EQ(OrcTable::of_module(guest.kernel(), module, form).error().code, Errc::not_found);
  module.orc_ip.count = ~0U;
  EXPECT_EQ(OrcTable::of_module(guest.kernel(), module, form).error().code, Errc::not_found);
}

}  // namespace
}  // namespace vmcore::kernel
