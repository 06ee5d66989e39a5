// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/status/saved_dumps.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "guest/root/read_word.h"
#include "guest/root/state_file.h"
#include "guest/save/dump_time.h"
#include "guest/save/stored_stream.h"
#include "guest/save/target_kinds.h"

namespace vmcore::guest::status {
namespace {

constexpr std::string_view kPstore = "/sys/fs/pstore";

std::string newest_in(const root::Root& root, std::string_view folder) {
  std::string newest;
  for (const std::string& name : root.list(folder).value_or(std::vector<std::string>())) {
    newest = save::is_dump_time(name) ? std::max(newest, name) : newest;
  }
  return newest;
}

SavedDump dump_in(const root::Root& root, const std::string& folder, const std::string& time) {
  const std::string dump = folder + "/" + time;
  SavedDump saved{.path = dump + "/dmesg.txt",
                  .time = time,
                  .tag = root::read_word(root, {dump + "/tag"}).value_or("")};
  for (const char* name : {"vmcore.incomplete", "vmcore"}) {
    if (const std::string path = dump + "/" + name; root.exists(path)) {
      saved.path = path;
      saved.complete = std::string_view(name) == "vmcore";
    }
  }
  return saved;
}

std::optional<SavedDump> newest_in_folder(const root::Root& root,
                                          const std::vector<image::MountPoint>& mounts,
                                          const config::Target& target) {
  const auto folder = folder_of_target(root, mounts, target);
  const std::string time = folder ? newest_in(root, *folder) : "";
  return time.empty() ? std::nullopt : std::optional(dump_in(root, *folder, time));
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
                          : newest_in_folder(root, mounts, target);
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
  for (const std::string& name : names) {
    const auto text = root.read(fmt::format("{}/{}", kPstore, name));
    Result<> kept = text ? root::write_state(root, fmt::format("{}/{}", folder, name), *text)
                         : tl::unexpected(text.error());
    if (kept) {
      ::unlinkat(pstore.get(), name.c_str(), 0);  // makes room for the next crash
    } else {
      all = std::move(kept);
    }
  }
  return all ? Result<std::string>(folder) : tl::unexpected(all.error());
}

std::string newest_pstore(const root::Root& root) {
  const std::string above = fmt::format("{}/pstore", root::kStateFolder);
  const std::string newest = newest_in(root, above);
  return newest.empty() ? "" : fmt::format("{}/{}", above, newest);
}

}  // namespace vmcore::guest::status
