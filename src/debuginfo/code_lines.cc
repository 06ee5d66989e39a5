// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/code_lines.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_map>

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

std::optional<std::uint64_t> read_register(const CodeRegisters& registers, std::uint64_t number) {
  return number < registers.size() ? registers[number] : std::nullopt;
}

// Of a location that needs no memory: a register, a constant, or a sum of both.
std::optional<std::uint64_t> value_of(std::span<const Dwarf_Op> location,
                                      const CodeRegisters& registers) {
  if (location.empty() || location.size() > 2) {
    return std::nullopt;
  }
  const Dwarf_Op& first = location.front();
  const bool is_value = location.size() == 2 && location.back().atom == DW_OP_stack_value;
  if (location.size() == 1 && first.atom >= DW_OP_reg0 && first.atom <= DW_OP_reg31) {
    return read_register(registers, first.atom - DW_OP_reg0);
  }
  if (!is_value) {
    return std::nullopt;
  }
  if (first.atom >= DW_OP_breg0 && first.atom <= DW_OP_breg31) {
    const auto base = read_register(registers, first.atom - DW_OP_breg0);
    return base ? std::optional(*base + first.number) : std::nullopt;
  }
  if (first.atom >= DW_OP_lit0 && first.atom <= DW_OP_lit31) {
    return first.atom - DW_OP_lit0;
  }
  const bool is_constant = first.atom >= DW_OP_const1u && first.atom <= DW_OP_consts;
  return is_constant ? std::optional<std::uint64_t>(first.number) : std::nullopt;
}

std::optional<std::uint64_t> value_at(Dwarf_Die* parameter, Dwarf_Addr address,
                                      const CodeRegisters& registers) {
  Dwarf_Attribute attribute;
  Dwarf_Word constant = 0;
  if (::dwarf_formudata(::dwarf_attr(parameter, DW_AT_const_value, &attribute), &constant) == 0) {
    return constant;
  }
  Dwarf_Op* location = nullptr;
  std::size_t count = 0;
  if (::dwarf_attr(parameter, DW_AT_location, &attribute) == nullptr ||
      ::dwarf_getlocation_addr(&attribute, address, &location, &count, 1) != 1) {
    return std::nullopt;
  }
  return value_of({location, count}, registers);
}

std::vector<report::Argument> arguments_of(Dwarf_Die* function, Dwarf_Addr address,
                                           const CodeRegisters& registers) {
  std::vector<report::Argument> arguments;
  Dwarf_Die child;
  if (::dwarf_child(function, &child) != 0) {
    return arguments;
  }
  do {
    const auto value = ::dwarf_tag(&child) == DW_TAG_formal_parameter
                           ? value_at(&child, address, registers)
                           : std::nullopt;
    if (value) {
      arguments.push_back({.name = text_of(::dwarf_diename(&child)),
                           .type = type_name(&child, 0),
                           .value = *value});
    }
  } while (arguments.size() < kMostArguments && ::dwarf_siblingof(&child, &child) == 0);
  return arguments;
}

CodeFacts facts_at(Dwfl_Module* module, std::uint64_t place, const CodeAddress& asked) {
  const Spot spot = spot_at(module, place - (asked.is_return ? 1 : 0));
  if (spot.unit == nullptr) {
    return {};
  }
  std::vector<Dwarf_Die> functions = functions_at(spot);
  CodeFacts facts{.lines = lines_at(spot, functions, asked.function)};
  if (!functions.empty()) {
    facts.arguments = arguments_of(&functions.back(), spot.address, asked.registers);
  }
  return facts;
}

}  // namespace

Result<std::vector<CodeFacts>> look_up(const CodeFile& file,
                                       std::span<const CodeAddress> addresses) {
  TRY_ASSIGN(const Module module, Module::open(file));
  const Symbols symbols = find_symbols(module.get(), addresses);
  const Placing placing(symbols, addresses);
  std::vector<CodeFacts> all;
  for (const CodeAddress& each : addresses) {
    const auto place = placing.place_of(each);
    all.push_back(place ? facts_at(module.get(), *place, each) : CodeFacts{});
  }
  return all;
}

}  // namespace vmcore::debuginfo
