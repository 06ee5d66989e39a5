// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/guest_kernel.h"

#include <algorithm>
#include <mutex>

#include "src/kernel/type_numbers.h"

namespace vmcore::kernel {
namespace {

// Whether a failed translation is a fact about the guest, not a failure of the source.
bool is_guest_fact(Errc code) {
  return code == Errc::not_found || code == Errc::unreadable || code == Errc::malformed;
}

}  // namespace

struct GuestKernel::Types {
  std::once_flag once;
  std::optional<TypeNumbers> numbers;
};

GuestKernel::GuestKernel(const PhysicalMemory& memory, Vmcoreinfo info, PageTables page_tables)
    : memory_(&memory),
      info_(std::move(info)),
      page_tables_(page_tables),
      types_(std::make_shared<Types>()) {}

const TypeNumbers* GuestKernel::types() const {
  std::call_once(types_->once, [this] {
    if (auto numbers = TypeNumbers::read(*this)) {
      types_->numbers = *std::move(numbers);
    }
  });
  return types_->numbers ? &*types_->numbers : nullptr;
}

Result<ReadExtent> GuestKernel::read(VirtAddr address, std::span<std::byte> out) const {
  ReadExtent result;
  while (result.good < out.size()) {
    const VirtAddr at = address + result.good;
    if (at < address) {
      break;  // past the end of the address space
    }
    const auto mapping = page_tables_.translate(at);
    if (!mapping) {
      if (is_guest_fact(mapping.error().code)) {
        break;
      }
      return tl::unexpected(mapping.error());
    }
    const std::size_t wanted = std::min<std::uint64_t>(out.size() - result.good, mapping->size);
    TRY_ASSIGN(const ReadExtent got,
               memory_->read(mapping->address, out.subspan(result.good, wanted)));
    result.good += got.good;
    if (got.good < wanted) {
      result.first_bad = got.first_bad.value_or(mapping->address + got.good);
      break;
    }
  }
  return result;
}

Result<> GuestKernel::read_exactly(VirtAddr address, std::span<std::byte> out) const {
  TRY_ASSIGN(const ReadExtent got, read(address, out));
  if (got.good == out.size()) {
    return {};
  }
  const VirtAddr bad = address + got.good;
  if (got.first_bad) {
    return fail(Errc::unreadable, "kernel address {:#x}: guest-physical address {:#x} is {}",
                bad.value, got.first_bad->value, presence_name(memory_->presence(*got.first_bad)));
  }
  return fail(Errc::unreadable, "kernel address {:#x} is not mapped", bad.value);
}

}  // namespace vmcore::kernel
