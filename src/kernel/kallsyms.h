// SPDX-License-Identifier: GPL-2.0-or-later
// Kallsyms: the kernel's own symbol table: names and addresses of all symbols without a vmlinux.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
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
#include "src/kernel/kallsyms_search.h"

namespace vmcore::kernel {

// One symbol, as nm(1) would tell it. Its name came from the guest.
struct Symbol {
  std::string name;
  char type = 0;  // nm's letter: t and T are functions
  VirtAddr address;
  std::uint64_t size = 0;  // up to the next symbol; 0 for the last one
};

class Kallsyms {
 public:
  // Reads the tables (about 3 MiB) and keeps them. VMCOREINFO tells where they are; if it does not,
  // they are searched for in the kernel's image (kallsyms_search.h). Errc::not_found if there are
  // none, Errc::malformed or Errc::limit if they are not what the kernel builds: names and
  // markers must fit, addresses must be sorted, and _stext and init_uts_ns must have the addresses
  // that VMCOREINFO gives them.
  static Result<Kallsyms> read(const GuestKernel& kernel);

  // The first symbol of each name, in one pass over the table for those that were not asked for
  // before. Thread-safe.
  std::vector<std::optional<VirtAddr>> find(std::initializer_list<std::string_view> names) const;
  std::optional<VirtAddr> find(std::string_view name) const { return find({name}).front(); }

  // The symbol that contains the address: the last one that does not begin behind it, and of
  // several with one address the first of the table, as the kernel's own messages tell it
  // (kernel/kallsyms.c, get_symbol_pos()). Nothing below the first symbol and behind the last one,
  // and where the symbol is an offset into per-CPU data. Thread-safe.
  std::optional<Symbol> at(VirtAddr address) const;

  // Calls each(symbol) for the symbols that begin in [begin, end), ascending, until it returns
  // false. Thread-safe.
  void for_each(VirtAddr begin, VirtAddr end, const std::function<bool(const Symbol&)>& each) const;

  std::uint64_t size() const { return offsets_.size(); }

 private:
  // How an entry of kallsyms_offsets becomes an address.
  enum class Encoding : std::uint8_t {
    absolute_percpu,  // v4.6 (2213e9a66bb8): not negative is absolute, negative is base - 1 - value
    relative,         // without CONFIG_KALLSYMS_ABSOLUTE_PERCPU: base + unsigned value
    place_relative,   // v7.0, no relative base: address of the entry + signed value
  };

  static Result<Kallsyms> read(const GuestKernel& kernel, const KallsymsTables& tables);
  Result<> read_tokens(const GuestKernel& kernel, const KallsymsTables& tables);
  Result<> read_names(const GuestKernel& kernel, const KallsymsTables& tables);
  Result<> read_offsets(const GuestKernel& kernel, const KallsymsTables& tables);
  Result<> check_markers(const GuestKernel& kernel, VirtAddr names_end) const;
  Result<> choose_encoding(const GuestKernel& kernel, const KallsymsTables& tables);
  Result<> check_order() const;
  // The place in the table of the first symbol of each name.
  std::vector<std::optional<std::uint64_t>> find_places(
      std::span<const std::string_view> names) const;
  VirtAddr address(std::uint64_t index, Encoding encoding) const;
  // The number of symbols that lie below the address.
  std::uint64_t count_below(VirtAddr address) const;
  bool is_per_cpu(std::uint64_t index) const;
  Symbol symbol(std::uint64_t index) const;

  struct Known {
    std::mutex mutex;
    std::map<std::string, std::optional<VirtAddr>, std::less<>> symbols;
  };

  std::array<std::string, 256> tokens_;
  std::vector<std::uint8_t> names_;     // compressed, as the kernel stores them
  std::vector<std::uint32_t> markers_;  // where each 256th name begins in them
  std::vector<std::int32_t> offsets_;
  VirtAddr offsets_begin_;  // of kallsyms_offsets in the guest
  std::uint64_t relative_base_ = 0;
  Encoding encoding_ = Encoding::absolute_percpu;
  std::unique_ptr<Known> known_ = std::make_unique<Known>();
};

}  // namespace vmcore::kernel
