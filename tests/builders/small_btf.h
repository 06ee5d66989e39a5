// SPDX-License-Identifier: GPL-2.0-or-later
// The BTF of a kernel in small: a struct task_struct with all that a member can be, enumerators,
// prototypes.
#pragma once

#include "tests/builders/btf_builder.h"

namespace vmcore::testing {

inline BtfBuilder small_btf() {
  BtfBuilder btf;
  const auto u64 = btf.integer("unsigned long", 8);
  const auto u32 = btf.integer("unsigned int", 4);
  const auto character = btf.integer("char", 1);
  const auto comm = btf.array(character, 16);
  const auto thread = btf.structure("thread_struct", 64, {{"es", u32, 0}, {"sp", u64, 192}});
  const auto pair = btf.structure("", 8, {{"low", u32, 0}, {"high", u32, 32}});
  const auto inner = btf.union_of("", 8, {{"pid", u32, 0}, {"", pair, 0}});
  const auto alias = btf.typedef_of("inner_t", btf.const_of(inner));
  const auto parent = btf.pointer(btf.forward("task_struct"));
  const auto task = btf.structure("task_struct", 256,
                                  {{"state", u64, 0},
                                   {"", alias, 64},
                                   {"thread", thread, 512},
                                   {"comm", comm, 1024},
                                   {"flag", u32, 1152, 1},
                                   {"wide", u32, 1153, 7},
                                   {"parent", parent, 1216}});
  btf.typedef_of("task_t", btf.volatile_of(task));
  btf.enumeration("pid_type", {{"PIDTYPE_PID", 0}, {"PIDTYPE_MAX", 4}, {"NEGATIVE", -3}});
  btf.enumeration64("", {{"HUGE", std::int64_t{1} << 40}});
  const auto text = btf.pointer(btf.const_of(character));
  btf.function("printk", btf.prototype(btf.integer("int", 4), {{"fmt", text}, {"", 0}}));
  btf.function("wake_up", btf.prototype(0, {{"task", btf.pointer(task)}, {"why", u32}}));
  return btf;
}

}  // namespace vmcore::testing
