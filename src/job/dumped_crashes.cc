// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/dumped_crashes.h"

#include <string_view>

#include "src/job/read_job.h"
#include "src/seal/sha256.h"

namespace vmcore::job {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kKind = "dump";

}  // namespace

Result<CrashMark> mark_of_crash(const acquire::Selection& guest) {
  TRY_ASSIGN(const TextResult log, read_guest(guest, sandbox::Operation::dmesg, 1));
  if (!log.process || log.text.empty()) {
    return fail(Errc::not_found, "{} has no kernel log", log.name);
  }
  return CrashMark{*log.process, seal::sha256(log.text)};
}

// The note is "DIGEST PATH".
std::optional<fs::path> DumpedCrashes::dump_of(const CrashMark& crash) const {
  const std::string note = notes_.recall(crash.process, kKind);
  const std::string begin = crash.log + " ";
  if (!note.starts_with(begin)) {
    return std::nullopt;
  }
  const fs::path dump = note.substr(begin.size());
  std::error_code ignored;
  return fs::is_regular_file(dump, ignored) ? std::optional(dump) : std::nullopt;
}

void DumpedCrashes::remember(const CrashMark& crash, const fs::path& dump) const {
  std::error_code error;
  const fs::path path = fs::absolute(dump, error);
  if (!error) {
    notes_.remember(crash.process, kKind, crash.log + " " + path.string());
  }
}

}  // namespace vmcore::job
