// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/panic_stack.h"

#include "src/report/json.h"

namespace vmcore::report {
namespace {

constexpr std::uint64_t kWord = 8;

Json frame_json(const FrameState& frame) {
  Json registers = Json::object();
  for (const NamedRegister& each : frame.registers) {
    registers[cut(each.name, kMaxName)] = each.value;
  }
  return {{"address", frame.address}, {"sp", frame.sp}, {"registers", std::move(registers)}};
}

FrameState frame_from(const Members& json) {
  FrameState frame{.address = json.number("address"), .sp = json.number("sp")};
  const Json& registers = json.table("registers", kMaxRegisters);
  for (const auto& [name, value] : registers.items()) {
    frame.registers.push_back({name, Members(registers).number(name.c_str())});
  }
  return frame;
}

StackPart part_from(const Members& json) {
  StackPart part{.address = json.number("address")};
  for (const Json& word : json.list("words", kMaxStackWords)) {
    if (!word.is_number_unsigned()) {
      throw Misfit("\"words\" is not a list of numbers");
    }
    part.words.push_back(word.get<std::uint64_t>());
  }
  if (part.address > UINT64_MAX - part.words.size() * kWord) {
    throw Misfit("an impossible part of a stack");
  }
  return part;
}

PanicStack stack_from(const Json& document) {
  const Members json(document);
  PanicStack stack{.stack = json.number("stack", kMaxStacks)};
  for (const Json& frame : json.list("frames", kMaxFrames)) {
    stack.frames.push_back(frame_from(Members(frame)));
  }
  std::size_t words = 0;
  for (const Json& part : json.list("parts", kMaxStackParts)) {
    stack.parts.push_back(part_from(Members(part)));
    words += stack.parts.back().words.size();
  }
  if (words > kMaxStackWords) {
    throw Misfit("a stack that is too long");
  }
  return stack;
}

}  // namespace

std::optional<std::uint64_t> PanicStack::read(std::uint64_t address, std::uint64_t size) const {
  std::uint64_t value = 0;
  for (std::uint64_t i = 0; i < size && i < kWord; ++i) {
    std::optional<std::uint64_t> byte;
    for (const StackPart& part : parts) {
      const std::uint64_t offset = address + i - part.address;
      if (offset / kWord < part.words.size()) {
        byte = part.words[offset / kWord] >> 8 * (offset % kWord) & 0xff;
      }
    }
    if (!byte) {
      return std::nullopt;
    }
    value |= *byte << 8 * i;
  }
  return size != 0 && size <= kWord ? std::optional(value) : std::nullopt;
}

std::string to_json(const PanicStack& stack) {
  Json json{{"stack", stack.stack}, {"frames", Json::array()}, {"parts", Json::array()}};
  for (const FrameState& frame : stack.frames) {
    json["frames"].push_back(frame_json(frame));
  }
  for (const StackPart& part : stack.parts) {
    json["parts"].push_back({{"address", part.address}, {"words", part.words}});
  }
  return document_text(json);
}

Result<PanicStack> panic_stack_from_json(std::string_view text) {
  return read<PanicStack>(text, stack_from);
}

}  // namespace vmcore::report
