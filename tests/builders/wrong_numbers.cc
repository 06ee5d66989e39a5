// SPDX-License-Identifier: GPL-2.0-or-later
// wrong_numbers DUMP: plans the dump with every number of the guest's VMCOREINFO changed by a
// digit, in the note and in the guest's memory, and compares with the plan of the right numbers.
// Prints a line for each: "KEY=VALUE LEVEL PAGES", the level that was reached, 0 where no kernel
// was found, and how many pages are left out that the right plan keeps.
#include <fcntl.h>

#include <cctype>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "filters/plan.h"
#include "src/base/fd.h"
#include "src/formats/dump_format.h"
#include "src/image/page.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/proof.h"

namespace vmcore {
namespace {

// The guest's memory with other bytes at one place.
class ChangedMemory : public PhysicalMemory {
 public:
  ChangedMemory(const PhysicalMemory& base, PhysAddr place, std::string bytes)
      : base_(&base), place_(place), bytes_(std::move(bytes)) {}

  Extent extent(PhysAddr address) const override { return base_->extent(address); }
  Extent outline(PhysAddr address) const override { return base_->outline(address); }
  Presence presence(PhysAddr address) const override { return base_->presence(address); }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    auto result = base_->read(address, out);
    for (std::size_t i = 0; result && i < bytes_.size(); ++i) {
      const PhysAddr at = place_ + i;
      if (at >= address && at - address < result->good) {
        out[at - address] = static_cast<std::byte>(bytes_[i]);
      }
    }
    return result;
  }

 private:
  const PhysicalMemory* base_;
  PhysAddr place_;
  std::string bytes_;
};

// Where the number of each line begins in the text, and how long it is.
struct Number {
  std::string_view key;
  std::size_t begin = 0;
  std::size_t size = 0;
};

std::vector<Number> numbers_of(std::string_view text) {
  std::vector<Number> numbers;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const std::size_t equals = line.find('=');
    const std::string_view key = line.substr(0, std::min(equals, line.size()));
    if (key.starts_with("OFFSET(") || key.starts_with("SIZE(") || key.starts_with("LENGTH(") ||
        key.starts_with("NUMBER(")) {
      numbers.push_back({key, at + equals + 1, line.size() - equals - 1});
    }
    at = end + 1;
  }
  return numbers;
}

struct Planned {
  unsigned level = 0;
  PageSet kept;
};

Result<Planned> plan(const MemoryImage& image) {
  TRY_ASSIGN(const auto found, kernel::find_kernels(image, kernel::Search::registers));
  if (found.kernels.empty()) {
    return Planned{};
  }
  TRY_ASSIGN(auto plan,
             filters::make_plan(*image.memory, &found.kernels.front(), 0,
                                {.level = 31, .in_use = kernel::pages_in_use(image)}, {}));
  return Planned{plan.level_reached, std::move(plan.kept)};
}

Result<> try_all(const MemoryImage& image) {
  TRY_ASSIGN(const auto found, kernel::find_kernels(image, kernel::Search::registers));
  if (found.kernels.empty() || found.kernels.front().kallsyms() == nullptr) {
    return fail(Errc::not_found, "no kernel with symbols");
  }
  const kernel::GuestKernel& kernel = found.kernels.front();
  const auto symbol = kernel.kallsyms()->find("vmcoreinfo_data");
  TRY_ASSIGN(const auto data, kernel.read_value<std::uint64_t>(symbol.value_or(VirtAddr{})));
  TRY_ASSIGN(const auto mapping, kernel.page_tables().translate({data}));
  TRY_ASSIGN(const Planned right, plan(image));
  const std::string& text = kernel.info().text();
  for (const Number& number : numbers_of(text)) {
    for (std::size_t i = 0; i < 3 * number.size; ++i) {
      std::string changed = text;
      char& digit = changed[number.begin + i / 3];
      if (std::isdigit(static_cast<unsigned char>(digit)) == 0) {
        continue;
      }
      digit = static_cast<char>('0' + (digit - '0' + 1 + 3 * (static_cast<int>(i) % 3)) % 10);
      MemoryImage other;
      other.machine = image.machine;
      other.cpus = image.cpus;
      const auto bytes = std::as_bytes(std::span(changed));
      other.notes.push_back({std::string(kNoteNameVmcoreinfo), 0, {bytes.begin(), bytes.end()}});
      other.memory = std::make_unique<ChangedMemory>(*image.memory, mapping.address, changed);
      auto wrong = plan(other);
      const Planned planned = wrong ? *std::move(wrong) : Planned();
      const std::uint64_t lost = planned.level == 0 ? 0 : without(right.kept, planned.kept).count();
      std::puts(fmt::format("{}={} {} {}", number.key, changed.substr(number.begin, number.size),
                            planned.level, lost)
                    .c_str());
    }
  }
  return {};
}

int run(const char* path) {
  auto image = formats::open_dump(Fd(::open(path, O_RDONLY | O_CLOEXEC)));
  const auto done = image ? try_all(*image) : tl::unexpected(image.error());
  if (!done) {
    std::cerr << path << ": " << done.error().message << "\n";
  }
  return done ? 0 : 1;
}

}  // namespace
}  // namespace vmcore

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: wrong_numbers DUMP\n";
    return 2;
  }
  return vmcore::run(argv[1]);
}
