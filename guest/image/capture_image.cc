// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/capture_image.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "guest/config/capture_image.h"
#include "guest/config/gzip.h"
#include "guest/image/cpio.h"
#include "guest/image/elf_file.h"
#include "guest/image/kernel_modules.h"
#include "guest/image/needed_modules.h"
#include "guest/image/ssh_files.h"
#include "guest/root/read_config.h"
#include "src/base/shell.h"
#include "src/seal/sha256.h"

namespace vmcore::guest::image {
namespace {

namespace fs = std::filesystem;

std::string_view in_archive(std::string_view path) { return path.substr(1); }

// "ext4.ko.gz" of "/lib/modules/6.1/kernel/fs/ext4/ext4.ko.xz".
std::string file_of_module(std::string_view path) {
  const std::string_view file = path.substr(path.rfind('/') + 1);
  return std::string(file.substr(0, file.find(".ko"))) + ".ko.gz";
}

constexpr std::uint64_t kModulesAssumed = 4U << 20;

constexpr std::string_view kSum = "\nSUM=";
constexpr std::size_t kDigest = 64;

// The position of SUM in an image. SUM is zeros while it is computed.
std::optional<std::size_t> find_sum(std::string_view image) {
  const auto manifest = find_in_cpio(image, in_archive(config::kImageManifest));
  const std::size_t line = manifest ? manifest->rfind(kSum) : std::string_view::npos;
  if (line == std::string_view::npos || manifest->size() - line < kSum.size() + kDigest) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(manifest->data() - image.data()) + line + kSum.size();
}

std::string digest_of(std::string image, std::size_t sum) {
  return seal::sha256(image.replace(sum, kDigest, kDigest, '0'));
}

// If one is missing, check_target has reported it; other targets still work.
std::vector<ImageFile> files_of_targets(const root::Root& root,
                                        const config::CaptureConfig& config) {
  return config::has_target(config, "ssh")
             ? ssh_files(root, config.ssh).value_or(std::vector<ImageFile>())
             : std::vector<ImageFile>();
}

struct Plan {
  KernelModules kernel;
  std::vector<std::string> modules;
  std::vector<ImageFile> files;
  std::vector<Remark> remarks;
  std::string manifest;
};

Result<Plan> plan_image(const root::Root& root, const ImageParts& parts) {
  TRY_ASSIGN(KernelModules kernel, KernelModules::open(root, parts.release));
  TRY_ASSIGN(NeededModules needed, needed_modules(root, kernel, parts.config));
  TRY_ASSIGN(std::vector<std::string> modules, kernel.load_order(needed.names));
  std::string digests;
  for (const std::string& path : modules) {
    TRY_ASSIGN(const std::string installed, root.read(path));
    digests += path + " " + seal::sha256(installed) + "\n";
  }
  std::vector<ImageFile> files = files_of_targets(root, parts.config);
  std::string contents;
  for (const ImageFile& file : files) {
    contents += file.path + " " + seal::sha256(file.content) + "\n";
  }
  std::string manifest =
      fmt::format("RELEASE={}\nINIT={}\nCONFIG={}\nMODULES={}\nFILES={}{}{:0{}}\n", parts.release,
                  seal::sha256(parts.init), seal::sha256(config::format_config(parts.config)),
                  seal::sha256(digests), seal::sha256(contents), kSum, 0, kDigest);
  return Plan{std::move(kernel), std::move(modules), std::move(files), std::move(needed.remarks),
              std::move(manifest)};
}

Result<> add_modules(Cpio& cpio, const Plan& plan) {
  const std::string_view folder = in_archive(config::kModuleFolder);
  std::string list;
  cpio.add_folder(folder);
  for (const std::string& path : plan.modules) {
    TRY_ASSIGN(const std::string module, plan.kernel.read(path).and_then(config::gzip));
    TRY(cpio.add_file(fmt::format("{}/{}", folder, file_of_module(path)), 0644, module));
    list += file_of_module(path) + "\n";
  }
  return cpio.add_file(fmt::format("{}/{}", folder, config::kModuleList), 0644, list);
}

Result<> add_files(Cpio& cpio, const std::vector<ImageFile>& files) {
  std::set<std::string> folders = {"/etc"};
  for (const ImageFile& file : files) {
    for (std::size_t end = file.path.find('/', 1); end != std::string::npos;
         end = file.path.find('/', end + 1)) {
      if (const std::string folder = file.path.substr(0, end); folders.insert(folder).second) {
        cpio.add_folder(in_archive(folder));
      }
    }
    TRY(cpio.add_file(in_archive(file.path), file.permissions, file.content));
  }
  return {};
}

}  // namespace

std::uint64_t assumed_image_size(const root::Root& root) {
  std::uint64_t size = kModulesAssumed;
  const config::CaptureConfig config = root::read_config(root).value_or(config::CaptureConfig());
  for (const ImageFile& file : files_of_targets(root, config)) {
    size += file.content.size();
  }
  return size;
}

Result<CaptureImage> make_capture_image(const root::Root& root, const ImageParts& parts) {
  TRY_ASSIGN(Plan plan, plan_image(root, parts));
  Cpio cpio;
  for (const char* const folder : {"dev", "etc", "mnt", "proc", "sys"}) {
    cpio.add_folder(folder);
  }
  TRY(cpio.add_file(in_archive(config::kImageManifest), 0644, plan.manifest));
  TRY(cpio.add_file(in_archive(config::kConfigFile), 0644, config::format_config(parts.config)));
  TRY(add_modules(cpio, plan));
  TRY(add_files(cpio, plan.files));
  TRY(cpio.add_file("init", 0755, parts.init));
  CaptureImage image{cpio.finish(), std::move(plan.modules), std::move(plan.remarks)};
  const std::size_t sum = find_sum(image.bytes).value();
  image.bytes.replace(sum, kDigest, digest_of(image.bytes, sum));
  return image;
}

Result<> check_image(std::string_view bytes, std::string_view release) {
  const std::string_view image = first_cpio(bytes).value_or(bytes);
  const auto sum = find_sum(image);
  if (!sum) {
    return fail(Errc::not_recognised, "not a capture image of `vmcore-guest build`");
  }
  if (image.substr(*sum, kDigest) != digest_of(std::string(image), *sum)) {
    return fail(Errc::malformed,
                "the capture image is damaged: build it again with `vmcore-guest build`");
  }
  if (!find_in_cpio(image, in_archive(config::kImageManifest))
           ->starts_with(fmt::format("RELEASE={}\n", release))) {
    return fail(Errc::invalid,
                "the capture image was built for another kernel: build one with `vmcore-guest "
                "build --kernel {}`",
                shell_quoted(release));
  }
  return {};
}

std::string image_sum(std::string_view bytes) {
  const std::string_view image = first_cpio(bytes).value_or(bytes);
  const auto sum = find_sum(image);
  return sum ? std::string(image.substr(*sum, kDigest)) : "";
}

Result<> check_init(std::string_view program) {
  TRY_ASSIGN(const ElfFile elf, ElfFile::parse(program));
  return elf.interpreter().empty() ? Result<>()
                                   : fail(Errc::unsupported,
                                          "not statically linked: the capture image has no "
                                          "libraries");
}

std::string init_executable() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  if (const fs::path beside = folder / "vmcore-guest-init"; ::access(beside.c_str(), R_OK) == 0) {
    return beside;
  }
  return (folder.parent_path() / "libexec/vmcore-guest/vmcore-guest-init").string();
}

}  // namespace vmcore::guest::image
