// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/guest_record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <span>
#include <system_error>

#include "src/base/ownership.h"
#include "src/base/sys.h"
#include "src/base/whole_file.h"
#include "src/report/json.h"
#include "src/staging/staged_file.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using report::Json;
using report::Members;
using report::Misfit;

constexpr std::size_t kMostActions = 16;
constexpr std::string_view kSuffix = ".json";

Json process_json(const std::optional<acquire::ProcessKey>& process) {
  return process ? Json{{"pid", process->pid}, {"start_time", process->start_time}} : Json();
}

std::optional<acquire::ProcessKey> process_from(const Members& json) {
  if (!json.has("process")) {
    return std::nullopt;
  }
  const Members process = json.object("process");
  return acquire::ProcessKey{static_cast<pid_t>(process.number("pid", INT32_MAX)),
                             process.number("start_time")};
}

Json crash_json(const std::optional<RecordedCrash>& crash) {
  if (!crash) {
    return {};
  }
  return {{"process", process_json(crash->process)},
          {"time_us", crash->time_us},
          {"settled", crash->settled},
          {"id", report::text_or_null(crash->id, report::kMaxName)},
          {"policy_due", report::text_or_null(crash->policy_due, report::kMaxName)}};
}

std::optional<RecordedCrash> crash_from(const Members& json) {
  if (!json.has("crash")) {
    return std::nullopt;
  }
  const Members crash = json.object("crash");
  RecordedCrash recorded{.process = process_from(crash)};
  recorded.time_us = crash.number("time_us");
  recorded.settled = crash.flag("settled");
  recorded.id = crash.text_or_empty("id", report::kMaxName);
  recorded.policy_due = crash.text_or_empty("policy_due", report::kMaxName);
  return recorded;
}

std::vector<std::string> actions_from(const Members& json) {
  std::vector<std::string> actions;
  for (const Json& action : json.list("actions_before", kMostActions)) {
    if (!action.is_string()) {
      throw Misfit("an action is no text");
    }
    actions.push_back(action.get<std::string>());
  }
  return actions;
}

GuestRecord record_from(const Json& document) {
  const Members json(document);
  report::expect_schema(json, GuestRecord::kSchema);
  GuestRecord record{.name = json.text_or_empty("name", report::kMaxName)};
  record.uuid = json.text_or_empty("uuid", report::kMaxName);
  record.from = json.text("from", report::kMaxPath);
  record.armed = json.flag("armed");
  record.trap_resets = json.flag("trap_resets");
  record.on_crash_before = json.text_or_empty("on_crash_before", report::kMaxName);
  record.actions_before = actions_from(json);
  record.crash = crash_from(json);
  return record;
}

// FNV-1a, 64 bits: names that differ only in what a file's name cannot have stay apart.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char letter : text) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
  }
  return hash;
}

std::string file_name(const GuestRecord& record) {
  constexpr std::size_t kMostLetters = 80;
  std::string shown = record.name.substr(0, kMostLetters);
  std::ranges::replace_if(
      shown, [](unsigned char letter) { return std::isalnum(letter) == 0 && letter != '-'; }, '_');
  return fmt::format("{}-{:016x}{}", shown, hash_of(record.from + "\n" + record.uuid), kSuffix);
}

}  // namespace

bool says_nothing(const GuestRecord& record) {
  return GuestRecord{.name = record.name, .uuid = record.uuid, .from = record.from} == record;
}

std::string to_json(const GuestRecord& record) {
  const Json json{
      {"schema", GuestRecord::kSchema},
      {"name", report::text_or_null(record.name, report::kMaxName)},
      {"uuid", report::text_or_null(record.uuid, report::kMaxName)},
      {"from", record.from},
      {"armed", record.armed},
      {"trap_resets", record.trap_resets},
      {"on_crash_before", report::text_or_null(record.on_crash_before, report::kMaxName)},
      {"actions_before", record.actions_before},
      {"crash", crash_json(record.crash)}};
  return report::document_text(json);
}

Result<GuestRecord> record_from_json(std::string_view text) {
  return report::read<GuestRecord>(text, record_from);
}

Result<GuestRecords> GuestRecords::open(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(errno, folder.string());
  }
  struct stat status {};
  if (::stat(folder.c_str(), &status) != 0) {
    return fail_errno(errno, folder.string());
  }
  // A record says what is done with a guest, and to which socket it is said.
  TRY(check_ours(status, folder));
  return GuestRecords(folder);
}

Result<Fd> GuestRecords::lock() const {
  Fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    return fail_errno(errno, folder_.string());
  }
  if (::flock(folder.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK
               ? fail(Errc::busy, "another vmcored uses {}: end it, or give --state another folder",
                      folder_.string())
               : fail_errno(errno, folder_.string());
  }
  return folder;
}

std::vector<GuestRecord> GuestRecords::load(std::vector<Error>& damaged) const {
  std::vector<GuestRecord> records;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    const std::string path = entry.path().string();
    if (entry.path().extension() != kSuffix) {
      continue;
    }
    const auto text = read_file(path);
    auto record = text ? record_from_json(*text) : tl::unexpected(text.error());
    if (record) {
      records.push_back(*std::move(record));
    } else {
      damaged.push_back({record.error().code, fmt::format("{}: {}", path, record.error().message)});
    }
  }
  return records;
}

Result<> GuestRecords::save(const GuestRecord& record) const {
  const fs::path path = folder_ / file_name(record);
  if (says_nothing(record)) {
    std::error_code error;
    fs::remove(path, error);
    return error ? fail_errno(error.value(), path.string()) : Result<>();
  }
  const std::string text = to_json(record);
  TRY_ASSIGN(staging::StagedFile file, staging::StagedFile::create(path, true));
  TRY(sys::write_full(file.fd(), std::as_bytes(std::span(text))));
  TRY(file.commit());
  return {};
}

}  // namespace vmcore::daemon
