// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/symbols.h"

#include <algorithm>

#include "src/base/little_endian.h"
#include "src/kernel/read_window.h"

namespace vmcore::kernel {
namespace {

constexpr std::uint64_t kMaxModuleSymbols = 1 << 20;
constexpr std::uint64_t kMaxStringBytes = 64 << 20;
constexpr std::size_t kMaxNameBytes = 512;  // KSYM_NAME_LEN
constexpr std::size_t kAtOnce = 64;         // bytes of a name

// Elf64_Sym.
struct ElfSymbol {
  ul32 name;
  std::uint8_t info;
  std::uint8_t other;
  ul16 section;
  ul64 value;
  ul64 size;
};
static_assert(sizeof(ElfSymbol) == 24);

// The name at that offset, cut off where it is too long or a page is missing.
std::string name_at(ReadWindow& strings, std::uint64_t offset) {
  std::string name;
  while (name.size() < kMaxNameBytes) {
    auto bytes = strings.bytes(offset + name.size(), kAtOnce);
    if (!bytes) {
      bytes = strings.bytes(offset + name.size(), 1);
    }
    if (!bytes) {
      break;
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    name += text.substr(0, text.find('\0'));
    if (text.find('\0') != std::string_view::npos) {
      break;
    }
  }
  return name;
}

// Labels of the assembler, which the kernel does not name either (is_mapping_symbol()).
bool is_label(std::string_view name) { return name.starts_with(".L") || name.starts_with("L0"); }

}  // namespace

std::string NamedAddress::text() const {
  const std::string place = fmt::format("{}+{:#x}/{:#x}", symbol, offset, size);
  return module.empty() ? place : fmt::format("{} [{}]", place, module);
}

Symbols::Symbols(const GuestKernel& kernel, const Kallsyms& kallsyms, std::vector<Module> modules)
    : kernel_(&kernel),
      kallsyms_(&kallsyms),
      modules_(std::move(modules)),
      tables_(modules_.size()) {}

Result<std::vector<Symbol>> Symbols::of_module(const GuestKernel& kernel, const Module& module) {
  if (module.symbols.count > kMaxModuleSymbols) {
    return fail(Errc::limit, "module {} has {} symbols", module.name, module.symbols.count);
  }
  ReadWindow table(kernel, module.symbols.begin, module.symbols.count * sizeof(ElfSymbol));
  ReadWindow strings(kernel, module.strings, kMaxStringBytes);
  ReadWindow types(kernel, module.types, module.symbols.count);
  std::vector<Symbol> symbols;
  for (std::uint64_t i = 1; i < module.symbols.count; ++i) {  // the first one is none
    TRY_ASSIGN(const auto bytes, table.bytes(i * sizeof(ElfSymbol), sizeof(ElfSymbol)));
    const auto each = *load<ElfSymbol>(bytes, 0);
    Symbol symbol;
    symbol.address = {each.value};
    if (each.section == 0 || !module.contains(symbol.address)) {
      continue;  // SHN_UNDEF, or absolute
    }
    symbol.name = name_at(strings, each.name);
    if (symbol.name.empty() || is_label(symbol.name)) {
      continue;
    }
    if (module.types.value != 0) {
      const auto type = types.bytes(i, 1);
      symbol.type = type ? static_cast<char>((*type)[0]) : '\0';
    }
    symbols.push_back(std::move(symbol));
  }
  return symbols;
}

std::optional<NamedAddress> Symbols::in_module(std::size_t index, VirtAddr address) {
  const Module& module = modules_[index];
  auto& table = tables_[index];
  if (!table) {
    table = of_module(*kernel_, module).value_or(std::vector<Symbol>{});
    std::ranges::stable_sort(*table, {}, &Symbol::address);
  }
  const auto behind = std::ranges::upper_bound(*table, address, {}, &Symbol::address);
  if (behind == table->begin()) {
    return std::nullopt;
  }
  const VirtAddr begin = std::prev(behind)->address;
  const auto range = std::ranges::find_if(module.ranges, [&](const Module::Range& each) {
    return address >= each.begin && address - each.begin < each.size;
  });
  if (begin < range->begin) {
    return std::nullopt;  // a symbol of another part
  }
  VirtAddr end = range->begin + range->size;
  if (behind != table->end() && behind->address < end) {
    end = behind->address;
  }
  const auto first = std::ranges::lower_bound(*table, begin, {}, &Symbol::address);
  return NamedAddress{first->name, module.name, address - begin, end - begin};
}

std::optional<NamedAddress> Symbols::at(VirtAddr address) {
  if (const auto symbol = kallsyms_->at(address)) {
    return NamedAddress{symbol->name, {}, address - symbol->address, symbol->size};
  }
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    if (modules_[i].contains(address)) {
      return in_module(i, address);
    }
  }
  return std::nullopt;
}

}  // namespace vmcore::kernel
