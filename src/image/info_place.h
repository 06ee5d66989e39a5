// SPDX-License-Identifier: GPL-2.0-or-later
// The place where the text of a kernel's VMCOREINFO was found, so that the next look need not
// search. Plain data: it crosses into the worker and back. A claim, never a fact: the text there is
// validated like one that a search finds.
#pragma once

#include <string>

#include "src/base/address.h"

namespace vmcore {

struct InfoPlace {
  PhysAddr address;
  std::string build_id;  // of that kernel; empty where it exports none (before v5.9)
  bool operator==(const InfoPlace&) const = default;
};

// Whether there can be such a place: the beginning of a page, and hexadecimal digits.
bool can_be_place(const InfoPlace& place);

}  // namespace vmcore
