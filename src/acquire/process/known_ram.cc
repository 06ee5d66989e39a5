// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/known_ram.h"

#include <optional>

#include "src/acquire/process/process_notes.h"
#include "src/base/number.h"

namespace vmcore::acquire {
namespace {

constexpr std::string_view kKind = "ram";

std::optional<std::uint64_t> take_word(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const auto number = parse_number<std::uint64_t>(line.substr(0, end), 16);
  line.remove_prefix(std::min(end + 1, line.size()));
  return number;
}

std::optional<RamBlock> block_from(std::string_view line) {
  const auto begin = take_word(line);
  const auto size = take_word(line);
  const auto address = take_word(line);
  const bool whole = begin && size && address && line.empty();
  if (!whole || *begin > kMaxPhysAddr || *size > kMaxPhysAddr - *begin) {
    return std::nullopt;
  }
  return RamBlock{{{*begin}, *size}, *address};
}

}  // namespace

std::string text_of_ram(std::span<const RamBlock> blocks) {
  std::string text;
  for (const RamBlock& block : blocks) {
    text +=
        fmt::format("{:x} {:x} {:x}\n", block.range.begin.value, block.range.size, block.address);
  }
  return text;
}

std::vector<RamBlock> ram_from_text(std::string_view text) {
  std::vector<RamBlock> blocks;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const auto block =
        end != std::string_view::npos ? block_from(text.substr(0, end)) : std::nullopt;
    if (!block) {
      return {};
    }
    blocks.push_back(*block);
    text.remove_prefix(end + 1);
  }
  return blocks;
}

std::vector<RamBlock> recall_ram(const ProcessKey& process) {
  return ram_from_text(ProcessNotes::of_user().recall(process, kKind));
}

void remember_ram(const ProcessKey& process, std::span<const RamBlock> blocks) {
  ProcessNotes::of_user().remember(process, kKind, text_of_ram(blocks));
}

}  // namespace vmcore::acquire
