// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/dump_files.h"

#include <algorithm>
#include <utility>

#include "guest/save/dump_time.h"

namespace vmcore::guest::save {
namespace {

using config::Layout;

// In the order of DumpFile.
constexpr std::array<std::string_view, 4> kInFolders = {"vmcore", "vmcore.incomplete", "dmesg.txt",
                                                        "tag"};
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kFlat = {
    {{"vmcore-", ""}, {"vmcore-", ".incomplete"}, {"dmesg-", ".log"}, {"tag-", ""}}};

// A time alone, or with the number of a dump of the same second.
bool is_time(std::string_view text) {
  return is_dump_time(text) &&
         text.substr(text.find_last_of('-')).find_first_not_of("-.0123456789") ==
             std::string_view::npos;
}

// The time of a dump, from the name of its file in the flat layout; empty for another file.
std::string time_in(std::string_view name) {
  for (const auto& [begin, end] : kFlat) {
    if (name.starts_with(begin) && name.ends_with(end) &&
        name.size() >= begin.size() + end.size()) {
      const std::string_view time =
          name.substr(begin.size(), name.size() - begin.size() - end.size());
      if (is_time(time)) {
        return std::string(time);
      }
    }
  }
  return "";
}

}  // namespace

std::string dump_file(Layout layout, const std::string& folder, const std::string& time,
                      DumpFile file) {
  const auto number = static_cast<std::size_t>(file);
  if (layout == Layout::folders) {
    return folder + "/" + time + "/" + std::string(kInFolders[number]);
  }
  const auto& [begin, end] = kFlat[number];
  return folder + "/" + std::string(begin) + time + std::string(end);
}

std::vector<std::string> dump_times(Layout layout, const std::vector<std::string>& names) {
  std::vector<std::string> times;
  for (const std::string& name : names) {
    std::string time = layout == Layout::flat ? time_in(name) : is_dump_time(name) ? name : "";
    if (!time.empty()) {
      times.push_back(std::move(time));
    }
  }
  std::ranges::sort(times);
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

std::string reason_folder(Layout layout, const std::string& folder) {
  const std::size_t slash = folder.rfind('/');
  return layout == Layout::folders || slash == std::string::npos ? folder : folder.substr(0, slash);
}

}  // namespace vmcore::guest::save
