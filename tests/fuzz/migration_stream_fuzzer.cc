// SPDX-License-Identifier: GPL-2.0-or-later
// Whatever a migration stream says, each page lies in the block that it names.
#include <cstdint>
#include <cstdlib>

#include "src/base/sys.h"
#include "src/formats/qemu/device_state.h"
#include "src/formats/qemu/migration_stream.h"

namespace {

class Checker : public vmcore::formats::PageSink {
 public:
  vmcore::Result<> blocks(std::span<const vmcore::formats::StreamBlock> blocks) override {
    blocks_.assign(blocks.begin(), blocks.end());
    return {};
  }
  vmcore::Result<> page(std::size_t block, std::uint64_t offset,
                        std::span<const std::byte>) override {
    if (offset % 4096 != 0 || offset >= blocks_.at(block).size) {
      std::abort();
    }
    return {};
  }
  vmcore::Result<> passed(std::uint64_t) override { return {}; }

 private:
  std::vector<vmcore::formats::StreamBlock> blocks_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  const auto bytes = std::as_bytes(std::span(data, size));
  static_cast<void>(formats::read_stream_cpus(bytes));
  auto file = make_memory_file("stream");
  if (!file || !sys::pwrite_full(file->get(), bytes, 0)) {
    return 0;
  }
  const auto source = formats::open_plain(*std::move(file));
  Checker checker;
  if (const auto state = formats::read_migration_stream(**source, checker)) {
    static_cast<void>(formats::read_stream_cpus(*state));
  }
  return 0;
}
