// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/early_copy.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "guest/image/capture_image.h"
#include "guest/image/ready_image.h"
#include "guest/image/stale_image.h"
#include "guest/kexec/kernel_image.h"
#include "guest/kexec/load.h"
#include "guest/root/node.h"
#include "guest/root/read_config.h"
#include "guest/root/state_file.h"
#include "src/base/whole_file.h"

namespace vmcore::guest::kexec {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kOutcome = "/run/vmcore-guest/early";
constexpr std::size_t kMostFile = 256U << 20;  // a kernel, or a program that is not stripped

std::string in_copy(std::string_view name) { return fmt::format("{}/{}", kEarlyFolder, name); }

std::string record_path(std::string_view release) {
  return fmt::format("{}/{}", root::kStateFolder, early_copy_name(release));
}

Result<std::string> own_program() {
  constexpr const char* kSelf = "/proc/self/exe";
  const Fd file(::open(kSelf, O_RDONLY | O_CLOEXEC));
  return file ? read_all(file.get(), kSelf, kMostFile) : fail_errno(errno, kSelf);
}

std::optional<std::string> text_of(const Json& json, const char* name) {
  const auto value = json.find(name);
  return value != json.end() && value->is_string() ? std::optional(value->get<std::string>())
                                                   : std::nullopt;
}

}  // namespace

std::optional<EarlyCopy> parse_early_copy(std::string_view json) {
  const Json read = Json::parse(json, nullptr, false);
  if (!read.is_object()) {
    return std::nullopt;
  }
  const auto kernel = text_of(read, "kernel");
  const auto image = text_of(read, "image");
  const auto sum = text_of(read, "sum");
  const auto size = read.find("size");
  if (!kernel || !image || !sum || size == read.end() || !size->is_number_unsigned()) {
    return std::nullopt;
  }
  return EarlyCopy{*kernel, *image, *sum, size->get<std::uint64_t>()};
}

std::string format_early_copy(const EarlyCopy& copy) {
  const Json json{
      {"kernel", copy.kernel}, {"image", copy.image}, {"sum", copy.sum}, {"size", copy.size}};
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

Result<std::vector<Remark>> make_early_copy(const root::Root& root, std::string_view release,
                                            const std::string& folder) {
  // Everybody may read the initramfs of some distributions (Debian).
  if (config::has_target(root::read_config(root).value_or(config::CaptureConfig()), "ssh")) {
    return fail(Errc::denied,
                "the capture image has the private key of the target ssh, and other users may be "
                "able to read an initramfs: use --early without a target ssh");
  }
  EarlyCopy copy;
  TRY_ASSIGN(copy.kernel, find_kernel_image(root, release));
  TRY_ASSIGN(const KernelImage header, read_kernel_image(root, copy.kernel));
  if (header.unified) {
    return fail(Errc::unsupported,
                "{} contains its initramfs, which cannot contain it again: a capture kernel in the "
                "initramfs needs a kernel outside of the unified image",
                copy.kernel);
  }
  TRY_ASSIGN(image::ReadyImage ready, our_image(root, std::string(release)));
  copy.image = std::move(ready.path);
  TRY_ASSIGN(std::string kernel, root.read(copy.kernel, kMostFile));
  TRY_ASSIGN(std::string image, image::read_image(root, copy.image));
  TRY_ASSIGN(std::string program, own_program());
  copy.sum = image::image_sum(image);
  copy.size = kernel.size() + image.size() + program.size();
  const auto put = [&](std::string_view name, std::string content, unsigned mode) {
    return root::put_node(root, folder + in_copy(name), root::file_node(std::move(content), mode));
  };
  TRY(put("vmcore-guest", std::move(program), 0755));
  TRY(put("kernel", std::move(kernel), 0600));
  TRY(put("image", std::move(image), 0600));
  TRY(put("copy.json", format_early_copy(copy), 0600));
  TRY(root::write_state(root, record_path(release), format_early_copy(copy)));
  return std::move(ready.remarks);
}

std::string early_copy_name(std::string_view release) { return fmt::format("early-{}", release); }

std::optional<EarlyCopy> read_early_copy(const root::Root& root, std::string_view release) {
  const auto text = root.read(record_path(release));
  return text ? parse_early_copy(*text) : std::nullopt;
}

bool is_in_initrd(const root::Root& root, std::string_view release, std::string_view initrd) {
  const auto written = [&root](std::string_view path) {
    const auto fd = root.open(path, O_PATH);
    struct stat status {};
    return fd && ::fstat(fd->get(), &status) == 0
               ? std::pair(status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
               : std::pair<time_t, long>();
  };
  return written(initrd) >= written(record_path(release));
}

Result<std::vector<Remark>> load_early_copy(const root::Root& root) {
  const auto load = [&root]() -> Result<std::vector<Remark>> {
    TRY_ASSIGN(const std::string text, root.read(in_copy("copy.json")));
    const auto copy = parse_early_copy(text);
    if (!copy) {
      return fail(Errc::malformed, "{} is damaged: make the initramfs again", in_copy("copy.json"));
    }
    LoadRequest files;
    files.kernel = in_copy("kernel");
    files.image = in_copy("image");
    return load_copy(root, *copy, files);
  };
  const std::chrono::nanoseconds at = since_boot();
  auto loaded = load();
  const Json outcome{{"at", at.count()}, {"error", loaded ? "" : loaded.error().message}};
  TRY(root::write_state(root, kOutcome,
                        outcome.dump(2, ' ', true, Json::error_handler_t::replace) + "\n"));
  return loaded;
}

std::optional<EarlyLoad> read_early_load(const root::Root& root) {
  const auto text = root.read(kOutcome);
  const Json read = text ? Json::parse(*text, nullptr, false) : Json();
  const auto error = read.is_object() ? text_of(read, "error") : std::nullopt;
  const auto at = error ? read.find("at") : read.end();
  if (!error || at == read.end() || !at->is_number_integer()) {
    return std::nullopt;
  }
  return EarlyLoad{std::chrono::nanoseconds(at->get<std::int64_t>()), *error};
}

}  // namespace vmcore::guest::kexec
