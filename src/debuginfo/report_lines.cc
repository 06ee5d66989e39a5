// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/report_lines.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

#include "src/base/fd.h"
#include "src/debuginfo/confined.h"

namespace vmcore::debuginfo {
namespace {

using report::TriageFrame;

// In the order of their numbers in DWARF.
constexpr std::array<std::string_view, std::tuple_size_v<CodeRegisters>> kRegisters{
    "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
    "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};

// Of the code that faulted.
CodeRegisters registers_of(const report::TriageReport& report) {
  CodeRegisters registers;
  if (!report.panic.value || !report.panic.value->fault) {
    return registers;
  }
  for (const report::NamedRegister& each : report.panic.value->fault->registers) {
    const auto* const found = std::ranges::find(kRegisters, each.name);
    if (found != kRegisters.end()) {
      registers.at(static_cast<std::size_t>(found - kRegisters.begin())) = each.value;
    }
  }
  return registers;
}

CodeAddress address_of(const TriageFrame& frame, const CodeRegisters& registers) {
  const bool faulted = frame.exact && registers.back() == frame.address;
  return {.address = frame.address,
          .function = frame.function,
          .offset = frame.offset,
          .is_return = !frame.exact,
          .registers = faulted ? registers : CodeRegisters{}};
}

// The frames of one file whose address is asked for once.
using Key = std::pair<std::uint64_t, bool>;  // address, exact
using Frames = std::map<Key, std::vector<TriageFrame*>>;

std::map<std::string, Frames> frames_by_module(report::TriageReport& report) {
  std::map<std::string, Frames> all;
  for (report::TriageStack& stack : report.stacks) {
    for (TriageFrame& frame : stack.frames) {
      if (!frame.function.empty()) {
        all[frame.module][{frame.address, frame.exact}].push_back(&frame);
      }
    }
  }
  return all;
}

Result<Fd> open_to_read(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  return file ? Result<Fd>(std::move(file)) : fail_errno(errno, path);
}

Result<> add_lines_of(Frames& frames, const report::DebugFileFound& found,
                      const CodeRegisters& registers) {
  TRY_ASSIGN(const Fd file, open_to_read(found.path));
  Fd alternate;
  if (!found.alternate.empty()) {
    TRY_ASSIGN(alternate, open_to_read(found.alternate));
  }
  std::vector<CodeAddress> addresses;
  for (const auto& [key, same] : frames) {
    addresses.push_back(address_of(*same.front(), registers));
  }
  auto facts = look_up_confined({file.get(), alternate.get()}, addresses);
  if (!facts) {
    return in_context(std::move(facts).error(), found.path);
  }
  auto next = facts->begin();
  for (auto& [key, same] : frames) {
    for (TriageFrame* const frame : same) {
      frame->lines = next->lines;
      frame->arguments = next->arguments;
    }
    ++next;
  }
  return {};
}

}  // namespace

void add_lines(report::TriageReport& report, const report::DebuginfoReport& found) {
  const CodeRegisters registers = registers_of(report);
  for (auto& [module, frames] : frames_by_module(report)) {
    const auto known = std::ranges::find(found.modules, module, &report::DebugModule::name);
    const report::DebugFileFound* const file = module.empty()
                                                   ? found.vmlinux ? &*found.vmlinux : nullptr
                                               : known == found.modules.end() ? nullptr
                                                                              : &known->file;
    const Result<> added = file == nullptr
                               ? fail(Errc::not_found, "no debug information of {} is found",
                                      module.empty() ? "vmlinux" : module)
                               : add_lines_of(frames, *file, registers);
    if (!added) {
      report.remarks.push_back({added.error().code, "--symbols: " + added.error().message});
    }
  }
}

}  // namespace vmcore::debuginfo
