// SPDX-License-Identifier: GPL-2.0-or-later
// TypeNumbers: the numbers of the kernel's types that filters need, from its BTF. They are named as
// in VMCOREINFO, so that both can be compared; BTF has many that VMCOREINFO does not export.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

class Btf;

class TypeNumbers {
 public:
  // Reads those of a fixed list of keys (type_numbers.cc) that the kernel has. Takes some 50 ms:
  // GuestKernel::types() keeps the result. Errc::not_found if the kernel has no BTF or no symbols,
  // Errc::malformed, Errc::limit or Errc::unreadable if its BTF cannot be used.
  static Result<TypeNumbers> read(const GuestKernel& kernel);
  // The same from a BTF that was read already, faster if it knows the types.
  static Result<TypeNumbers> of(const Btf& btf);

  // The value for a key as VMCOREINFO writes it: "OFFSET(page.flags)", "SIZE(zone)",
  // "LENGTH(zone.free_area)", "NUMBER(PG_lru)". Nothing if the kernel has no such type, member or
  // enumerator.
  std::optional<std::uint64_t> value(std::string_view key) const;
  // The first line of VMCOREINFO that says something else than BTF, in words; nothing if they
  // agree.
  std::optional<std::string> contradiction(const Vmcoreinfo& info) const;

 private:
  std::map<std::string, std::uint64_t, std::less<>> values_;
};

}  // namespace vmcore::kernel
