// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/process_notes.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "src/acquire/process/guest_process.h"
#include "src/base/number.h"
#include "src/base/sys.h"
#include "src/job/runtime_folder.h"
#include "src/staging/staged_file.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;
using acquire::ProcessKey;

std::string name_of(const ProcessKey& process) {
  return fmt::format("{}-{}", process.pid, process.start_time);
}

std::optional<ProcessKey> process_of(std::string_view name) {
  const std::size_t dash = std::min(name.find('-'), name.size() - 1);
  const auto pid = parse_number<pid_t>(name.substr(0, dash));
  const auto start = parse_number<std::uint64_t>(name.substr(dash + 1));
  return pid && start && *pid > 0 ? std::optional(ProcessKey{*pid, *start}) : std::nullopt;
}

}  // namespace

std::optional<std::string> ProcessNotes::recall(const ProcessKey& process) const {
  if (!is_private(folder_)) {
    return std::nullopt;
  }
  const Fd file(::open((folder_ / name_of(process)).c_str(),
                       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  std::array<char, 4096> text{};
  if (!file || !sys::file_size(file.get())) {
    return std::nullopt;
  }
  const auto got = sys::pread_full(file.get(), std::as_writable_bytes(std::span(text)), 0);
  return got ? std::optional(std::string(text.data(), *got)) : std::nullopt;
}

void ProcessNotes::forget_the_dead() const {
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto process = process_of(entry->path().filename().string());
    if (process && acquire::start_time(process->pid) != process->start_time) {
      std::error_code gone_already;
      fs::remove(entry->path(), gone_already);
    }
  }
}

void ProcessNotes::remember(const ProcessKey& process, const std::string& text) const {
  if (!make_private(folder_) || recall(process) == text) {
    return;
  }
  forget_the_dead();
  auto file = staging::StagedFile::create(folder_ / name_of(process), true);
  if (file && sys::write_full(file->fd(), std::as_bytes(std::span(text)))) {
    static_cast<void>(file->commit());
  }
}

std::optional<ProcessKey> key_of(const acquire::Guest& guest) {
  const acquire::GuestProcess* const process = guest.process();
  return process != nullptr ? process->key() : std::nullopt;
}

}  // namespace vmcore::job
