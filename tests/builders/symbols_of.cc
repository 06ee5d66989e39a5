// SPDX-License-Identifier: GPL-2.0-or-later
// symbols_of DUMP WHAT: what src/kernel learns of the guest in that dump, for tests that compare it
// with what the guest itself said. WHAT is one of
//   stacks    the stack of each task that does not run: "task PID COMM", then a line a frame, and a
//             line that begins with "!" where it is not whole
//   cpus      the same of what runs, of each vCPU in kernel mode: "cpu NUMBER PID COMM"
//   symbols   every symbol, as /proc/kallsyms has it
//   names     the names of the addresses (hex) on standard input, one a line
//   fields    "BIT_OFFSET BITS SIZE" of the members on standard input: "task_struct.comm"
//   types     "SIZE" of the structs and unions on standard input
//   functions the prototypes of the functions on standard input
//   values    the values of the enumerators on standard input
// A dash stands for what is not there.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/fd.h"
#include "src/base/little_endian.h"
#include "src/formats/dump_format.h"
#include "src/kernel/arch/x86_64_unwind.h"
#include "src/kernel/btf.h"
#include "src/kernel/cpus.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/modules.h"
#include "src/kernel/symbols.h"
#include "src/kernel/tasks.h"

namespace vmcore {
namespace {

std::vector<std::string> lines_of_input() {
  std::vector<std::string> lines;
  for (std::string line; std::getline(std::cin, line);) {
    lines.push_back(line);
  }
  return lines;
}

Result<> know(const kernel::Btf& btf, const std::vector<std::string>& lines) {
  std::vector<std::string_view> names;
  for (const std::string& line : lines) {
    names.push_back(std::string_view(line).substr(0, line.find('.')));
  }
  return btf.know(names);
}

Result<std::string> field_text(const kernel::Btf& btf, const std::string& path) {
  TRY_ASSIGN(const auto field, btf.field(path));
  return fmt::format("{} {} {}", field.bit_offset, field.bits, field.size);
}

Result<std::string> size_text(const kernel::Btf& btf, const std::string& name) {
  TRY_ASSIGN(const auto size, btf.size_of(name));
  return fmt::format("{}", size);
}

Result<std::string> value_text(const kernel::Btf& btf, const std::string& name) {
  TRY_ASSIGN(const auto value, btf.enumerator(name));
  return fmt::format("{}", value);
}

Result<std::string> function_text(const kernel::Btf& btf, const std::string& name) {
  TRY_ASSIGN(const auto prototype, btf.prototype(name));
  TRY_ASSIGN(std::string text, btf.type_text(prototype.returns));
  for (const kernel::BtfParameter& each : prototype.parameters) {
    TRY_ASSIGN(const std::string type, btf.type_text(each.type));
    text += fmt::format(" | {} {}", type, each.name);
  }
  return text + (prototype.variadic ? " | ..." : "");
}

void print_symbol(const kernel::Symbol& symbol, std::string_view module) {
  std::puts(fmt::format("{:016x} {} {}{}", symbol.address.value, symbol.type, symbol.name, module)
                .c_str());
}

Result<> print_symbols(const kernel::GuestKernel& kernel, const kernel::Symbols& symbols) {
  kernel.kallsyms()->for_each({0}, {~0ULL}, [](const kernel::Symbol& symbol) {
    print_symbol(symbol, "");
    return true;
  });
  for (const kernel::Module& module : symbols.modules()) {
    TRY_ASSIGN(const auto table, kernel::Symbols::of_module(kernel, module));
    for (const kernel::Symbol& symbol : table) {
      print_symbol(symbol, fmt::format("\t[{}]", module.name));
    }
  }
  return {};
}

// As the kernel's own messages have it: behind a call the symbol is that of the byte before.
std::string frame_text(kernel::Symbols& symbols, const kernel::StackFrame& frame) {
  const std::uint64_t back = frame.exact || frame.code.value == 0 ? 0 : 1;
  auto named = symbols.at({frame.code.value - back});
  if (!named) {
    return fmt::format("{:#x}", frame.code.value);
  }
  named->offset += back;
  return named->text();
}

void print_trace(kernel::Symbols& symbols, const kernel::Backtrace& trace) {
  for (const kernel::StackFrame& frame : trace.frames) {
    std::puts(fmt::format("{}{}{}", frame_text(symbols, frame),
                          frame.all_registers ? " <registers>" : "",
                          frame.guessed ? " <guessed>" : "")
                  .c_str());
  }
  if (trace.broken) {
    std::puts(fmt::format("! {}", trace.broken->message).c_str());
  }
}

Result<> print_stacks(const kernel::GuestKernel& kernel, const kernel::Btf& btf,
                      kernel::Symbols& symbols) {
  const kernel::Kallsyms& kallsyms = *kernel.kallsyms();
  TRY_ASSIGN(const auto unwinder,
             kernel::Unwinder::make(kernel, kallsyms, &btf, symbols.modules()));
  TRY_ASSIGN(const auto layout, kernel::task_layout(btf));
  TRY_ASSIGN(const auto found, kernel::read_tasks(kernel, kallsyms, layout));
  for (const Remark& remark : found.remarks) {
    std::fputs(fmt::format("{}\n", remark.text).c_str(), stderr);
  }
  for (const kernel::Task& task : found.tasks) {
    if (!task.on_cpu) {
      std::puts(fmt::format("task {} {}", task.pid, task.comm).c_str());
      print_trace(symbols, unwinder.of_sleeping(task.thread_sp));
    }
  }
  return {};
}

// From the NT_PRSTATUS of the vCPU: the fifth register.
std::uint64_t rbp_of(const MemoryImage& image, std::size_t position) {
  constexpr std::uint64_t kRegisters = 112;
  for (const Note& note : image.notes) {
    if (note.name == "CORE" && note.type == kNoteTypePrstatus && position-- == 0) {
      return load<ul64>(note.desc, kRegisters + 4 * sizeof(ul64)).value_or(0);
    }
  }
  return 0;
}

Result<> print_cpus(const MemoryImage& image, const kernel::GuestKernel& kernel,
                    const kernel::Btf& btf, kernel::Symbols& symbols) {
  const kernel::Kallsyms& kallsyms = *kernel.kallsyms();
  TRY_ASSIGN(const auto unwinder,
             kernel::Unwinder::make(kernel, kallsyms, &btf, symbols.modules()));
  TRY_ASSIGN(const auto layout, kernel::task_layout(btf));
  TRY_ASSIGN(const auto offsets, kernel::read_per_cpu_offsets(kernel, kallsyms));
  const kernel::CpuOrder order = kernel::linux_cpu_order(kernel, kallsyms, image.cpus);
  for (std::size_t i = 0; i < order.order.size() && i < offsets.size(); ++i) {
    const CpuState& cpu = image.cpus[order.order[i]];
    TRY_ASSIGN(const VirtAddr address, kernel::current_task(kernel, kallsyms, btf, offsets[i]));
    TRY_ASSIGN(const kernel::Task task, kernel::read_task(kernel, layout, address));
    std::puts(fmt::format("cpu {} {} {}", i, task.pid, task.comm).c_str());
    if (!cpu.user_mode()) {
      const std::uint64_t rbp = rbp_of(image, order.order[i]);
      print_trace(symbols, unwinder.from({cpu.rip, cpu.rsp, rbp}));
    }
  }
  return {};
}

void print_names(kernel::Symbols& symbols) {
  for (const std::string& line : lines_of_input()) {
    const auto named = symbols.at({std::stoull(line, nullptr, 16)});
    std::puts(named ? named->text().c_str() : "-");
  }
}

Result<> print_types(const kernel::Btf& btf, std::string_view what) {
  struct Row {
    std::string_view what;
    Result<std::string> (*text)(const kernel::Btf&, const std::string&);
  };
  constexpr std::array kRows{Row{"fields", field_text}, Row{"types", size_text},
                             Row{"functions", function_text}, Row{"values", value_text}};
  for (const Row& row : kRows) {
    if (row.what == what) {
      const auto lines = lines_of_input();
      TRY(know(btf, lines));
      for (const std::string& line : lines) {
        std::puts(row.text(btf, line).value_or("-").c_str());
      }
      return {};
    }
  }
  return fail(Errc::invalid, "what is {}?", what);
}

Result<> run(const char* path, std::string_view what) {
  TRY_ASSIGN(const MemoryImage image, formats::open_dump(Fd(::open(path, O_RDONLY | O_CLOEXEC))));
  TRY_ASSIGN(const auto found, kernel::find_kernels(image, kernel::Search::memory));
  if (found.kernels.empty() || found.kernels.front().kallsyms() == nullptr) {
    return fail(Errc::not_found, "no kernel, or no symbols of it");
  }
  const kernel::GuestKernel& kernel = found.kernels.front();
  TRY_ASSIGN(const kernel::Btf btf, kernel::Btf::of_kernel(kernel, *kernel.kallsyms()));
  TRY_ASSIGN(kernel::Modules modules, kernel::read_modules(kernel, *kernel.kallsyms(), btf));
  for (const Remark& remark : modules.remarks) {
    std::fputs(fmt::format("{}\n", remark.text).c_str(), stderr);
  }
  kernel::Symbols symbols(kernel, *kernel.kallsyms(), std::move(modules.modules));
  if (what == "symbols") {
    return print_symbols(kernel, symbols);
  }
  if (what == "stacks") {
    return print_stacks(kernel, btf, symbols);
  }
  if (what == "cpus") {
    return print_cpus(image, kernel, btf, symbols);
  }
  if (what == "names") {
    print_names(symbols);
    return {};
  }
  return print_types(btf, what);
}

}  // namespace
}  // namespace vmcore

int main(int count, char** words) {
  if (count != 3) {
    std::fputs("usage: symbols_of DUMP WHAT\n", stderr);
    return 2;
  }
  const auto done = vmcore::run(words[1], words[2]);
  if (!done) {
    std::fputs(fmt::format("symbols_of: {}\n", done.error().message).c_str(), stderr);
    return 1;
  }
  return 0;
}
