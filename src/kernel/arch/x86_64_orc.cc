// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/arch/x86_64_orc.h"

#include <algorithm>
#include <array>

#include "src/base/little_endian.h"

namespace vmcore::kernel {
namespace {

constexpr std::uint64_t kMaxEntries = 16 << 20;  // a distribution's kernel has 400,000
constexpr std::uint64_t kSample = 4096;          // entries that are looked at for their form

struct PackedEntry {
  Little<std::int16_t> sp_offset;
  Little<std::int16_t> bp_offset;
  ul16 flags;
  unsigned sp_register() const { return flags & 0xf; }
  unsigned bp_register() const { return flags >> 4 & 0xf; }
  unsigned upper() const { return flags >> 8; }
};
static_assert(sizeof(PackedEntry) == 6);

using enum OrcRegister;
constexpr std::array kRegisters{undefined, previous_sp, dx,          di,          bp, sp,
                                r10,       r13,         indirect_bp, indirect_sp, ax};
constexpr std::array kRegistersSince7_1{undefined, ax,  dx,          sp,          bp,         di,
                                        r10,       r13, previous_sp, indirect_sp, indirect_bp};
constexpr unsigned kSp = 5, kSpSince7_1 = 3;

constexpr std::array kTypes{OrcType::call, OrcType::registers, OrcType::partial};
constexpr std::array kTypesSince6_4{OrcType::undefined, OrcType::end_of_stack, OrcType::call,
                                    OrcType::registers, OrcType::partial};
constexpr unsigned kCall = 0, kCallSince6_4 = 2;

template <class Table>
auto of(const Table& table, unsigned number) {
  return number < table.size() ? table[number] : Table::value_type::unknown;
}

OrcEntry unpacked(const PackedEntry& packed, OrcForm form) {
  OrcEntry entry;
  const auto named = [&](unsigned number) {
    return form.renumbered ? of(kRegistersSince7_1, number) : of(kRegisters, number);
  };
  entry.sp_register = named(packed.sp_register());
  entry.bp_register = named(packed.bp_register());
  entry.sp_offset = packed.sp_offset;
  entry.bp_offset = packed.bp_offset;
  const unsigned upper = packed.upper();
  if (form.flags == OrcForm::Flags::types) {
    entry.type = of(kTypesSince6_4, upper & 7);
    entry.signal = (upper & 8) != 0;
    return entry;
  }
  const bool with_signal = form.flags == OrcForm::Flags::signal_and_end;
  const bool end = (upper & (with_signal ? 8 : 4)) != 0;
  entry.type = of(kTypes, upper & 3);
  // Before v6.3 every frame with registers counts as interrupted.
  entry.signal = with_signal ? (upper & 4) != 0 : entry.type != OrcType::call;
  if (entry.sp_register == undefined) {
    entry.type = end ? OrcType::end_of_stack : OrcType::undefined;
  }
  return entry;
}

}  // namespace

OrcTable::OrcTable(const GuestKernel& kernel, VirtAddr addresses, VirtAddr entries,
                   std::uint64_t count)
    : addresses_(kernel, addresses, count * sizeof(std::int32_t)),
      entries_(kernel, entries, count * sizeof(PackedEntry)),
      count_(count) {}

Result<OrcTable> OrcTable::of_kernel(const GuestKernel& kernel, const Kallsyms& kallsyms) {
  const auto symbols = kallsyms.find({"__start_orc_unwind_ip", "__stop_orc_unwind_ip",
                                      "__start_orc_unwind", "__stop_orc_unwind", "_stext", "_end"});
  if (std::ranges::any_of(symbols, [](const auto& symbol) { return !symbol; })) {
    return fail(Errc::not_found, "no ORC among the kernel's symbols");
  }
  const std::uint64_t count = (*symbols[1] - *symbols[0]) / sizeof(std::int32_t);
  if (*symbols[1] <= *symbols[0] || count > kMaxEntries ||
      *symbols[3] - *symbols[2] != count * sizeof(PackedEntry)) {
    return fail(Errc::malformed, "ORC: its two tables do not fit each other");
  }
  OrcTable table(kernel, *symbols[0], *symbols[2], count);
  table.begin_ = *symbols[4];
  table.end_ = *symbols[5];
  TRY(table.find_form());
  return table;
}

Result<OrcTable> OrcTable::of_module(const GuestKernel& kernel, const Module& module,
                                     OrcForm form) {
  const std::uint64_t count = module.orc_ip.count;
  if (count == 0 || count > kMaxEntries) {
    return fail(Errc::not_found, "ORC: module {} has {} entries", module.name, count);
  }
  OrcTable table(kernel, module.orc_ip.begin, module.orc, count);
  table.form_ = form;
  TRY_ASSIGN(table.begin_, table.code_of(0));
  TRY_ASSIGN(const VirtAddr last, table.code_of(count - 1));
  table.end_ = last + 1;  // the last entry ends what is known
  return table;
}

Result<VirtAddr> OrcTable::code_of(std::uint64_t index) const {
  const std::uint64_t place = index * sizeof(std::int32_t);
  TRY_ASSIGN(const auto offset, addresses_.at<il32>(place));
  return addresses_.begin() + place + static_cast<std::uint64_t>(std::int64_t{offset});
}

// Most entries are calls, and tell the stack pointer relative to SP. So the meaning of the bits by
// which more than half of the entries are such calls is the right one.
Result<> OrcTable::find_form() {
  const std::uint64_t step = std::max<std::uint64_t>(1, count_ / kSample);
  std::uint64_t defined = 0;
  std::array<std::array<std::uint64_t, 2>, 2> calls{};  // by meaning of types, of registers
  bool fourth = false;
  for (std::uint64_t i = 0; i < count_; i += step) {
    TRY_ASSIGN(const auto entry, entries_.at<PackedEntry>(i * sizeof(PackedEntry)));
    if (entry.sp_register() == 0) {
      fourth |= (entry.upper() & 8) != 0;
      continue;
    }
    ++defined;
    const std::array types{(entry.upper() & 3) == kCall, (entry.upper() & 7) == kCallSince6_4};
    const std::array registers{entry.sp_register() == kSp, entry.sp_register() == kSpSince7_1};
    for (std::size_t type = 0; type < 2; ++type) {
      for (std::size_t number = 0; number < 2; ++number) {
        calls[type][number] += types[type] && registers[number] ? 1U : 0U;
      }
    }
  }
  for (std::size_t type = 0; type < 2; ++type) {
    for (std::size_t number = 0; number < 2; ++number) {
      if (calls[type][number] * 2 > defined) {
        form_.renumbered = number == 1;
        form_.flags = type == 1 ? OrcForm::Flags::types
                      : fourth  ? OrcForm::Flags::signal_and_end
                                : OrcForm::Flags::end;
        return {};
      }
    }
  }
  return fail(Errc::malformed, "ORC: its entries have no form that is known");
}

// An address that was damaged leads the search to a place where it is out of order.
Result<> OrcTable::check_order(std::uint64_t index) const {
  const std::uint64_t first = index == 0 ? 0 : index - 1;
  const std::uint64_t last = std::min(index + 2, count_ - 1);
  TRY_ASSIGN(VirtAddr before, code_of(first));
  for (std::uint64_t i = first + 1; i <= last; ++i) {
    TRY_ASSIGN(const VirtAddr code, code_of(i));
    if (code < before) {
      return fail(Errc::malformed, "ORC: the table is not in order at {:#x}", code.value);
    }
    before = code;
  }
  return {};
}

Result<OrcEntry> OrcTable::find(VirtAddr code) const {
  std::uint64_t begin = 0;  // entries that do not begin behind the address
  for (std::uint64_t size = count_; size != 0;) {
    const std::uint64_t half = size / 2;
    TRY_ASSIGN(const VirtAddr middle, code_of(begin + half));
    const bool before = middle <= code;
    begin = before ? begin + half + 1 : begin;
    size = before ? size - half - 1 : half;
  }
  if (begin == 0) {
    return fail(Errc::not_found, "ORC: no entry for {:#x}", code.value);
  }
  TRY(check_order(begin - 1));
  TRY_ASSIGN(const auto entry, entries_.at<PackedEntry>((begin - 1) * sizeof(PackedEntry)));
  return unpacked(entry, form_);
}

}  // namespace vmcore::kernel
