// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/expression.h"

#include <dwarf.h>
#include <gtest/gtest.h>

#include <vector>

namespace vmcore::debuginfo {
namespace {

Dwarf_Op op(unsigned atom, std::uint64_t number = 0, std::uint64_t number2 = 0) {
  return {
      .atom = static_cast<std::uint8_t>(atom), .number = number, .number2 = number2, .offset = 0};
}

class Expression : public ::testing::Test {
 protected:
  Expression() {
    state_.registers[3] = 0x1000;  // rbx
    state_.registers[7] = 0x2000;  // rsp
    state_.cfa = 0x2020;
    state_.frame_base = 0x2020;
    state_.memory = &stack_;
  }
  std::optional<std::uint64_t> value(const std::vector<Dwarf_Op>& location,
                                     std::uint64_t size = 8) const {
    return value_of(location, state_, size);
  }

  report::PanicStack stack_{.parts = {{0x2000, {0x1122334455667788, 0xa0, 0x2008, 0xd0}}}};
  CodeState state_;
};

constexpr std::uint64_t kMinus8 = ~std::uint64_t{7};

TEST_F(Expression, Registers) {
  EXPECT_EQ(value({op(DW_OP_reg3)}), 0x1000);
  EXPECT_EQ(value({op(DW_OP_regx, 3)}), 0x1000);
  EXPECT_EQ(value({op(DW_OP_breg3, 5), op(DW_OP_stack_value)}), 0x1005);
  EXPECT_EQ(value({op(DW_OP_breg3, kMinus8), op(DW_OP_stack_value)}), 0xff8);
  EXPECT_EQ(value({op(DW_OP_lit4), op(DW_OP_stack_value)}), 4);
  EXPECT_EQ(value({op(DW_OP_const1u, 200), op(DW_OP_stack_value)}), 200);
  EXPECT_FALSE(value({op(DW_OP_reg0)})) << "it is not known";
  EXPECT_FALSE(value({op(DW_OP_breg0, 1), op(DW_OP_stack_value)}));
  EXPECT_FALSE(value({op(DW_OP_regx, 100)}));
}

TEST_F(Expression, Memory) {
  EXPECT_EQ(value({op(DW_OP_breg7, 8)}), 0xa0);
  EXPECT_EQ(value({op(DW_OP_fbreg, kMinus8)}), 0xd0);
  EXPECT_EQ(value({op(DW_OP_call_frame_cfa), op(DW_OP_const1s, kMinus8), op(DW_OP_plus)}), 0xd0);
  EXPECT_EQ(value({op(DW_OP_bregx, 7, 8)}), 0xa0);
  EXPECT_EQ(value({op(DW_OP_breg7, 16), op(DW_OP_deref)}), 0xa0) << "0x2008 is there";
  EXPECT_EQ(value({op(DW_OP_breg7, 2), op(DW_OP_deref_size, 2), op(DW_OP_stack_value)}), 0x5566);
  EXPECT_FALSE(value({op(DW_OP_breg7, 0x20)})) << "behind what is known";
  EXPECT_FALSE(value({op(DW_OP_breg7, kMinus8)})) << "before what is known";
  EXPECT_FALSE(value({op(DW_OP_breg7, 0x1c)})) << "a part is behind it";
  state_.memory = nullptr;
  EXPECT_FALSE(value({op(DW_OP_breg7, 8)}));
}

TEST_F(Expression, Sizes) {
  EXPECT_EQ(value({op(DW_OP_breg7, 0)}, 4), 0x55667788);
  EXPECT_EQ(value({op(DW_OP_breg7, 1)}, 1), 0x77);
  EXPECT_EQ(value({op(DW_OP_consts, ~std::uint64_t{0}), op(DW_OP_stack_value)}, 4), 0xffffffff);
  state_.registers[3] = 0x1'0000'0001;
  EXPECT_EQ(value({op(DW_OP_reg3)}, 4), 1);
  EXPECT_FALSE(value({op(DW_OP_reg3)}, 16));
}

TEST_F(Expression, WhatIsNotUnderstoodHasNoValue) {
  EXPECT_FALSE(value({}));
  EXPECT_FALSE(value({op(DW_OP_entry_value), op(DW_OP_stack_value)}));
  EXPECT_FALSE(value({op(DW_OP_reg3), op(DW_OP_piece, 8)}));
  EXPECT_FALSE(value({op(DW_OP_addr, 0x2000)}));
  EXPECT_FALSE(value({op(DW_OP_plus), op(DW_OP_stack_value)})) << "of nothing";
  EXPECT_FALSE(value({op(DW_OP_stack_value)}));
  EXPECT_FALSE(value(std::vector<Dwarf_Op>(1000, op(DW_OP_lit1))));
}

TEST(Unwind, WithoutInformation) {
  CodeState state;
  EXPECT_FALSE(unwind(nullptr, 0x1000, state));
}

}  // namespace
}  // namespace vmcore::debuginfo
