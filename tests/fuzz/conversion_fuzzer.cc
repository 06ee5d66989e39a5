// SPDX-License-Identifier: GPL-2.0-or-later
// A whole conversion. What is written opens, and has every page that the plan keeps, as the source
// has it; written once more, it loses nothing. The source is a guest with words of its memory and
// lines of its VMCOREINFO changed, or a dump file of a guest with some of its bytes changed.
//
// Input: a byte for the level and the kind of source, one for the format of the output, and what is
// changed: as in kernel_fuzz.h, or of a file a list of places (3 bytes) and values (8).
#include <array>
#include <cstring>

#include "src/base/little_endian.h"
#include "src/convert/convert.h"
#include "tests/builders/dump_builder.h"
#include "tests/builders/kernel_fuzz.h"
#include "tests/fuzz/read_everything.h"

namespace {

using namespace vmcore;

struct Target {
  DumpFormat format;
  Codec codec;
};
constexpr std::array kTargets{Target{DumpFormat::kdump, Codec::zstd},
                              Target{DumpFormat::kdump, Codec::none},
                              Target{DumpFormat::elf, Codec::none}};

class Silent : public convert::Observer {
 public:
  void progress(std::uint64_t, std::uint64_t) override {}
  void source_read() override {}
};

struct Written {
  convert::Outcome outcome;
  Fd file;
};

Result<Written> write(const MemoryImage& source, unsigned level, const Target& target) {
  Fd file = builders::memory_file();
  TRY_ASSIGN(const auto writer,
             formats::make_writer(target.format, file.get(), target.codec, std::nullopt));
  Silent silent;
  TRY_ASSIGN(
      convert::Outcome outcome,
      convert::convert(source, *writer, {.how = {.level = level, .threads = 2}}, silent, {}));
  return Written{std::move(outcome), std::move(file)};
}

MemoryImage open(const Written& written) {
  auto image = formats::open_dump(Fd(::dup(written.file.get())));
  fuzz::check(image.has_value());
  return *std::move(image);
}

Result<MemoryImage> changed_file(const Target& target, std::span<const std::byte> input) {
  static const auto files = [] {
    std::vector<builders::Bytes> made;
    for (const Target& each : kTargets) {
      made.push_back(
          builders::file_contents(write(testing::fuzzed_image({}), 1, each)->file.get()));
    }
    return made;
  }();
  constexpr std::size_t kChange = 3 + 8;
  builders::Bytes bytes = files[static_cast<std::size_t>(&target - kTargets.data())];
  for (; input.size() >= kChange; input = input.subspan(kChange)) {
    const std::size_t place = *load<ul16>(input, 0) | std::to_integer<std::size_t>(input[2]) << 16;
    std::memcpy(bytes.data() + place % (bytes.size() - 8), input.data() + 3, 8);
  }
  return formats::open_dump(builders::memory_file(bytes));
}

// The source reads the same each time, so what was written can be compared with it.
void convert_and_compare(const MemoryImage& source, unsigned level, const Target& target) {
  const auto first = write(source, level, target);
  if (!first) {
    return;
  }
  const MemoryImage between = open(*first);
  fuzz::read_everything(*between.memory);
  const MemoryImage& from = first->outcome.crashed ? *first->outcome.crashed : source;
  fuzz::check(convert::verify(from, between, first->outcome, {}).has_value());
  const auto second = write(between, 0, kTargets[0]);
  fuzz::check(second.has_value());
  fuzz::check(convert::verify(between, open(*second), second->outcome, {}).has_value());
  fuzz::check(second->outcome.plan.kept.count() >=
              first->outcome.plan.kept.count() - first->outcome.lost_pages);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const unsigned level = data[0] & 31U;
  const bool of_file = (data[0] & 0x80) != 0;
  const Target& target = kTargets[data[1] % kTargets.size()];
  const std::span<const std::uint8_t> changes{data + 2, size - 2};
  if (!of_file) {
    convert_and_compare(testing::fuzzed_image(changes), level, target);
  } else if (const auto source = changed_file(target, std::as_bytes(changes))) {
    convert_and_compare(*source, level, kTargets[(data[1] >> 4) % kTargets.size()]);
  }
  return 0;
}
