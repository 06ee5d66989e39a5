// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/load.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>

#include "guest/image/capture_image.h"
#include "guest/image/ready_image.h"
#include "guest/image/stale_image.h"
#include "guest/kexec/command_line.h"
#include "guest/kexec/kernel_facts.h"
#include "guest/kexec/kernel_image.h"
#include "guest/kexec/kexec.h"
#include "guest/kexec/other_kdump.h"
#include "guest/root/read_config.h"
#include "guest/root/run_command.h"
#include "guest/root/state_file.h"
#include "src/base/shell.h"
#include "src/base/sys.h"

namespace vmcore::guest::kexec {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kRecord = "/run/vmcore-guest/loaded";
constexpr std::string_view kLock = "/run/vmcore-guest/lock";

std::chrono::seconds to_seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time);
}

// Serialises loads: the lock is held until the file is closed.
Result<Fd> lock(const root::Root& root) {
  TRY(root::make_state_folder(root, root::kRunFolder));
  TRY_ASSIGN(Fd file, root.open(kLock, O_RDWR | O_CREAT, 0600));
  if (::flock(file.get(), LOCK_EX) != 0) {
    return fail_errno(errno, kLock);
  }
  return file;
}

// An image that others made is accepted: its integrity cannot be checked.
Result<> check_whole(const root::Root& root, const std::string& path, std::string_view release) {
  const auto image = image::read_image(root, path);
  if (!image && image.error().code != Errc::limit) {  // larger than every image of ours
    return tl::unexpected(image.error());
  }
  const auto whole = image ? image::check_image(*image, release) : Result<>();
  return whole || whole.error().code == Errc::not_recognised ? Result<>()
                                                             : in_context(whole.error(), path);
}

Result<std::uint64_t> size_of(const root::Root& root, const std::string& path) {
  TRY_ASSIGN(const Fd file, root.open(path, O_RDONLY));
  return sys::file_size(file.get());
}

Result<> check_slot(const root::Root& root, const LoadRequest& request) {
  if (request.force) {
    return {};
  }
  TRY_ASSIGN(const auto other, find_other_kdump(root));
  if (other) {  // enabled, maybe not loaded yet
    return tl::unexpected(slot_is_taken(*other));
  }
  if (!is_loaded(root, Slot::crash) || read_load_record(root)) {
    return {};
  }
  return fail(Errc::busy,
              "another program has loaded a capture kernel, and only one can be loaded: disable "
              "that program (kdump-tools, kdump, kdumpst ...), or replace its kernel with --force");
}

// A capture kernel skips an invalid setting, and its warning is easily missed.
Result<> check_append(std::string_view append) {
  config::CaptureConfig config;
  const auto faults = config::apply_command_line(config, append);
  return faults.empty() ? Result<>() : fail(Errc::invalid, "--append: {}", faults.front().text);
}

// Whether the record asks for what the initramfs has loaded already. A load empties the slot for a
// moment.
bool is_loaded_already(const root::Root& root, const LoadRequest& request, const LoadRecord& record,
                       const std::optional<LoadRecord>& earlier) {
  const bool usual = request.kernel.empty() && request.image.empty() && !request.force;
  return usual && earlier && !earlier->early.empty() && earlier->kernel == record.kernel &&
         earlier->command_line == record.command_line && is_loaded(root, Slot::crash) &&
         stays_valid(root) &&
         image::image_sum(image::read_image(root, record.image).value_or("")) == earlier->early;
}

// `copy`: what the files of the request were copied from, if they are an early copy.
Result<std::vector<Remark>> load_locked(const root::Root& root, const LoadRequest& request,
                                        const EarlyCopy* copy = nullptr) {
  const std::chrono::nanoseconds started = since_boot();
  const std::string release = running_release();
  LoadRecord record{.kernel = request.kernel,
                    .image = request.image,
                    .append = request.append,
                    .tag = request.tag,
                    .command_line = {},
                    .started = started,
                    .force = request.force};
  TRY(check_slot(root, request));
  if (record.kernel.empty()) {
    TRY_ASSIGN(record.kernel, find_kernel_image(root, release));
  }
  TRY_ASSIGN(const KernelImage kernel, read_kernel_image(root, record.kernel));
  std::vector<Remark> remarks;
  if (record.image.empty()) {
    TRY_ASSIGN(image::ReadyImage image, our_image(root, std::string(kernel.release())));
    record.image = std::move(image.path);
    remarks = std::move(image.remarks);
  } else {
    TRY(check_whole(root, record.image, kernel.release()));
  }
  TRY_ASSIGN(const std::uint64_t image_size, size_of(root, record.image));
  auto fit = check_fit(need_of(kernel, image_size), crash_memory_size(root).value_or(0));
  if (!fit && !request.force) {
    return fit;
  }
  TRY_ASSIGN(const std::string running, root.read("/proc/cmdline"));
  const std::string tag = request.tag.empty() ? "" : " vmcore.tag=" + request.tag;
  record.command_line = capture_command_line(running, request.append + tag);
  if (record.command_line.size() > kernel.command_line_limit) {
    return fail(Errc::limit, "the command line has {} bytes, but the kernel accepts at most {}: {}",
                record.command_line.size(), kernel.command_line_limit, record.command_line);
  }
  const KexecImage image{.kernel = record.kernel,
                         .initrd = record.image,
                         .command_line = record.command_line,
                         .debug = request.debug};
  if (copy != nullptr) {
    record.kernel = copy->kernel;
    record.image = copy->image;
    record.early = copy->sum;
  }
  const auto earlier = read_load_record(root);
  if (is_loaded_already(root, request, record, earlier)) {
    TRY(root::write_state(root, kRecord, format_load_record(record)));
    return remarks;
  }
  const bool was_loaded = is_loaded(root, Slot::crash);
  TRY(root::write_state(
      root, kRecord,
      format_load_record(record)));  // a kernel without a record would count as another program's
  const Result<> loaded = load_kernel(Slot::crash, image);
  if (!loaded) {
    root::remove_state(root, kRecord);
    const bool is_still = is_loaded(root, Slot::crash);
    if (earlier && is_still) {
      TRY(root::write_state(root, kRecord, format_load_record(*earlier)));
    }
    // The kernel empties the slot before it checks the new image (kernel/kexec_file.c).
    const bool gone = was_loaded && !is_still;
    return fail(loaded.error().code, "{}{}", loaded.error().message,
                gone ? "; the kernel that was loaded before is gone" : "");
  }
  const std::vector<Remark> narrow = fit.value_or(std::vector<Remark>());
  remarks.insert(remarks.end(), narrow.begin(), narrow.end());
  return remarks;
}

}  // namespace

std::chrono::nanoseconds since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Result<image::ReadyImage> our_image(const root::Root& root, const std::string& release) {
  const auto build = [&release](const std::string& path) {
    const Result<> built =
        root::run_command({"/proc/self/exe", "build", "--kernel", release, "-o", path});
    return built ? built
                 : fail(built.error().code, "`{}` failed",
                        shell_command({"vmcore-guest", "build", "-o", path}));
  };
  return image::ready_image(root, release, build, to_seconds(since_boot()));
}

std::optional<LoadRecord> parse_load_record(std::string_view json) {
  const Json read = Json::parse(json, nullptr, false);
  if (!read.is_object()) {
    return std::nullopt;
  }
  LoadRecord record;
  for (const auto& [name, field] : {std::pair("kernel", &LoadRecord::kernel),
                                    {"image", &LoadRecord::image},
                                    {"append", &LoadRecord::append},
                                    {"tag", &LoadRecord::tag},
                                    {"command_line", &LoadRecord::command_line}}) {
    const auto value = read.find(name);
    if (value == read.end() || !value->is_string()) {
      return std::nullopt;
    }
    record.*field = value->get<std::string>();
  }
  const auto started = read.find("started");
  if (started == read.end() || !started->is_number_integer()) {
    return std::nullopt;
  }
  record.started = std::chrono::nanoseconds(started->get<std::int64_t>());
  const auto force = read.find("force");
  record.force = force != read.end() && *force == true;
  const auto early = read.find("early");
  record.early = early != read.end() && early->is_string() ? early->get<std::string>() : "";
  return record;
}

std::string format_load_record(const LoadRecord& record) {
  const Json json{{"kernel", record.kernel},
                  {"image", record.image},
                  {"append", record.append},
                  {"tag", record.tag},
                  {"command_line", record.command_line},
                  {"started", record.started.count()},
                  {"force", record.force},
                  {"early", record.early}};
  return json.dump(2, ' ', true, Json::error_handler_t::replace) + "\n";
}

std::optional<LoadRecord> read_load_record(const root::Root& root) {
  const auto text = root.read(kRecord);
  return text ? parse_load_record(*text) : std::nullopt;
}

LoadRequest request_of(const LoadRecord& record) {
  return {.kernel = record.kernel,
          .image = record.image,
          .append = record.append,
          .tag = record.tag,
          .force = record.force};
}

Result<std::vector<Remark>> check_fit(const Need& need, std::uint64_t reserved) {
  if (reserved == 0) {
    return fail(
        Errc::no_space,
        "no memory is reserved for a capture kernel: boot with {} (`vmcore-guest setup` adds it)",
        crashkernel_word(need));
  }
  const std::string have = fmt::format("{:.1f} MiB are reserved, and the capture kernel needs {}",
                                       static_cast<double>(reserved) / (1U << 20), explain(need));
  if (reserved < need.minimum) {
    return fail(Errc::no_space, "{}. Boot with {}", have, crashkernel_word(need));
  }
  std::vector<Remark> remarks;
  if (reserved < need.minimum + (need.recommended - need.minimum) / 4) {
    remarks.push_back({Errc::no_space, have});
  }
  return remarks;
}

Result<std::vector<Remark>> load_capture_kernel(const root::Root& root,
                                                const LoadRequest& request) {
  TRY(check_append(request.append));
  TRY_ASSIGN(const Fd held, lock(root));
  return load_locked(root, request);
}

Result<std::vector<Remark>> load_copy(const root::Root& root, const EarlyCopy& copy,
                                      const LoadRequest& files) {
  TRY_ASSIGN(const Fd held, lock(root));
  return load_locked(root, files, &copy);
}

Result<std::vector<Remark>> reload_capture_kernel(const root::Root& root) {
  const std::chrono::nanoseconds asked = since_boot();
  TRY_ASSIGN(const Fd held, lock(root));
  const auto record = read_load_record(root);
  const bool newer = record && record->started > asked;
  if (!record || newer || !is_loaded(root, Slot::crash) || stays_valid(root)) {
    return std::vector<Remark>();
  }
  return load_locked(root, request_of(*record));
}

Result<std::vector<Remark>> refresh_capture_kernel(const root::Root& root) {
  TRY_ASSIGN(const Fd held, lock(root));
  const auto record = read_load_record(root);
  const std::string release = running_release();
  if (!record || !is_loaded(root, Slot::crash) || !image::is_our_image(record->image, release) ||
      !image::is_stale(root, record->image, release) ||
      !image::may_build_again(root, to_seconds(since_boot()))) {
    return std::vector<Remark>();
  }
  TRY_ASSIGN(image::ReadyImage image, our_image(root, release));
  std::vector<Remark> remarks = std::move(image.remarks);
  if (image.older && image.path == record->image) {
    return remarks;  // it is loaded already, and a load empties the slot for a moment
  }
  LoadRequest request = request_of(*record);
  request.image = std::move(image.path);
  TRY_ASSIGN(const std::vector<Remark> more, load_locked(root, request));
  remarks.insert(remarks.end(), more.begin(), more.end());
  return remarks;
}

Result<> unload_capture_kernel(const root::Root& root) {
  TRY_ASSIGN(const Fd held, lock(root));
  TRY(unload_kernel(Slot::crash));
  root::remove_state(root, kRecord);
  return {};
}

Result<> load_reboot_kernel(const root::Root& root, const LoadRequest& request) {
  std::string kernel = request.kernel;
  std::string initrd = request.image;
  if (kernel.empty()) {
    TRY_ASSIGN(kernel, find_kernel_image(root, running_release()));
  }
  TRY_ASSIGN(const KernelImage image, read_kernel_image(root, kernel));
  if (initrd.empty()) {
    initrd = find_boot_initrd(root, image.release());
  }
  if (initrd.empty() && image.unified) {
    return fail(Errc::unsupported,
                "{0} contains its initrd: extract it (objcopy -O binary --only-section=.initrd {0} "
                "FILE), and name that file with --initrd",
                kernel);
  }
  TRY_ASSIGN(const std::string running, root.read("/proc/cmdline"));
  return load_kernel(Slot::reboot, {.kernel = kernel,
                                    .initrd = initrd,
                                    .command_line = reboot_command_line(running, request.append),
                                    .debug = request.debug});
}

}  // namespace vmcore::guest::kexec
