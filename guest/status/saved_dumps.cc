#include "guest/status/saved_dumps.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "guest/root/device_link.h"
#include "guest/root/read_word.h"
#include "guest/root/state_file.h"
#include "guest/save/dump_time.h"
#include "guest/save/stored_stream.h"
#include "guest/save/target.h"

namespace vmcore::guest {
namespace {

constexpr std::string_view kPstore = "/sys/fs/pstore";

std::string newest_in(const Root& root, std::string_view folder) {
  std::string newest;
  for (const std::string& name : root.list(folder).value_or(std::vector<std::string>())) {
    newest = is_dump_time(name) ? std::max(newest, name) : newest;
  }
  return newest;
}

// The kernel's mounts have the device itself.
std::string device_path(std::string_view device) {
  const std::string link = device_link(device);
  std::error_code error;
  const auto resolved = std::filesystem::canonical(link, error);
  return error ? link : resolved.string();
}

// The first word behind " - TYPE " is the source; the fifth of the line is where it is mounted
// (Documentation/filesystems/proc.rst, 3.5).
std::optional<std::string> mount_point(std::string_view mounts, std::string_view device) {
  std::size_t begin = 0;
  while (begin < mounts.size()) {
    const std::size_t end = std::min(mounts.find('\n', begin), mounts.size());
    const std::string_view line = mounts.substr(begin, end - begin);
    begin = end + 1;
    std::vector<std::string_view> words;
    for (std::size_t at = 0; at <= line.size();) {
      const std::size_t stop = std::min(line.find(' ', at), line.size());
      words.push_back(line.substr(at, stop - at));
      at = stop + 1;
    }
    const auto dash = std::ranges::find(words, "-");
    const bool whole = words.size() > 4 && words[3] == "/";  // not a folder of it
    if (whole && words.end() - dash > 2 && *(dash + 2) == device) {
      return std::string(words[4]);
    }
  }
  return std::nullopt;
}

SavedDump dump_in(const Root& root, const std::string& folder, const std::string& time) {
  const std::string dump = folder + "/" + time;
  SavedDump saved{.path = dump + "/dmesg.txt",
                  .time = time,
                  .tag = read_word(root, {dump + "/tag"}).value_or("")};
  for (const char* name : {"vmcore.incomplete", "vmcore"}) {
    if (const std::string path = dump + "/" + name; root.exists(path)) {
      saved.path = path;
      saved.complete = std::string_view(name) == "vmcore";
    }
  }
  return saved;
}

std::optional<SavedDump> newest_in_folder(const Root& root, const Target& target,
                                          std::string_view mounts) {
  const auto folder = folder_of_target(target, mounts);
  const std::string time = folder ? newest_in(root, *folder) : "";
  return time.empty() ? std::nullopt : std::optional(dump_in(root, *folder, time));
}

std::optional<SavedDump> dump_on_device(const Root& root, const std::string& device) {
  const auto fd = root.open(device, O_RDONLY);
  const auto stored = fd ? look_at_stream(fd->get()) : fail(Errc::not_found, "gone");
  if (!stored) {
    return std::nullopt;
  }
  return SavedDump{.path = device,
                   .time = dump_time(static_cast<std::int64_t>(stored->crash_time)),
                   .complete = stored->complete || stored->sealed,
                   .tag = stored->sealed ? std::nullopt : std::optional(stored->tag)};
}

}  // namespace

std::optional<std::string> folder_of_target(const Target& target, std::string_view mounts) {
  if (target.kind != "file") {
    return std::nullopt;
  }
  const auto place = parse_file_place(target.where);
  if (!place || place->device.empty()) {
    return place ? std::optional(place->folder) : std::nullopt;
  }
  const auto mounted = mount_point(mounts, device_path(place->device));
  if (!mounted) {
    return std::nullopt;
  }
  return (*mounted == "/" ? "" : *mounted) + place->folder;
}

std::optional<SavedDump> newest_dump(const Root& root, const CaptureConfig& config) {
  const std::string mounts = root.read("/proc/self/mountinfo").value_or("");
  std::optional<SavedDump> newest;
  for (const Target& target : config.targets) {
    const auto dump = target.kind == "raw" ? dump_on_device(root, target.where)
                                           : newest_in_folder(root, target, mounts);
    if (dump && (!newest || dump->time > newest->time)) {
      newest = dump;
    }
  }
  return newest;
}

Result<std::string> collect_pstore(const Root& root) {
  const auto names = root.list(kPstore).value_or(std::vector<std::string>());
  if (names.empty()) {
    return std::string();
  }
  const std::string above = fmt::format("{}/pstore", kStateFolder);
  const std::string folder = fmt::format("{}/{}", above, dump_time(std::time(nullptr)));
  TRY(make_state_folder(root, kStateFolder));
  TRY(make_state_folder(root, above));
  TRY_ASSIGN(const Fd pstore, root.open(kPstore, O_RDONLY | O_DIRECTORY));
  Result<> all;
  for (const std::string& name : names) {
    const auto text = root.read(fmt::format("{}/{}", kPstore, name));
    Result<> kept = text ? write_state(root, fmt::format("{}/{}", folder, name), *text)
                         : tl::unexpected(text.error());
    if (kept) {
      ::unlinkat(pstore.get(), name.c_str(), 0);  // makes room for the next crash
    } else {
      all = std::move(kept);
    }
  }
  return all ? Result<std::string>(folder) : tl::unexpected(all.error());
}

std::string newest_pstore(const Root& root) {
  const std::string above = fmt::format("{}/pstore", kStateFolder);
  const std::string newest = newest_in(root, above);
  return newest.empty() ? "" : fmt::format("{}/{}", above, newest);
}

}  // namespace vmcore::guest
