// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/process_notes.h"

#include <fcntl.h>

#include <algorithm>
#include <span>
#include <system_error>

#include "src/acquire/process/guest_process.h"
#include "src/base/number.h"
#include "src/base/runtime_folder.h"
#include "src/base/sys.h"
#include "src/staging/staged_file.h"

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMost = 64U << 10;

std::string name_of(const ProcessKey& process, std::string_view kind) {
  return fmt::format("{}-{}.{}", process.pid, process.start_time, kind);
}

std::optional<ProcessKey> process_of(std::string_view name) {
  const std::size_t dot = std::min(name.find('.'), name.size());
  const std::size_t dash = std::min(name.find('-'), dot);
  const auto pid = parse_number<pid_t>(name.substr(0, dash));
  const auto start = parse_number<std::uint64_t>(dash < dot ? name.substr(dash + 1, dot - dash - 1)
                                                            : std::string_view());
  return dot < name.size() && pid && start && *pid > 0 ? std::optional(ProcessKey{*pid, *start})
                                                       : std::nullopt;
}

}  // namespace

ProcessNotes ProcessNotes::of_user() { return ProcessNotes(runtime_folder()); }

std::string ProcessNotes::recall(const ProcessKey& process, std::string_view kind) const {
  if (!is_private(folder_)) {
    return {};
  }
  const Fd file(::open((folder_ / name_of(process, kind)).c_str(),
                       O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  const auto size = file ? sys::file_size(file.get()) : Result<std::uint64_t>(0);
  std::string text(size && *size <= kMost ? *size : 0, '\0');
  const auto got = sys::pread_full(file.get(), std::as_writable_bytes(std::span(text)), 0);
  return got && *got == text.size() ? text : std::string();
}

void ProcessNotes::forget_the_dead() const {
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto process = process_of(entry->path().filename().string());
    if (process && start_time(process->pid) != process->start_time) {
      std::error_code gone_already;
      fs::remove(entry->path(), gone_already);
    }
  }
}

void ProcessNotes::remember(const ProcessKey& process, std::string_view kind,
                            std::string_view text) const {
  if (!make_private(folder_) || recall(process, kind) == text) {
    return;
  }
  forget_the_dead();
  auto file = staging::StagedFile::create(folder_ / name_of(process, kind), true);
  if (file && sys::write_full(file->fd(), std::as_bytes(std::span(text)))) {
    static_cast<void>(file->commit());
  }
}

std::optional<ProcessKey> key_of(const Guest& guest) {
  const GuestProcess* const process = guest.process();
  return process != nullptr ? process->key() : std::nullopt;
}

}  // namespace vmcore::acquire
