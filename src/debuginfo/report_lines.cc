// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/report_lines.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "src/base/fd.h"
#include "src/debuginfo/confined.h"

namespace vmcore::debuginfo {
namespace {

using report::TriageFrame;

// Of the code that faulted.
CodeRegisters registers_of(const report::TriageReport& report) {
  return report.panic.value && report.panic.value->fault
             ? registers_by_name(report.panic.value->fault->registers)
             : CodeRegisters();
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

// The frames of the stack that are of one file, by their numbers.
using Numbered = std::map<std::size_t, TriageFrame*>;

std::map<std::string, Numbered> frames_of(report::TriageReport& report,
                                          const report::PanicStack& stack) {
  std::map<std::string, Numbered> all;
  if (stack.stack >= report.stacks.size()) {
    return all;
  }
  std::vector<TriageFrame>& frames = report.stacks[stack.stack].frames;
  for (std::size_t i = 0; i < std::min(frames.size(), stack.frames.size()); ++i) {
    if (!frames[i].function.empty() && frames[i].address == stack.frames[i].address) {
      all[frames[i].module][i] = &frames[i];
    }
  }
  return all;
}

Result<> add_lines_of(Frames& frames, const Numbered& numbered, const report::PanicStack& stack,
                      const report::DebugFileFound& found, const CodeRegisters& registers) {
  TRY_ASSIGN(const Fd file, open_to_read(found.path));
  Fd alternate;
  if (!found.alternate.empty()) {
    TRY_ASSIGN(alternate, open_to_read(found.alternate));
  }
  std::vector<CodeAddress> addresses;
  for (const auto& [key, same] : frames) {
    addresses.push_back(address_of(*same.front(), registers));
  }
  for (const auto& [number, frame] : numbered) {
    addresses.push_back(address_of(*frame, {}));
    addresses.back().frame = number;
  }
  auto facts = look_up_confined({file.get(), alternate.get()}, addresses, stack);
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
  for (const auto& [number, frame] : numbered) {
    if (!next->arguments.empty()) {
      frame->arguments = next->arguments;
    }
    ++next;
  }
  return {};
}

}  // namespace

void add_lines(report::TriageReport& report, const report::PanicStack& stack,
               const report::DebuginfoReport& found) {
  const CodeRegisters registers = registers_of(report);
  auto of_stack = frames_of(report, stack);
  for (auto& [module, frames] : frames_by_module(report)) {
    const auto known = std::ranges::find(found.modules, module, &report::DebugModule::name);
    const report::DebugFileFound* const file = module.empty()
                                                   ? found.vmlinux ? &*found.vmlinux : nullptr
                                               : known == found.modules.end() ? nullptr
                                                                              : &known->file;
    const Result<> added = file == nullptr
                               ? fail(Errc::not_found, "no debug information of {} is found",
                                      module.empty() ? "vmlinux" : module)
                               : add_lines_of(frames, of_stack[module], stack, *file, registers);
    if (!added) {
      report.remarks.push_back({added.error().code, "--symbols: " + added.error().message});
    }
  }
}

}  // namespace vmcore::debuginfo
