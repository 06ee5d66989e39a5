// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/fault.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

namespace vmcore::triage {
namespace {

using Registers = std::vector<report::NamedRegister>;

Result<std::vector<report::Argument>> arguments_by(std::span<const std::string_view> passed_in,
                                                   const kernel::Btf& btf,
                                                   const std::string& function,
                                                   const Registers& registers) {
  TRY_ASSIGN(const kernel::BtfPrototype prototype, btf.prototype(function));
  std::vector<report::Argument> arguments;
  for (const kernel::BtfParameter& parameter : prototype.parameters) {
    TRY_ASSIGN(const std::uint64_t size, btf.size_of(parameter.type));
    if (arguments.size() == passed_in.size() || size > sizeof(std::uint64_t)) {
      break;  // on the stack from here on, or in two registers
    }
    const auto passed =
        std::ranges::find(registers, passed_in[arguments.size()], &report::NamedRegister::name);
    if (passed == registers.end()) {
      break;
    }
    const std::uint64_t mask =
        size == sizeof(std::uint64_t) ? ~0ULL : (std::uint64_t{1} << 8 * size) - 1;
    arguments.push_back({.name = parameter.name,
                         .type = btf.type_text(parameter.type).value_or("?"),
                         .value = passed->value & mask});
  }
  return arguments;
}

Result<std::vector<report::Argument>> arguments_of(Knowledge& knowledge,
                                                   const report::TriageFrame& frame,
                                                   const Registers& registers) {
  const auto passed_in = knowledge.arch.argument_registers;
  TRY_ASSIGN(const kernel::Btf& btf, knowledge.btf);
  if (frame.module.empty()) {
    return arguments_by(passed_in, btf, frame.function, registers);
  }
  const auto& modules = knowledge.symbols.modules();
  const auto module = std::ranges::find(modules, frame.module, &kernel::Module::name);
  if (module == modules.end()) {
    return fail(Errc::not_found, "no module {}", frame.module);
  }
  TRY_ASSIGN(const kernel::Btf own,
             kernel::read_module_btf(knowledge.kernel, knowledge.kallsyms, btf, *module));
  return arguments_by(passed_in, own, frame.function, registers);
}

report::FaultingFunction fault_in(Knowledge& knowledge, const report::TriageFrame& frame,
                                  Registers registers) {
  auto arguments =
      arguments_of(knowledge, frame, registers).value_or(std::vector<report::Argument>());
  return {
      .name = frame.function, .registers = std::move(registers), .arguments = std::move(arguments)};
}

}  // namespace

Result<std::vector<report::NamedRegister>> saved_registers(const Knowledge& knowledge,
                                                           VirtAddr at) {
  const auto names = knowledge.arch.exception_registers;
  std::vector<std::uint64_t> values(names.size());
  TRY(knowledge.kernel.read_exactly(at, std::as_writable_bytes(std::span(values))));
  Registers registers;
  for (std::size_t i = 0; i < values.size(); ++i) {
    registers.push_back({std::string(names[i]), values[i]});
  }
  return registers;
}

std::optional<report::FaultingFunction> find_fault(Knowledge& knowledge, const CpuFinding& cpu,
                                                   const report::TriageStack& stack,
                                                   std::string_view told) {
  const auto& frames = cpu.trace.frames;
  for (std::size_t i = 1; i < frames.size() && i < stack.frames.size(); ++i) {
    const kernel::StackFrame& frame = frames[i];
    if (frame.exact && frame.registers && frame.all_registers &&
        stack.frames[i - 1].function.starts_with("asm_exc_")) {
      auto registers = saved_registers(knowledge, *frame.registers);
      return registers ? std::optional(fault_in(knowledge, stack.frames[i], *std::move(registers)))
                       : std::nullopt;
    }
  }
  if (!told.empty() && !stack.frames.empty() && stack.frames[0].function == told) {
    return fault_in(knowledge, stack.frames[0], cpu.cpu.registers);
  }
  return std::nullopt;
}

}  // namespace vmcore::triage
