#include "guest/image/program_files.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>

#include "guest/config/capture_image.h"
#include "src/base/little_endian.h"

namespace vmcore::guest::image {
namespace {

constexpr std::size_t kMostFiles = 256;

struct Needs {
  std::string interpreter;
  std::vector<std::string> libraries;
};

// The string at that place of a file, or nothing.
std::optional<std::string> string_at(std::string_view file, std::uint64_t at) {
  const std::size_t end = file.find('\0', at);
  return at < file.size() && end != file.npos
             ? std::optional(std::string(file.substr(at, end - at)))
             : std::nullopt;
}

std::vector<Elf64_Phdr> read_segments(std::string_view file) {
  const auto bytes = std::as_bytes(std::span(file));
  std::vector<Elf64_Phdr> segments;
  if (const auto header = load<Elf64_Ehdr>(bytes, 0);
      header && std::memcmp(header->e_ident, ELFMAG, SELFMAG) == 0) {
    for (std::uint64_t i = 0; i < header->e_phnum; ++i) {
      const auto segment = load<Elf64_Phdr>(bytes, header->e_phoff + i * sizeof(Elf64_Phdr));
      if (!segment) {
        return {};
      }
      segments.push_back(*segment);
    }
  }
  return segments;
}

// Where an address of the loaded program lies in its file.
std::optional<std::uint64_t> offset_of(const std::vector<Elf64_Phdr>& segments,
                                       std::uint64_t address) {
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz) {
      return segment.p_offset + (address - segment.p_vaddr);
    }
  }
  return std::nullopt;
}

// The file offsets of the names of libraries, in the string table that DT_STRTAB tells.
std::vector<std::string> read_libraries(std::string_view file,
                                        const std::vector<Elf64_Phdr>& segments,
                                        const Elf64_Phdr& dynamic) {
  const auto bytes = std::as_bytes(std::span(file));
  std::vector<std::uint64_t> names;
  std::optional<std::uint64_t> strings;
  for (std::uint64_t i = 0; i < dynamic.p_filesz / sizeof(Elf64_Dyn); ++i) {
    const auto entry = load<Elf64_Dyn>(bytes, dynamic.p_offset + i * sizeof(Elf64_Dyn));
    if (!entry || entry->d_tag == DT_NULL) {
      break;
    }
    if (entry->d_tag == DT_NEEDED) {
      names.push_back(entry->d_un.d_val);
    } else if (entry->d_tag == DT_STRTAB) {
      strings = offset_of(segments, entry->d_un.d_ptr);
    }
  }
  std::vector<std::string> libraries;
  for (const std::uint64_t name : names) {
    if (auto library = strings ? string_at(file, *strings + name) : std::nullopt) {
      libraries.push_back(*std::move(library));
    }
  }
  return libraries;
}

Result<Needs> read_needs(std::string_view file) {
  const std::vector<Elf64_Phdr> segments = read_segments(file);
  if (segments.empty()) {
    return fail(Errc::not_recognised, "not an ELF program (scripts are not supported)");
  }
  Needs needs;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_INTERP) {
      needs.interpreter = string_at(file, segment.p_offset).value_or("");
    } else if (segment.p_type == PT_DYNAMIC) {
      needs.libraries = read_libraries(file, segments, segment);
    }
  }
  return needs;
}

Result<std::string> find_library(const root::Root& root, const std::string& name) {
  for (std::string_view rest = config::kLibraryPath; !rest.empty();) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    if (std::string path = fmt::format("{}/{}", folder, name); root.exists(path)) {
      return path;
    }
    rest.remove_prefix(std::min(folder.size() + 1, rest.size()));
  }
  return fail(Errc::not_found, "its library {} was not found in {}", name, config::kLibraryPath);
}

}  // namespace

Result<std::vector<std::string>> program_files(const root::Root& root, const std::string& program) {
  std::vector<std::string> files = {program};
  const auto add = [&files](const std::string& path) {
    if (!path.empty() && std::ranges::find(files, path) == files.end()) {
      files.push_back(path);
    }
  };
  for (std::size_t i = 0; i < files.size(); ++i) {
    TRY_ASSIGN(const std::string file, root.read(files[i]));
    auto needs = read_needs(file);
    if (!needs) {
      return in_context(std::move(needs).error(), files[i]);
    }
    add(needs->interpreter);
    for (const std::string& library : needs->libraries) {
      auto path = find_library(root, library);
      if (!path) {
        return in_context(std::move(path).error(), files[i]);
      }
      add(*path);
      // Names of users are looked up in a library that is not told (glibc before 2.34).
      if (library == "libc.so.6") {
        add(find_library(root, "libnss_files.so.2").value_or(""));
      }
    }
    if (files.size() > kMostFiles) {
      return fail(Errc::limit, "{} needs more than {} files", program, kMostFiles);
    }
  }
  return files;
}

}  // namespace vmcore::guest::image
