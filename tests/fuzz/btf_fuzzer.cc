// SPDX-License-Identifier: GPL-2.0-or-later
// BTF with changes, as a kernel's and as a module's: every type, and what is asked of it by name.
// The first byte tells which of the two is changed.
#include "src/kernel/btf.h"

#include <algorithm>

#include "tests/builders/kernel_builder.h"
#include "tests/builders/small_btf.h"
#include "tests/fuzz/change.h"

namespace {

using namespace vmcore;

constexpr std::uint64_t kRoom = 8192;

struct Guest {
  Guest() {
    testing::GuestBuilder builder("6.1");
    builder.room("kernel_btf", kRoom).room("module_btf", kRoom);
    image = builder.build();
    places = {builder.symbol("kernel_btf"), builder.symbol("module_btf")};
    found = *kernel::find_kernels(image, kernel::Search::registers);
    for (unsigned i = 0; i < 2; ++i) {
      physical[i] = builder.physical(places[i]);
    }
  }
  void write(unsigned which, std::vector<std::byte> bytes) {
    bytes.resize(kRoom);
    static_cast<testing::SparseMemory&>(*image.memory).write(physical[which], bytes);
  }
  MemoryImage image;
  std::array<VirtAddr, 2> places;
  std::array<PhysAddr, 2> physical;
  kernel::FoundKernels found;
};

void ask(const kernel::Btf& btf) {
  for (kernel::BtfId id = 0; id < std::min<kernel::BtfId>(btf.end() + 2, 200); ++id) {
    const auto type = btf.type(id);
    if (type) {
      static_cast<void>(btf.name(*type));
      static_cast<void>(btf.array(*type));
    }
    static_cast<void>(btf.resolve(id));
    static_cast<void>(btf.size_of(id));
    static_cast<void>(btf.type_text(id));
  }
  for (const char* path : {"task_struct.thread.sp", "task_struct.high", "task_t.wide", "own.more",
                           "inner_t.pid", "task_struct.comm"}) {
    static_cast<void>(btf.field(path));
  }
  for (const char* name : {"printk", "wake_up", "own_function"}) {
    static_cast<void>(btf.prototype(name));
  }
  static_cast<void>(btf.enumerator("PIDTYPE_MAX"));
  static_cast<void>(btf.enumerator("HUGE", "pid_type"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Guest guest;
  static const testing::BtfBuilder base = testing::small_btf();
  const auto input = std::as_bytes(std::span(data, size));
  if (input.empty()) {
    return 0;
  }
  auto own = testing::BtfBuilder::of_module(base);
  const auto type = own.structure("own", 264, {{"task", 12, 0}, {"more", 1, 2048}});
  own.function("own_function", own.prototype(1, {{"first", own.pointer(type)}}));
  std::array<std::vector<std::byte>, 2> bytes{base.build(), own.build()};
  const unsigned which = std::to_integer<unsigned>(input[0]) % 2;
  fuzz::change(bytes[which], input.subspan(1));
  for (unsigned i = 0; i < 2; ++i) {
    bytes[i].resize(std::min<std::size_t>(bytes[i].size(), kRoom));
    guest.write(i, bytes[i]);
  }
  const kernel::GuestKernel& kernel = guest.found.kernels.at(0);
  const auto btf = kernel::Btf::read(kernel, guest.places[0], bytes[0].size());
  if (btf) {
    ask(*btf);
    const auto module = kernel::Btf::read(kernel, guest.places[1], bytes[1].size(), &*btf);
    if (module) {
      ask(*module);
    }
  }
  return 0;
}
