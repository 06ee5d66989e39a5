// SPDX-License-Identifier: GPL-2.0-or-later
// The tables of kallsyms with changes: read where VMCOREINFO tells, and where their content does.
// The first byte tells the kernel.
#include "src/kernel/kallsyms.h"

#include <algorithm>
#include <memory>

#include "tests/builders/kernel_builder.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;

struct Guest {
  explicit Guest(const char* layout) {
    testing::GuestBuilder builder(layout);
    image = builder.build();
    found = *kernel::find_kernels(image, kernel::Search::registers);
    VirtAddr first{~0ULL};
    VirtAddr last;
    for (const char* name : {"kallsyms_offsets", "kallsyms_num_syms", "kallsyms_token_index"}) {
      first = std::min(first, builder.symbol(name));
      last = std::max(last, builder.symbol(name));
    }
    begin = builder.physical(first);
    tables.resize(last + 2048 - first);
    static_cast<void>(read_exactly(*image.memory, begin, tables));
    text = builder.symbol("_stext");
  }
  MemoryImage image;
  kernel::FoundKernels found;
  PhysAddr begin;
  VirtAddr text;
  std::vector<std::byte> tables;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array kGuests{std::make_unique<Guest>("5.15"), std::make_unique<Guest>("6.1"),
                                  std::make_unique<Guest>("6.12"), std::make_unique<Guest>("7.1")};
  const auto input = std::as_bytes(std::span(data, size));
  if (input.empty()) {
    return 0;
  }
  const Guest& guest = *kGuests[std::to_integer<std::size_t>(input[0]) % kGuests.size()];
  auto tables = guest.tables;
  fuzz::change(tables, input.subspan(1));
  tables.resize(guest.tables.size());
  static_cast<testing::SparseMemory&>(*guest.image.memory).write(guest.begin, tables);
  const kernel::GuestKernel& kernel = guest.found.kernels.at(0);
  static_cast<void>(kernel::search_kallsyms(kernel));
  const auto kallsyms = kernel::Kallsyms::read(kernel);
  if (kallsyms) {
    static_cast<void>(kallsyms->find("_end"));
    std::uint64_t left = 1000;
    kallsyms->for_each({0}, {~0ULL}, [&](const kernel::Symbol& symbol) {
      static_cast<void>(kallsyms->at(symbol.address));
      return --left != 0;
    });
    static_cast<void>(kallsyms->at(guest.text + 1));
  }
  return 0;
}
