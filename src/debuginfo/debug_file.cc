// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/debug_file.h"

#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "src/base/little_endian.h"
#include "src/base/sys.h"

namespace vmcore::debuginfo {
namespace {

constexpr std::size_t kMostText = 1024;
constexpr std::size_t kMostIdBytes = 64;
constexpr std::string_view kBannerStart = "Linux version ";

std::string hex_of(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes.substr(0, kMostIdBytes)) {
    hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return hex;
}

std::string text_of(std::string_view bytes) {
  return std::string(bytes.substr(0, std::min(kMostText, bytes.find('\0'))));
}

using OpenElf = std::unique_ptr<Elf, decltype(&::elf_end)>;

struct Section {
  Elf_Scn* place = nullptr;
  GElf_Shdr header{};
  std::string_view name;
};

// The sections one by one, until `look` returns false.
template <class Look>
void each_section(Elf* elf, Look look) {
  std::size_t names = 0;
  if (::elf_getshdrstrndx(elf, &names) != 0) {
    return;
  }
  Section section;
  while ((section.place = ::elf_nextscn(elf, section.place)) != nullptr) {
    const char* const name = ::gelf_getshdr(section.place, &section.header) == nullptr
                                 ? nullptr
                                 : ::elf_strptr(elf, names, section.header.sh_name);
    section.name = name == nullptr ? "" : name;
    if (!look(section)) {
      return;
    }
  }
}

// Empty for a section whose bytes are in another file.
std::string_view bytes_of(const Section& section) {
  const Elf_Data* const data =
      section.header.sh_type == SHT_NOBITS ? nullptr : ::elf_rawdata(section.place, nullptr);
  return data == nullptr || data->d_buf == nullptr
             ? std::string_view()
             : std::string_view(static_cast<const char*>(data->d_buf), data->d_size);
}

std::optional<std::uint64_t> symbol_in(Elf* elf, const Section& table, std::string_view wanted) {
  const Elf_Data* const data = ::elf_getdata(table.place, nullptr);
  const std::uint64_t size = table.header.sh_entsize;
  for (std::uint64_t i = 0; data != nullptr && size != 0 && i < data->d_size / size; ++i) {
    GElf_Sym symbol;
    const char* const name =
        ::gelf_getsym(const_cast<Elf_Data*>(data), static_cast<int>(i), &symbol) == nullptr
            ? nullptr
            : ::elf_strptr(elf, table.header.sh_link, symbol.st_name);
    if (name != nullptr && name == wanted) {
      return symbol.st_value;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> address_of(Elf* elf, std::string_view symbol) {
  std::optional<std::uint64_t> address;
  each_section(elf, [&](const Section& section) {
    if (section.header.sh_type == SHT_SYMTAB) {
      address = symbol_in(elf, section, symbol);
    }
    return !address;
  });
  return address;
}

std::string text_at(Elf* elf, std::uint64_t address) {
  std::string text;
  each_section(elf, [&](const Section& section) {
    const GElf_Shdr& header = section.header;
    const bool inside = (header.sh_flags & SHF_ALLOC) != 0 && address >= header.sh_addr &&
                        address - header.sh_addr < header.sh_size;
    const std::string_view bytes = inside ? bytes_of(section) : std::string_view();
    if (inside && address - header.sh_addr < bytes.size()) {
      text = text_of(bytes.substr(address - header.sh_addr));
    }
    return !inside;
  });
  return text;
}

// "KEY=VALUE\0..." (include/linux/moduleparam.h).
std::string modinfo_value(std::string_view modinfo, std::string_view key) {
  while (!modinfo.empty()) {
    const std::string_view entry = modinfo.substr(0, modinfo.find('\0'));
    if (entry.starts_with(key) && entry.substr(key.size()).starts_with('=')) {
      return text_of(entry.substr(key.size() + 1));
    }
    modinfo.remove_prefix(std::min(modinfo.size(), entry.size() + 1));
  }
  return "";
}

void look_at_sections(Elf* elf, DebugFile& file) {
  each_section(elf, [&](const Section& section) {
    if (section.name == ".debug_info" || section.name == ".zdebug_info") {
      file.has_debug_info = section.header.sh_type != SHT_NOBITS && section.header.sh_size != 0;
    } else if (section.name == ".modinfo") {
      file.kind = file.kind == FileKind::other ? FileKind::module : file.kind;
      const std::string magic = modinfo_value(bytes_of(section), "vermagic");
      file.release = file.kind == FileKind::module ? magic.substr(0, magic.find(' ')) : "";
    } else if (section.name == ".gnu_debugaltlink") {
      const std::string_view bytes = bytes_of(section);
      file.alternate = text_of(bytes);
      file.alternate_build_id =
          hex_of(bytes.substr(std::min(bytes.size(), file.alternate.size() + 1)));
    }
    return true;
  });
}

DebugFile look_at_elf(Elf* elf, const GElf_Ehdr& header) {
  DebugFile file;
  const void* id = nullptr;
  if (const ssize_t size = ::dwelf_elf_gnu_build_id(elf, &id); size > 0) {
    file.build_id = hex_of({static_cast<const char*>(id), static_cast<std::size_t>(size)});
  }
  GElf_Word crc = 0;
  if (const char* const link = ::dwelf_elf_gnu_debuglink(elf, &crc)) {
    file.debug_link = text_of(link);
  }
  file.kind = header.e_type == ET_REL ? FileKind::other : FileKind::vmlinux;
  look_at_sections(elf, file);
  const auto banner =
      file.kind == FileKind::vmlinux ? address_of(elf, "linux_banner") : std::nullopt;
  if (banner) {
    file.banner = text_at(elf, *banner);
    file.banner.erase(std::ranges::find(file.banner, '\n'), file.banner.end());
    file.release = release_of_banner(file.banner);
  } else if (file.kind == FileKind::vmlinux && file.build_id.empty()) {
    file.kind = FileKind::other;  // some program
  }
  return file;
}

// Documentation/arch/x86/boot.rst: "HdrS" at 0x202, and at 0x20e where the version is told, counted
// from 0x200. An arm64 zboot image (v6.1, c37b830fef13) has "zimg" at 4.
std::optional<DebugFile> look_at_boot_image(std::string_view head) {
  if (head.substr(0, 2) == "MZ" && head.size() > 8 && head.substr(4, 4) == "zimg") {
    return DebugFile{.kind = FileKind::compressed};
  }
  if (head.size() < 0x210 || head.substr(0x202, 4) != "HdrS") {
    return std::nullopt;
  }
  DebugFile file{.kind = FileKind::compressed};
  const std::size_t at = 0x200U + static_cast<unsigned char>(head[0x20e]) +
                         (static_cast<std::size_t>(static_cast<unsigned char>(head[0x20f])) << 8);
  if (at < head.size()) {
    const std::string version = text_of(head.substr(at));
    file.release = version.substr(0, version.find(' '));
  }
  return file;
}

bool is_packed(std::string_view head) {
  using namespace std::string_view_literals;
  constexpr std::array kMagics{"\x1f\x8b"sv, "\xfd\x37zXZ\0"sv, "\x28\xb5\x2f\xfd"sv,
                               "BZh"sv,      "!<arch>\n"sv,     "\xed\xab\xee\xdb"sv};
  return std::ranges::any_of(kMagics,
                             [&](std::string_view magic) { return head.starts_with(magic); }) ||
         (head.size() > 262 && head.substr(257, 5) == "ustar");
}

}  // namespace

std::string release_of_banner(std::string_view banner) {
  if (!banner.starts_with(kBannerStart)) {
    return "";
  }
  banner.remove_prefix(kBannerStart.size());
  return std::string(banner.substr(0, banner.find(' ')));
}

Result<DebugFile> inspect(int fd) {
  std::string head(64 << 10, '\0');  // what a boot image tells is in its first 33 KiB
  TRY_ASSIGN(const std::size_t size,
             sys::pread_full(fd, std::as_writable_bytes(std::span(head)), 0));
  head.resize(size);
  if (const auto image = look_at_boot_image(head)) {
    return *image;
  }
  if (is_packed(head)) {
    return DebugFile{.kind = FileKind::packed};
  }
  if (!head.starts_with(ELFMAG)) {
    return DebugFile{};
  }
  // Before libelf, which refuses some dumps.
  if (const auto type = load<ul16>(std::as_bytes(std::span(head)), offsetof(Elf64_Ehdr, e_type));
      type && *type == ET_CORE) {
    return DebugFile{.kind = FileKind::dump};
  }
  ::elf_version(EV_CURRENT);
  const OpenElf elf(::elf_begin(fd, ELF_C_READ_MMAP, nullptr), &::elf_end);
  GElf_Ehdr header;
  if (!elf || ::elf_kind(elf.get()) != ELF_K_ELF || ::gelf_getehdr(elf.get(), &header) == nullptr) {
    return fail(Errc::malformed, "damaged ELF file: {}", ::elf_errmsg(-1));
  }
  return look_at_elf(elf.get(), header);
}

}  // namespace vmcore::debuginfo
