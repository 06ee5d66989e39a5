// SPDX-License-Identifier: GPL-2.0-or-later
// Kallsyms: the kernel's own symbol table, through the addresses that VMCOREINFO exports since v6.0
// (5fd8fea935a1, f09bddbd8661): names and addresses of all symbols without a vmlinux.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

class Kallsyms {
 public:
  // Reads the tables (about 3 MiB) and keeps them. Errc::not_found where VMCOREINFO does not export
  // them, Errc::malformed or Errc::limit where they are not what the kernel builds: among other
  // checks, _stext must have the address that VMCOREINFO gives it.
  static Result<Kallsyms> read(const GuestKernel& kernel);

  // The first symbol of each name, in one pass over the table for those that were not asked for
  // before. Thread-safe.
  std::vector<std::optional<VirtAddr>> find(std::initializer_list<std::string_view> names) const;
  std::optional<VirtAddr> find(std::string_view name) const { return find({name}).front(); }

  std::uint64_t size() const { return offsets_.size(); }

 private:
  // How an entry of kallsyms_offsets becomes an address.
  enum class Encoding : std::uint8_t {
    absolute_percpu,  // v4.6 (2213e9a66bb8): not negative is absolute, negative is base - 1 - value
    relative,         // without CONFIG_KALLSYMS_ABSOLUTE_PERCPU: base + unsigned value
    place_relative,   // v7.0, no relative base: address of the entry + signed value
  };

  Result<> read_tokens(const GuestKernel& kernel);
  Result<> read_names(const GuestKernel& kernel, std::uint64_t count);
  Result<> read_offsets(const GuestKernel& kernel, std::uint64_t count);
  Result<> choose_encoding(const GuestKernel& kernel);
  // The place in the table of the first symbol of each name.
  std::vector<std::optional<std::uint64_t>> find_places(
      std::span<const std::string_view> names) const;
  VirtAddr address(std::uint64_t index, Encoding encoding) const;

  struct Known {
    std::mutex mutex;
    std::map<std::string, std::optional<VirtAddr>, std::less<>> symbols;
  };

  std::array<std::string, 256> tokens_;
  std::vector<std::uint8_t> names_;  // compressed, as the kernel stores them
  std::vector<std::int32_t> offsets_;
  VirtAddr offsets_begin_;  // of kallsyms_offsets in the guest
  std::uint64_t relative_base_ = 0;
  Encoding encoding_ = Encoding::absolute_percpu;
  std::unique_ptr<Known> known_ = std::make_unique<Known>();
};

}  // namespace vmcore::kernel
