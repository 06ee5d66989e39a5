// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/debuginfo/kernel.h"

#include <algorithm>

namespace vmcore::debuginfo {
namespace {

tl::unexpected<Error> not_it(std::string why) {
  return tl::unexpected(Error{Errc::invalid, std::move(why)});
}

// "6.1.0-57-amd64 (build-id 1234)".
std::string called(std::string_view release, std::string_view build_id) {
  const std::string name = release.empty() ? "an unknown kernel" : "kernel " + std::string(release);
  return build_id.empty() ? name : fmt::format("{} (build-id {})", name, build_id);
}

}  // namespace

Result<std::string> match_vmlinux(const WantedKernel& kernel, const DebugFile& file) {
  switch (file.kind) {
    case FileKind::vmlinux:
      break;
    case FileKind::compressed:
      return not_it(fmt::format(
          "is vmlinuz{}: the compressed kernel that a machine boots, which has no debug "
          "information. Give the vmlinux of the debug package",
          file.release.empty() ? "" : " of kernel " + file.release));
    case FileKind::module:
      return not_it("is a kernel module, not vmlinux");
    case FileKind::dump:
      return not_it("is a dump, not vmlinux");
    case FileKind::packed:
    case FileKind::other:
      return not_it("is no vmlinux (an ELF file of a kernel)");
  }
  const bool both = !kernel.build_id.empty() && !file.build_id.empty();
  if (both ? kernel.build_id != file.build_id
           : !file.release.empty() && file.release != kernel.release) {
    return not_it(fmt::format("is of {}, and the dump is of {}",
                              called(file.release, file.build_id),
                              called(kernel.release, kernel.build_id)));
  }
  if (!both && !kernel.banner.empty() && !file.banner.empty() && kernel.banner != file.banner) {
    return not_it(
        fmt::format("is of another build of {}: {}", called(kernel.release, ""), file.banner));
  }
  if (!both && file.banner.empty()) {
    return not_it("does not tell of which kernel it is");
  }
  if (!file.has_debug_info) {
    return not_it("is of the right kernel, but has no debug information (it is stripped)");
  }
  return both ? "build-id" : kernel.banner.empty() ? "release" : "banner";
}

Result<std::string> match_module(const WantedKernel& kernel, const WantedModule& module,
                                 const DebugFile& file, bool in_folder) {
  if (file.kind != FileKind::module) {
    return not_it("is no kernel module");
  }
  const bool both = !module.build_id.empty() && !file.build_id.empty();
  if (both && module.build_id != file.build_id) {
    return not_it(fmt::format("is of another build of the module {} (build-id {}, loaded is {})",
                              module.name, file.build_id, module.build_id));
  }
  if (!both && !file.release.empty() && file.release != kernel.release) {
    return not_it(
        fmt::format("is of kernel {}, and the dump is of {}", file.release, kernel.release));
  }
  if (!both && file.release.empty() && !in_folder) {
    return not_it("does not tell of which kernel it is");
  }
  if (!file.has_debug_info) {
    return not_it("has no debug information (it is stripped)");
  }
  return both ? "build-id" : file.release.empty() ? "folder" : "release";
}

std::string module_of(std::string_view file_name) {
  for (const std::string_view suffix : {".debug", ".ko"}) {
    if (file_name.ends_with(suffix)) {
      file_name.remove_suffix(suffix.size());
    } else if (suffix == ".ko") {
      return "";
    }
  }
  std::string name(file_name);
  std::ranges::replace(name, '-', '_');
  return name;
}

}  // namespace vmcore::debuginfo
