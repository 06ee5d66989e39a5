// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/modules.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "src/kernel/build_id.h"
#include "src/kernel/lists.h"

namespace vmcore::kernel {
namespace {

constexpr std::size_t kMaxModules = 10'000;
constexpr std::uint64_t kMaxNameBytes = 64;  // MODULE_NAME_LEN is 56
constexpr std::uint64_t kMaxMemories = 16;   // MOD_MEM_NUM_TYPES is 7
constexpr std::uint64_t kMaxModuleBytes = 1ULL << 30;
constexpr std::uint64_t kMaxNoteSections = 16;
constexpr std::uint64_t kMaxNoteBytes = 4096;  // of one section
constexpr std::string_view kNoteSection = ".note";

// Where /sys/module/NAME/notes comes from (v2.6.24, 6d76013381ed): an attribute for each section
// with notes.
struct NotesLayout {
  std::uint64_t list = 0;   // in struct module, the pointer to what has the attributes
  std::uint64_t first = 0;  // of them in there
  std::uint64_t each = 0;   // bytes of one
  std::uint64_t name = 0, size = 0, address = 0;
};

// Offsets of struct module and what belongs to it.
struct ModuleLayout {
  std::uint64_t list = 0;
  BtfField name;
  std::vector<std::uint64_t> bases;  // of its ranges
  std::vector<std::uint64_t> sizes;
  std::vector<std::uint64_t> text_sizes;  // of the code with which each begins, until v6.3
  std::uint64_t kallsyms = 0;
  std::uint64_t symtab = 0, num_symtab = 0, strtab = 0;
  std::optional<std::uint64_t> typetab;  // v5.2, 1c7651f43777
  std::optional<std::uint64_t> orc_count, orc_ip, orc;
  std::optional<NotesLayout> notes;
};

Result<std::uint64_t> offset_of(const Btf& btf, std::string_view path) {
  TRY_ASSIGN(const BtfField field, btf.field(path));
  return field.offset();
}

std::optional<std::uint64_t> offset_if_there(const Btf& btf, std::string_view path) {
  const auto field = btf.field(path);
  return field ? std::optional(field->offset()) : std::nullopt;
}

Result<> find_ranges(const Btf& btf, ModuleLayout& layout) {
  const auto memories = btf.field("module.mem");
  if (memories) {
    TRY_ASSIGN(const std::uint64_t element, btf.size_of("module_memory"));
    TRY_ASSIGN(const std::uint64_t base, offset_of(btf, "module_memory.base"));
    TRY_ASSIGN(const std::uint64_t size, offset_of(btf, "module_memory.size"));
    if (element == 0 || memories->size / element > kMaxMemories) {
      return fail(Errc::limit, "struct module has {} bytes of module_memory", memories->size);
    }
    for (std::uint64_t at = 0; at + element <= memories->size; at += element) {
      layout.bases.push_back(memories->offset() + at + base);
      layout.sizes.push_back(memories->offset() + at + size);
    }
    return {};
  }
  for (const char* name : {"core_layout", "init_layout"}) {
    TRY_ASSIGN(const std::uint64_t base, offset_of(btf, fmt::format("module.{}.base", name)));
    TRY_ASSIGN(const std::uint64_t size, offset_of(btf, fmt::format("module.{}.size", name)));
    TRY_ASSIGN(const std::uint64_t text, offset_of(btf, fmt::format("module.{}.text_size", name)));
    layout.bases.push_back(base);
    layout.sizes.push_back(size);
    layout.text_sizes.push_back(text);
  }
  return {};
}

Result<NotesLayout> notes_layout(const Btf& btf) {
  TRY(btf.know({"module_notes_attrs", "bin_attribute", "attribute"}));
  NotesLayout layout;
  TRY_ASSIGN(layout.list, offset_of(btf, "module.notes_attrs"));
  TRY_ASSIGN(layout.first, offset_of(btf, "module_notes_attrs.attrs"));
  TRY_ASSIGN(layout.each, btf.size_of("bin_attribute"));
  TRY_ASSIGN(layout.name, offset_of(btf, "bin_attribute.attr.name"));
  TRY_ASSIGN(layout.size, offset_of(btf, "bin_attribute.size"));
  TRY_ASSIGN(layout.address, offset_of(btf, "bin_attribute.private"));
  return layout;
}

Result<ModuleLayout> module_layout(const Btf& btf) {
  TRY(btf.know({"module", "module_memory", "mod_kallsyms"}));
  ModuleLayout layout;
  TRY_ASSIGN(layout.list, offset_of(btf, "module.list"));
  TRY_ASSIGN(layout.name, btf.field("module.name"));
  if (layout.name.size == 0 || layout.name.size > kMaxNameBytes) {
    return fail(Errc::limit, "a module's name has {} bytes", layout.name.size);
  }
  TRY(find_ranges(btf, layout));
  TRY_ASSIGN(layout.kallsyms, offset_of(btf, "module.kallsyms"));
  TRY_ASSIGN(layout.symtab, offset_of(btf, "mod_kallsyms.symtab"));
  TRY_ASSIGN(layout.num_symtab, offset_of(btf, "mod_kallsyms.num_symtab"));
  TRY_ASSIGN(layout.strtab, offset_of(btf, "mod_kallsyms.strtab"));
  layout.typetab = offset_if_there(btf, "mod_kallsyms.typetab");
  layout.orc_count = offset_if_there(btf, "module.arch.num_orcs");
  layout.orc_ip = offset_if_there(btf, "module.arch.orc_unwind_ip");
  layout.orc = offset_if_there(btf, "module.arch.orc_unwind");
  if (auto notes = notes_layout(btf)) {
    layout.notes = *notes;
  }
  return layout;
}

Result<std::string> read_text(const GuestKernel& kernel, VirtAddr at, std::uint64_t size) {
  std::string text(size, '\0');
  TRY(kernel.read_exactly(at, std::as_writable_bytes(std::span(text))));
  return text.substr(0, text.find('\0'));
}

Result<VirtAddr> read_pointer(const GuestKernel& kernel, VirtAddr at) {
  TRY_ASSIGN(const auto value, kernel.read_value<std::uint64_t>(at));
  return VirtAddr{value};
}

Result<> read_symbols(const GuestKernel& kernel, const ModuleLayout& layout, Module& module) {
  TRY_ASSIGN(const VirtAddr kallsyms, read_pointer(kernel, module.address + layout.kallsyms));
  if (kallsyms.value == 0) {
    return {};
  }
  TRY_ASSIGN(module.symbols.begin, read_pointer(kernel, kallsyms + layout.symtab));
  TRY_ASSIGN(module.symbols.count, kernel.read_value<std::uint32_t>(kallsyms + layout.num_symtab));
  TRY_ASSIGN(module.strings, read_pointer(kernel, kallsyms + layout.strtab));
  if (layout.typetab) {
    TRY_ASSIGN(module.types, read_pointer(kernel, kallsyms + *layout.typetab));
  }
  return {};
}

Result<Module::Range> read_range(const GuestKernel& kernel, const ModuleLayout& layout, VirtAddr at,
                                 std::size_t i) {
  TRY_ASSIGN(const VirtAddr begin, read_pointer(kernel, at + layout.bases[i]));
  TRY_ASSIGN(const auto size, kernel.read_value<std::uint32_t>(at + layout.sizes[i]));
  return Module::Range{begin, size <= kMaxModuleBytes ? size : 0};
}

void add_range(Module& module, const Module::Range& range) {
  if (range.size != 0) {
    module.ranges.push_back(range);
  }
}

// How many there are is told in different ways: behind the last one no name is that of notes.
// mod->build_id (v5.14, 9294523e3768) is there only with CONFIG_STACKTRACE_BUILD_ID.
Result<std::string> read_build_id(const GuestKernel& kernel, const NotesLayout& layout,
                                  VirtAddr module) {
  TRY_ASSIGN(const VirtAddr list, read_pointer(kernel, module + layout.list));
  for (std::uint64_t i = 0; list.value != 0 && i < kMaxNoteSections; ++i) {
    const VirtAddr at = list + layout.first + i * layout.each;
    TRY_ASSIGN(const VirtAddr name, read_pointer(kernel, at + layout.name));
    TRY_ASSIGN(const std::string text, read_text(kernel, name, kNoteSection.size()));
    TRY_ASSIGN(const auto size, kernel.read_value<std::uint64_t>(at + layout.size));
    TRY_ASSIGN(const VirtAddr address, read_pointer(kernel, at + layout.address));
    if (text != kNoteSection || size > kMaxNoteBytes) {
      break;
    }
    std::vector<std::byte> notes(size);
    TRY(kernel.read_exactly(address, notes));
    if (auto id = build_id_in(notes)) {
      return id;
    }
  }
  return fail(Errc::not_found, "the module has no build-id");
}

Result<Module> read_module(const GuestKernel& kernel, const ModuleLayout& layout, VirtAddr at) {
  Module module;
  module.address = at;
  TRY_ASSIGN(module.name, read_text(kernel, at + layout.name.offset(), layout.name.size));
  for (std::size_t i = 0; i < layout.bases.size(); ++i) {
    TRY_ASSIGN(Module::Range range, read_range(kernel, layout, at, i));
    if (!layout.text_sizes.empty()) {
      // Code has a range of its own: its last function does not go on to the first symbol of data.
      TRY_ASSIGN(const auto text, kernel.read_value<std::uint32_t>(at + layout.text_sizes[i]));
      const std::uint64_t size = std::min<std::uint64_t>(text, range.size);
      add_range(module, {range.begin, size});
      range = {range.begin + size, range.size - size};
    }
    add_range(module, range);
  }
  TRY(read_symbols(kernel, layout, module));
  if (layout.notes) {
    module.build_id = read_build_id(kernel, *layout.notes, at).value_or("");
  }
  if (layout.orc_count && layout.orc_ip && layout.orc) {
    TRY_ASSIGN(module.orc_ip.count, kernel.read_value<std::uint32_t>(at + *layout.orc_count));
    TRY_ASSIGN(module.orc_ip.begin, read_pointer(kernel, at + *layout.orc_ip));
    TRY_ASSIGN(module.orc, read_pointer(kernel, at + *layout.orc));
  }
  return module;
}

}  // namespace

bool Module::contains(VirtAddr at) const {
  return std::ranges::any_of(ranges, [&](const Range& range) {
    return at >= range.begin && at - range.begin < range.size;
  });
}

Result<Modules> read_modules(const GuestKernel& kernel, const Kallsyms& kallsyms, const Btf& btf) {
  const auto head = kallsyms.find("modules");
  if (!head) {
    return fail(Errc::not_found, "no modules among the kernel's symbols");
  }
  TRY_ASSIGN(const ModuleLayout layout, module_layout(btf));
  const ListWalk walk = walk_list(kernel, *head, kMaxModules);
  Modules found;
  for (const VirtAddr entry : walk.entries) {
    auto module = read_module(kernel, layout, {entry.value - layout.list});
    if (module) {
      found.modules.push_back(*std::move(module));
    } else {
      found.remarks.push_back(
          {module.error().code, fmt::format("the module at {:#x}: {}", entry.value - layout.list,
                                            module.error().message)});
    }
  }
  if (walk.broken) {
    found.remarks.push_back(
        {walk.broken->code, fmt::format("the list of modules: {}", walk.broken->message)});
  }
  return found;
}

Result<Btf> read_module_btf(const GuestKernel& kernel, const Kallsyms& kallsyms, const Btf& btf,
                            const Module& module) {
  const auto head = kallsyms.find("btf_modules");
  if (!head) {
    return fail(Errc::not_found, "the kernel keeps no BTF of modules");
  }
  TRY(btf.know({"btf_module", "btf"}));
  TRY_ASSIGN(const std::uint64_t list, offset_of(btf, "btf_module.list"));
  TRY_ASSIGN(const std::uint64_t of, offset_of(btf, "btf_module.module"));
  TRY_ASSIGN(const std::uint64_t types, offset_of(btf, "btf_module.btf"));
  TRY_ASSIGN(const std::uint64_t data, offset_of(btf, "btf.data"));
  TRY_ASSIGN(const std::uint64_t size, offset_of(btf, "btf.data_size"));
  const ListWalk walk = walk_list(kernel, *head, kMaxModules);
  for (const VirtAddr entry : walk.entries) {
    const VirtAddr each{entry.value - list};
    TRY_ASSIGN(const VirtAddr owner, read_pointer(kernel, each + of));
    if (owner == module.address) {
      TRY_ASSIGN(const VirtAddr own, read_pointer(kernel, each + types));
      TRY_ASSIGN(const VirtAddr begin, read_pointer(kernel, own + data));
      TRY_ASSIGN(const auto bytes, kernel.read_value<std::uint32_t>(own + size));
      return Btf::read(kernel, begin, bytes, &btf);
    }
  }
  if (walk.broken) {
    return in_context(*walk.broken, "the list of modules' BTF");
  }
  return fail(Errc::not_found, "no BTF of that module");
}

}  // namespace vmcore::kernel
