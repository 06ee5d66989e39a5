// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/status/saved_dumps.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "guest/root/read_word.h"
#include "guest/root/state_file.h"
#include "guest/save/dump_files.h"
#include "guest/save/dump_time.h"
#include "guest/save/stored_stream.h"
#include "guest/save/target_kinds.h"
#include "guest/status/pstore_bundle.h"

namespace vmcore::guest::status {
namespace {

constexpr std::string_view kPstore = "/sys/fs/pstore";

// What versions there are now: those of the crash are in its log.
std::string versions(const root::Root& root) {
  std::string text = fmt::format("vmcore-guest {}\nafter the reboot: {}", VMCORECTL_VERSION,
                                 root.read("/proc/version").value_or("(unknown kernel)\n"));
  const std::string system = root.read("/etc/os-release").value_or("");
  constexpr std::string_view kName = "PRETTY_NAME=";
  const std::size_t at = system.find(kName);
  return at == std::string::npos
             ? text
             : text + system.substr(at + kName.size(), system.find('\n', at) - at - kName.size()) +
                   "\n";
}

// Beside the records: what they say together.
Result<> write_bundle(const root::Root& root, const std::string& folder,
                      const PstoreBundle& bundle) {
  if (bundle.log.empty()) {
    return {};
  }
  TRY(root::write_state(root, folder + "/dmesg.txt", bundle.log));
  TRY(root::write_state(root, folder + "/reason", bundle.reason + "\n"));
  return root::write_state(root, folder + "/versions", versions(root));
}

std::string newest_in(const root::Root& root, std::string_view folder) {
  std::string newest;
  for (const std::string& name : root.list(folder).value_or(std::vector<std::string>())) {
    newest = save::is_dump_time(name) ? std::max(newest, name) : newest;
  }
  return newest;
}

SavedDump dump_in(const root::Root& root, config::Layout layout, const std::string& folder,
                  const std::string& time) {
  const auto path = [&](save::DumpFile file) {
    return save::dump_file(layout, folder, time, file);
  };
  SavedDump saved{.path = path(save::DumpFile::log),
                  .time = time,
                  .only_log = true,
                  .tag = root::read_word(root, {path(save::DumpFile::tag)}).value_or("")};
  for (const save::DumpFile file : {save::DumpFile::incomplete, save::DumpFile::vmcore}) {
    if (root.exists(path(file))) {
      saved.path = path(file);
      saved.complete = file == save::DumpFile::vmcore;
      saved.only_log = false;
    }
  }
  return saved;
}

std::optional<SavedDump> newest_in_folder(const root::Root& root,
                                          const std::vector<image::MountPoint>& mounts,
                                          const config::CaptureConfig& config,
                                          const config::Target& target) {
  const auto folder = folder_of_target(root, mounts, target);
  const auto times =
      folder
          ? save::dump_times(config.layout, root.list(*folder).value_or(std::vector<std::string>()))
          : std::vector<std::string>();
  return times.empty() ? std::nullopt
                       : std::optional(dump_in(root, config.layout, *folder, times.back()));
}

std::optional<SavedDump> dump_on_device(const root::Root& root, const std::string& device) {
  const auto fd = root.open(device, O_RDONLY);
  const auto stored = fd ? save::look_at_stream(fd->get()) : fail(Errc::not_found, "gone");
  if (!stored) {
    return std::nullopt;
  }
  return SavedDump{.path = device,
                   .time = save::dump_time(static_cast<std::int64_t>(stored->crash_time)),
                   .complete = stored->complete || stored->sealed,
                   .tag = stored->sealed ? std::nullopt : std::optional(stored->tag)};
}

}  // namespace

std::optional<std::string> folder_of_target(const root::Root& root,
                                            const std::vector<image::MountPoint>& mounts,
                                            const config::Target& target) {
  const auto place = save::place_of(target) == save::Place::folder
                         ? save::parse_file_place(target.where)
                         : fail(Errc::not_found, "no folder");
  const auto found =
      place ? image::find_disk_folder(root, mounts, *place) : tl::unexpected(place.error());
  return found ? found->seen : std::nullopt;
}

std::vector<std::string> unseen_targets(const root::Root& root,
                                        const config::CaptureConfig& config) {
  const std::vector<image::MountPoint> mounts = image::mounts_of(root);
  std::vector<std::string> unseen;
  for (const config::Target& target : config.targets) {
    if (save::place_of(target) == save::Place::folder && !folder_of_target(root, mounts, target)) {
      unseen.push_back(config::format_target(target));
    }
  }
  return unseen;
}

std::optional<SavedDump> newest_dump(const root::Root& root, const config::CaptureConfig& config) {
  const std::vector<image::MountPoint> mounts = image::mounts_of(root);
  std::optional<SavedDump> newest;
  for (const config::Target& target : config.targets) {
    const auto dump = save::place_of(target) == save::Place::device
                          ? dump_on_device(root, target.where)
                          : newest_in_folder(root, mounts, config, target);
    if (dump && (!newest || dump->time > newest->time)) {
      newest = dump;
    }
  }
  return newest;
}

Result<std::string> collect_pstore(const root::Root& root) {
  const auto names = root.list(kPstore).value_or(std::vector<std::string>());
  if (names.empty()) {
    return std::string();
  }
  const std::string above = fmt::format("{}/pstore", root::kStateFolder);
  const std::string folder = fmt::format("{}/{}", above, save::dump_time(std::time(nullptr)));
  TRY(root::make_state_folder(root, root::kStateFolder));
  TRY(root::make_state_folder(root, above));
  TRY_ASSIGN(const Fd pstore, root.open(kPstore, O_RDONLY | O_DIRECTORY));
  Result<> all;
  std::vector<PstoreRecord> records;
  for (const std::string& name : names) {
    const auto text = root.read(fmt::format("{}/{}", kPstore, name));
    records.push_back({name, text.value_or("")});
    Result<> kept = text ? root::write_state(root, fmt::format("{}/{}", folder, name), *text)
                         : tl::unexpected(text.error());
    if (kept) {
      ::unlinkat(pstore.get(), name.c_str(), 0);  // makes room for the next crash
    } else {
      all = std::move(kept);
    }
  }
  const Result<> told = write_bundle(root, folder, bundle_of(records));
  all = all ? told : all;
  return all ? Result<std::string>(folder) : tl::unexpected(all.error());
}

std::string newest_pstore(const root::Root& root) {
  const std::string above = fmt::format("{}/pstore", root::kStateFolder);
  const std::string newest = newest_in(root, above);
  return newest.empty() ? "" : fmt::format("{}/{}", above, newest);
}

}  // namespace vmcore::guest::status
