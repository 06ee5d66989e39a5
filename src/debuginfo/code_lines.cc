// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/code_lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "src/debuginfo/expression.h"

namespace vmcore::debuginfo {
namespace {

constexpr std::size_t kMostText = 512;
constexpr int kDeepestType = 8;
constexpr unsigned kDeepestScope = 64;
constexpr std::size_t kMostArguments = 32;

std::string text_of(const char* text) {
  return text == nullptr ? "" : std::string(text).substr(0, kMostText);
}

// libdw looks for no other file.
int find_nothing(Dwfl_Module* /*module*/, void** /*data*/, const char* /*name*/,
                 Dwarf_Addr /*base*/, const char* /*file*/, const char* /*link*/, GElf_Word /*crc*/,
                 char** /*found*/) {
  return -1;
}

const Dwfl_Callbacks kCallbacks{.find_elf = nullptr,
                                .find_debuginfo = find_nothing,
                                .section_address = ::dwfl_offline_section_address,
                                .debuginfo_path = nullptr};

// The file as libdw has it.
class Module {
 public:
  static Result<Module> open(const CodeFile& file) {
    Module module;
    ::dwfl_report_begin(module.session_.get());
    // libdwfl closes it.
    module.module_ = ::dwfl_report_offline(module.session_.get(), "", "", ::dup(file.fd));
    ::dwfl_report_end(module.session_.get(), nullptr, nullptr);
    Dwarf_Addr bias = 0;
    Dwarf* const dwarf =
        module.module_ == nullptr ? nullptr : ::dwfl_module_getdwarf(module.module_, &bias);
    if (dwarf == nullptr) {
      return fail(Errc::malformed, "debug information: {}", text_of(::dwfl_errmsg(-1)));
    }
    if (file.alternate >= 0) {
      module.alternate_.reset(::dwarf_begin(file.alternate, DWARF_C_READ));
      ::dwarf_setalt(dwarf, module.alternate_.get());
    }
    return module;
  }

  Dwfl_Module* get() const { return module_; }

 private:
  Module() : session_(::dwfl_begin(&kCallbacks), &::dwfl_end) {}

  // Before the session, which refers to it.
  std::unique_ptr<Dwarf, decltype(&::dwarf_end)> alternate_{nullptr, &::dwarf_end};
  std::unique_ptr<Dwfl, decltype(&::dwfl_end)> session_;
  Dwfl_Module* module_ = nullptr;
};

// All addresses that the wanted functions have in the file: names of static functions repeat.
using Symbols = std::unordered_multimap<std::string_view, std::uint64_t>;

Symbols find_symbols(Dwfl_Module* module, std::span<const CodeAddress> wanted) {
  std::unordered_map<std::string_view, bool> names;
  for (const CodeAddress& each : wanted) {
    names.emplace(each.function, true);
  }
  Symbols symbols;
  const int count = ::dwfl_module_getsymtab(module);
  for (int i = 0; i < count; ++i) {
    GElf_Sym symbol;
    GElf_Addr address = 0;
    const char* const name =
        ::dwfl_module_getsym_info(module, i, &symbol, &address, nullptr, nullptr, nullptr);
    if (name == nullptr || symbol.st_shndx == SHN_UNDEF) {
      continue;
    }
    if (const auto known = names.find(name); known != names.end()) {
      symbols.emplace(known->first, address);
    }
  }
  return symbols;
}

// Several functions may have one name. The right one is as far from its place in the file as most
// other functions are.
class Placing {
 public:
  Placing(const Symbols& symbols, std::span<const CodeAddress> addresses) : symbols_(symbols) {
    for (const CodeAddress& each : addresses) {
      const auto [begin, end] = symbols_.equal_range(each.function);
      for (auto at = begin; at != end; ++at) {
        ++votes_[distance(each, at->second)];
      }
    }
  }

  std::optional<std::uint64_t> place_of(const CodeAddress& address) const {
    const auto [begin, end] = symbols_.equal_range(address.function);
    std::optional<std::uint64_t> best;
    unsigned most = 0;
    for (auto at = begin; at != end; ++at) {
      if (const unsigned votes = votes_.at(distance(address, at->second)); votes > most) {
        most = votes;
        best = at->second + address.offset;
      }
    }
    return best;
  }

 private:
  static std::uint64_t distance(const CodeAddress& address, std::uint64_t symbol) {
    return address.address - address.offset - symbol;
  }

  const Symbols& symbols_;
  std::map<std::uint64_t, unsigned> votes_;
};

// --- one address ---

// Its unit, and its address there.
struct Spot {
  Dwarf_Die* unit = nullptr;
  Dwarf_Addr address = 0;
};

// Not all compilers tell which unit an address is of.
Spot spot_at(Dwfl_Module* module, Dwarf_Addr address) {
  Dwarf_Addr bias = 0;
  if (Dwarf_Die* const unit = ::dwfl_module_addrdie(module, address, &bias)) {
    return {unit, address - bias};
  }
  Dwarf_Die* unit = nullptr;
  while ((unit = ::dwfl_module_nextcu(module, unit, &bias)) != nullptr) {
    if (::dwarf_haspc(unit, address - bias) > 0) {
      return {unit, address - bias};
    }
  }
  return {};
}

bool may_hold_code(int tag) {
  return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine ||
         tag == DW_TAG_lexical_block;
}

// The child that has the address.
std::optional<Dwarf_Die> inner(Dwarf_Die* die, Dwarf_Addr address) {
  Dwarf_Die child;
  if (::dwarf_child(die, &child) != 0) {
    return std::nullopt;
  }
  do {
    if (may_hold_code(::dwarf_tag(&child)) && ::dwarf_haspc(&child, address) > 0) {
      return child;
    }
  } while (::dwarf_siblingof(&child, &child) == 0);
  return std::nullopt;
}

// The function and what was inlined into it, the innermost last.
std::vector<Dwarf_Die> functions_at(const Spot& spot) {
  std::vector<Dwarf_Die> functions;
  auto at = inner(spot.unit, spot.address);
  for (unsigned depth = 0; at && depth < kDeepestScope; ++depth) {
    if (::dwarf_tag(&*at) != DW_TAG_lexical_block) {
      functions.push_back(*at);
    }
    at = inner(&*at, spot.address);
  }
  return functions;
}

// Without the folder in which it was built.
std::string file_of(Dwarf_Die* unit, const char* path) {
  Dwarf_Attribute attribute;
  const char* const folder = ::dwarf_formstring(::dwarf_attr(unit, DW_AT_comp_dir, &attribute));
  std::string_view file = path == nullptr ? "" : path;
  if (folder != nullptr && file.starts_with(folder)) {
    file.remove_prefix(std::string_view(folder).size());
    file.remove_prefix(std::min(file.size(), file.find_first_not_of('/')));
  }
  if (file.starts_with("./")) {
    file.remove_prefix(2);
  }
  return std::string(file.substr(0, kMostText));
}

std::uint64_t number_of(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  return ::dwarf_formudata(::dwarf_attr(die, name, &attribute), &value) == 0 ? value : 0;
}

std::vector<report::SourceLine> lines_at(const Spot& spot, std::vector<Dwarf_Die>& functions,
                                         const std::string& symbol) {
  std::vector<report::SourceLine> lines;
  Dwarf_Files* files = nullptr;
  std::size_t count = 0;
  ::dwarf_getsrcfiles(spot.unit, &files, &count);
  report::SourceLine line;
  if (Dwarf_Line* const found = ::dwarf_getsrc_die(spot.unit, spot.address)) {
    int number = 0;
    ::dwarf_lineno(found, &number);
    line = {.file = file_of(spot.unit, ::dwarf_linesrc(found, nullptr, nullptr)),
            .line = static_cast<std::uint64_t>(std::max(0, number))};
  }
  if (functions.empty() && !line.file.empty()) {
    line.function = symbol;  // an assembler tells of no functions
    return {line};
  }
  for (auto at = functions.rbegin(); at != functions.rend(); ++at) {
    line.function = text_of(::dwarf_diename(&*at));
    lines.push_back(line);
    const std::uint64_t file = number_of(&*at, DW_AT_call_file);
    line = {.file = file < count
                        ? file_of(spot.unit, ::dwarf_filesrc(files, file, nullptr, nullptr))
                        : "",
            .line = number_of(&*at, DW_AT_call_line)};
  }
  return lines;
}

// --- arguments ---

std::string type_name(Dwarf_Die* die, int depth) {
  Dwarf_Attribute attribute;
  Dwarf_Die type;
  if (depth == kDeepestType ||
      ::dwarf_formref_die(::dwarf_attr_integrate(die, DW_AT_type, &attribute), &type) == nullptr) {
    return "void";
  }
  const std::string name = text_of(::dwarf_diename(&type));
  switch (::dwarf_tag(&type)) {
    case DW_TAG_pointer_type: {
      const std::string to = type_name(&type, depth + 1);
      return to + (to.ends_with('*') ? "*" : " *");
    }
    case DW_TAG_const_type:
      return "const " + type_name(&type, depth + 1);
    case DW_TAG_volatile_type:
      return "volatile " + type_name(&type, depth + 1);
    case DW_TAG_structure_type:
      return "struct " + name;
    case DW_TAG_union_type:
      return "union " + name;
    case DW_TAG_enumeration_type:
      return "enum " + name;
    case DW_TAG_subroutine_type:
      return "function";
    default:
      return name;
  }
}

// Of a number or a pointer, in bytes; nothing for all else.
std::optional<std::uint64_t> size_of_value(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  Dwarf_Die type;
  if (::dwarf_formref_die(::dwarf_attr_integrate(die, DW_AT_type, &attribute), &type) == nullptr ||
      ::dwarf_peel_type(&type, &type) != 0) {
    return std::nullopt;
  }
  const int tag = ::dwarf_tag(&type);
  Dwarf_Word size = 0;
  const bool is_value =
      tag == DW_TAG_base_type || tag == DW_TAG_pointer_type || tag == DW_TAG_enumeration_type;
  return is_value && ::dwarf_aggregate_size(&type, &size) == 0 && size >= 1 &&
                 size <= sizeof(std::uint64_t)
             ? std::optional<std::uint64_t>(size)
             : std::nullopt;
}

// The location that the attribute has at the address; empty where it has none.
std::span<const Dwarf_Op> location_at(Dwarf_Die* die, unsigned name, Dwarf_Addr address) {
  Dwarf_Attribute attribute;
  Dwarf_Op* location = nullptr;
  std::size_t count = 0;
  return ::dwarf_attr(die, name, &attribute) != nullptr &&
                 ::dwarf_getlocation_addr(&attribute, address, &location, &count, 1) == 1
             ? std::span<const Dwarf_Op>(location, count)
             : std::span<const Dwarf_Op>();
}

std::optional<std::uint64_t> value_at(Dwarf_Die* parameter, Dwarf_Addr address,
                                      const CodeState& state) {
  const auto size = size_of_value(parameter);
  if (!size) {
    return std::nullopt;
  }
  Dwarf_Attribute attribute;
  Dwarf_Sword constant = 0;
  if (::dwarf_formsdata(::dwarf_attr(parameter, DW_AT_const_value, &attribute), &constant) == 0) {
    const Dwarf_Op op{.atom = DW_OP_consts,
                      .number = static_cast<Dwarf_Word>(constant),
                      .number2 = 0,
                      .offset = 0};
    const Dwarf_Op end{.atom = DW_OP_stack_value, .number = 0, .number2 = 0, .offset = 0};
    return value_of(std::array{op, end}, state, *size);
  }
  return value_of(location_at(parameter, DW_AT_location, address), state, *size);
}

// Of DW_OP_fbreg: an address, or the register that has it.
std::optional<std::uint64_t> frame_base_at(Dwarf_Die* function, Dwarf_Addr address,
                                           const CodeState& state) {
  const auto location = location_at(function, DW_AT_frame_base, address);
  if (location.empty()) {
    return std::nullopt;
  }
  std::vector<Dwarf_Op> computes(location.begin(), location.end());
  if (computes.front().atom < DW_OP_reg0 || computes.front().atom > DW_OP_reg31) {
    computes.push_back({.atom = DW_OP_stack_value, .number = 0, .number2 = 0, .offset = 0});
  }
  return value_of(computes, state, sizeof(std::uint64_t));
}

std::vector<report::Argument> arguments_of(Dwarf_Die* function, Dwarf_Addr address,
                                           const CodeState& state) {
  std::vector<report::Argument> arguments;
  Dwarf_Die child;
  if (::dwarf_child(function, &child) != 0) {
    return arguments;
  }
  do {
    const auto value = ::dwarf_tag(&child) == DW_TAG_formal_parameter
                           ? value_at(&child, address, state)
                           : std::nullopt;
    if (value) {
      arguments.push_back({.name = text_of(::dwarf_diename(&child)),
                           .type = type_name(&child, 0),
                           .value = *value});
    }
  } while (arguments.size() < kMostArguments && ::dwarf_siblingof(&child, &child) == 0);
  return arguments;
}

CodeFacts facts_at(Dwfl_Module* module, std::uint64_t place, const CodeAddress& asked,
                   CodeState state) {
  const Spot spot = spot_at(module, place - (asked.is_return ? 1 : 0));
  if (spot.unit == nullptr) {
    return {};
  }
  std::vector<Dwarf_Die> functions = functions_at(spot);
  CodeFacts facts{.lines = lines_at(spot, functions, asked.function)};
  if (!functions.empty()) {
    state.frame_base = frame_base_at(&functions.front(), spot.address, state);
    facts.arguments = arguments_of(&functions.back(), spot.address, state);
  }
  return facts;
}

constexpr std::size_t kStackPointer = 7, kReturnAddress = 16;

// The states of the frames of a stack, from the innermost one on.
class StackWalk {
 public:
  StackWalk(Dwfl_Module* module, const report::PanicStack& stack)
      : stack_(stack), information_(::dwfl_module_dwarf_cfi(module, &bias_)) {}

  // `place`: of the frame's code in the file.
  CodeState state_of(const CodeAddress& asked, std::uint64_t place) {
    CodeState state{.memory = &stack_};
    const std::size_t number = *asked.frame;
    const report::FrameState& frame = stack_.frames[number];
    const CodeRegisters saved = registers_by_name(frame.registers);
    if (is_of(frame, saved)) {
      state.registers = saved;
    } else if (next_ == number && is_of(frame, caller_)) {
      state.registers = caller_;
    } else {
      state.registers[kStackPointer] = frame.sp;
      state.registers[kReturnAddress] = frame.address;
    }
    const auto caller = unwind(information_, place - bias_ - (asked.is_return ? 1 : 0), state);
    next_ = caller ? number + 1 : stack_.frames.size();
    caller_ = caller.value_or(CodeRegisters());
    return state;
  }

 private:
  static bool is_of(const report::FrameState& frame, const CodeRegisters& registers) {
    return registers[kStackPointer] == frame.sp && registers[kReturnAddress] == frame.address;
  }

  const report::PanicStack& stack_;
  Dwarf_Addr bias_ = 0;
  Dwarf_CFI* information_;
  std::size_t next_ = 0;  // the frame that caller_ would be of
  CodeRegisters caller_ = {};
};

}  // namespace

CodeRegisters registers_by_name(const std::vector<report::NamedRegister>& named) {
  // In the order of their numbers.
  constexpr std::array<std::string_view, std::tuple_size_v<CodeRegisters>> kNames{
      "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8",
      "r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip"};
  CodeRegisters registers;
  for (const report::NamedRegister& each : named) {
    if (const auto* const found = std::ranges::find(kNames, each.name); found != kNames.end()) {
      registers.at(static_cast<std::size_t>(found - kNames.begin())) = each.value;
    }
  }
  return registers;
}

Result<std::vector<CodeFacts>> look_up(const CodeFile& file, std::span<const CodeAddress> addresses,
                                       const report::PanicStack& stack) {
  TRY_ASSIGN(const Module module, Module::open(file));
  const Symbols symbols = find_symbols(module.get(), addresses);
  const Placing placing(symbols, addresses);
  StackWalk walk(module.get(), stack);
  std::vector<CodeFacts> all;
  for (const CodeAddress& each : addresses) {
    const auto place = placing.place_of(each);
    if (!place) {
      all.emplace_back();
      continue;
    }
    const bool is_of_stack = each.frame && *each.frame < stack.frames.size();
    all.push_back(facts_at(
        module.get(), *place, each,
        is_of_stack ? walk.state_of(each, *place) : CodeState{.registers = each.registers}));
  }
  return all;
}

}  // namespace vmcore::debuginfo
