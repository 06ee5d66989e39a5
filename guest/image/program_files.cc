// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/program_files.h"

#include <algorithm>

#include "guest/config/capture_image.h"
#include "guest/image/elf_file.h"

namespace vmcore::guest::image {
namespace {

constexpr std::size_t kMostFiles = 256;

struct Needs {
  std::string interpreter;
  std::vector<std::string> libraries;
};

Result<Needs> read_needs(std::string_view file) {
  TRY_ASSIGN(const ElfFile elf, ElfFile::parse(file));
  TRY_ASSIGN(std::vector<std::string> libraries, elf.libraries());
  return Needs{elf.interpreter(), std::move(libraries)};
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
      // glibc before 2.34 loads this library at run time to look up user names.
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
