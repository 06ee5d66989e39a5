// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/manifest.h"

#include <algorithm>
#include <cctype>

#include "src/report/capture_json.h"
#include "src/report/json.h"
#include "src/report/self_check_json.h"
#include "src/report/signature_json.h"

namespace vmcore::report {
namespace {

constexpr unsigned kMaxLevel = 31;
constexpr std::size_t kMaxFiles = 64;
constexpr std::size_t kSha256Digits = 64;
constexpr double kMostMilliseconds = 1e12;

// Nothing for a time that no reader believes: a clock that was set in between, or a QEMU whose
// clock is wrong.
Json milliseconds(const std::optional<std::uint64_t>& time_us) {
  const double time = static_cast<double>(time_us.value_or(0)) / 1000;
  return time_us && time <= kMostMilliseconds ? Json(time) : Json();
}

std::optional<std::uint64_t> microseconds_from(const Members& json, const char* key) {
  if (!json.has(key)) {
    return std::nullopt;
  }
  const double value = json.fraction(key);
  if (value < 0 || value > kMostMilliseconds) {
    throw Misfit(fmt::format("\"{}\" is not a time", key));
  }
  return static_cast<std::uint64_t>(value * 1000 + 0.5);
}

// A name that leads out of the folder would be opened by whoever reads the manifest.
std::string file_name_from(const Members& json, const char* key) {
  std::string name = json.text(key, kMaxName);
  if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    throw Misfit(fmt::format("\"{}\" is not the name of a file", key));
  }
  return name;
}

std::string sha256_from(const Members& json) {
  std::string digits = json.text("sha256", kMaxName);
  const bool is_hex = std::ranges::all_of(digits, [](unsigned char digit) {
    return std::isxdigit(digit) != 0 && std::isupper(digit) == 0;
  });
  if (!is_hex || digits.size() != kSha256Digits) {
    throw Misfit("\"sha256\" is not a SHA-256 in hexadecimal");
  }
  return digits;
}

Json dump_json(const std::optional<StoredDump>& dump) {
  if (!dump) {
    return {};
  }
  Json by_class = Json::object();
  for (const auto& [name, pages] : dump->pages_by_class) {
    by_class[name] = pages;
  }
  return {{"file", cut(dump->file, kMaxName)},
          {"format", cut(dump->format, kMaxText)},
          {"release", cut(dump->release, kMaxName)},
          {"build_id", text_or_null(dump->build_id, kMaxName)},
          {"level", {{"asked", dump->level_asked}, {"reached", dump->level_reached}}},
          {"pages",
           {{"ram", dump->ram_pages},
            {"in_file", dump->pages_in_file},
            {"excluded", dump->pages_excluded},
            {"by_class", std::move(by_class)}}},
          {"incomplete", dump->incomplete}};
}

StoredDump dump_from(const Members& json) {
  const Members level = json.object("level");
  const Members pages = json.object("pages");
  StoredDump dump{.file = file_name_from(json, "file"),
                  .format = json.text("format"),
                  .release = json.text("release", kMaxName),
                  .build_id = json.text_or_empty("build_id", kMaxName),
                  .level_asked = static_cast<unsigned>(level.number("asked", kMaxLevel)),
                  .level_reached = static_cast<unsigned>(level.number("reached", kMaxLevel)),
                  .ram_pages = pages.number("ram", kMaxPages),
                  .pages_in_file = pages.number("in_file", kMaxPages),
                  .pages_excluded = pages.number("excluded", kMaxPages),
                  .incomplete = json.flag("incomplete")};
  const Json& table = pages.table("by_class", kMaxClasses);
  const Members by_class(table);
  for (const auto& [name, value] : table.items()) {
    dump.pages_by_class.emplace_back(name, by_class.number(name.c_str(), kMaxPages));
  }
  return dump;
}

Json files_json(const std::vector<StoredFile>& files) {
  Json list = Json::array();
  for (const StoredFile& file : files) {
    list.push_back(
        {{"name", cut(file.name, kMaxName)}, {"size", file.size}, {"sha256", file.sha256}});
  }
  return list;
}

std::vector<StoredFile> files_from(const Json& list) {
  std::vector<StoredFile> files;
  for (const Json& entry : list) {
    const Members file(entry);
    files.push_back({file_name_from(file, "name"), file.number("size"), sha256_from(file)});
  }
  return files;
}

Json manifest_json(const Manifest& manifest) {
  Json json{{"schema", Manifest::kSchema},
            {"id", cut(manifest.id, kMaxName)},
            {"number", manifest.number},
            {"time", manifest.time},
            {"reason", cut(manifest.reason, kMaxName)},
            {"witness", text_or_null(manifest.witness, kMaxName)},
            {"signature", signature_json(manifest.signature)},
            {"complete", manifest.complete},
            {"verified", manifest.verified},
            {"memory_read", manifest.memory_read},
            {"from", text_or_null(manifest.from, kMaxPath)},
            {"tool", cut(manifest.tool, kMaxName)}};
  Json capture = capture_json(manifest.capture);
  add_cost(capture, manifest.capture.cost);
  json["capture"] = std::move(capture);
  json["dump"] = dump_json(manifest.dump);
  json["memory_left_out"] = text_or_null(manifest.memory_left_out, kMaxText);
  json["files"] = files_json(manifest.files);
  json["to_flash_ms"] = milliseconds(manifest.to_flash_us);
  json["to_dump_ms"] = milliseconds(manifest.to_dump_us);
  if (manifest.self_check) {
    json["self_check"] = self_check_json(*manifest.self_check);
  }
  json["remarks"] = remarks_json(manifest.remarks);
  return json;
}

Manifest read_manifest(const Json& document) {
  const Members json(document);
  expect_schema(json, Manifest::kSchema);
  // Not in the initializer: gcc bug 66139, as in dump_file_json.cc.
  Manifest manifest{.id = json.text("id", kMaxName),
                    .number = json.number("number"),
                    .time = json.number("time", INT64_MAX),
                    .reason = json.text("reason", kMaxName),
                    .witness = json.text_or_empty("witness", kMaxName)};
  manifest.signature = signature_of(json);
  manifest.complete = json.flag("complete");
  manifest.verified = json.flag("verified");
  manifest.memory_read = json.has("memory_read") && json.flag("memory_read");
  manifest.from = json.text_or_empty("from", kMaxPath);
  manifest.tool = json.text("tool", kMaxName);
  const Members capture = json.object("capture");
  manifest.capture = capture_from(capture);
  manifest.capture.cost = cost_from(capture);
  if (json.has("dump")) {
    manifest.dump = dump_from(json.object("dump"));
  }
  manifest.memory_left_out = json.text_or_empty("memory_left_out");
  manifest.files = files_from(json.list("files", kMaxFiles));
  manifest.to_flash_us = microseconds_from(json, "to_flash_ms");
  manifest.to_dump_us = microseconds_from(json, "to_dump_ms");
  if (json.has("self_check")) {
    manifest.self_check = self_check_from(json.object("self_check"));
  }
  manifest.remarks = remarks_from(json.list("remarks", kMaxRemarks + 1));
  return manifest;
}

Json policy_json(const std::optional<PolicyOutcome>& policy) {
  if (!policy) {
    return {};
  }
  return {{"action", cut(policy->action, kMaxName)},
          {"done", policy->done},
          {"error", text_or_null(policy->error, kMaxText)},
          {"why", text_or_null(policy->why, kMaxText)},
          {"to_running_ms", milliseconds(policy->to_running_us)}};
}

CrashState read_state(const Json& document) {
  const Members json(document);
  expect_schema(json, CrashState::kSchema);
  CrashState state{.held = json.flag("held")};
  if (json.has("policy")) {
    const Members policy = json.object("policy");
    state.policy = PolicyOutcome{.action = policy.text("action", kMaxName),
                                 .done = policy.flag("done"),
                                 .error = policy.text_or_empty("error"),
                                 .why = policy.text_or_empty("why"),
                                 .to_running_us = microseconds_from(policy, "to_running_ms")};
  }
  return state;
}

Json listed_json(const ListedCrash& crash) {
  return {{"id", cut(crash.id, kMaxName)},
          {"bytes", crash.bytes},
          {"held", crash.state.held},
          {"policy", policy_json(crash.state.policy)},
          {"damage", text_or_null(crash.damage, kMaxText)},
          {"manifest", crash.manifest ? manifest_json(*crash.manifest) : Json()}};
}

std::string known_or(const std::string& said, const std::string& before) {
  return said.empty() ? before : said;
}

void describe_capture(Manifest& manifest, const Capture& said) {
  const GuestIdentity before = manifest.capture.guest;
  manifest.capture = said;
  GuestIdentity& guest = manifest.capture.guest;
  guest.name = known_or(said.guest.name, before.name);
  guest.uuid = known_or(said.guest.uuid, before.uuid);
  guest.host = known_or(said.guest.host, before.host);
  guest.qemu = known_or(said.guest.qemu, before.qemu);
}

}  // namespace

void describe(Manifest& manifest, const InfoReport& info, const std::string& file) {
  manifest.dump = StoredDump{.file = file,
                             .format = info.format,
                             .level_asked = info.level_asked,
                             .level_reached = info.level_reached,
                             .ram_pages = info.ram_pages,
                             .pages_in_file = info.pages_in_file,
                             .pages_excluded = info.pages_excluded,
                             .pages_by_class = info.pages_by_class,
                             .incomplete = info.incomplete};
  if (info.capture) {
    describe_capture(manifest, *info.capture);
  }
  if (info.kernel) {
    manifest.dump->release = info.kernel->release;
    manifest.dump->build_id = info.kernel->build_id;
  }
  const bool panicked = info.kernel && info.kernel->panicked;
  if (manifest.reason.empty()) {
    manifest.reason = panicked || !manifest.capture.crash.empty() ? "panic" : "request";
  }
  if (manifest.witness.empty()) {
    manifest.witness = known_or(manifest.capture.crash, panicked ? "memory" : "");
  }
  manifest.complete = !info.incomplete;
  manifest.remarks.insert(manifest.remarks.end(), info.remarks.begin(), info.remarks.end());
}

void describe(Manifest& manifest, const TriageReport& report) {
  const auto& panic = report.panic.value;
  if (panic && panic->signature && manifest.signature.exact.empty()) {
    manifest.signature = *panic->signature;
  }
  if (panic && manifest.reason.empty()) {
    manifest.reason = "panic";
    manifest.witness = known_or(manifest.witness, "memory");
  }
}

std::string to_json(const Manifest& manifest) { return document_text(manifest_json(manifest)); }

Result<Manifest> manifest_from_json(std::string_view text) {
  return read<Manifest>(text, read_manifest);
}

std::string to_json(const CrashState& state) {
  return document_text({{"schema", CrashState::kSchema},
                        {"held", state.held},
                        {"policy", policy_json(state.policy)}});
}

Result<CrashState> state_from_json(std::string_view text) {
  return read<CrashState>(text, read_state);
}

std::string to_json(const CrashList& list) {
  Json crashes = Json::array();
  for (const ListedCrash& crash : list.crashes) {
    crashes.push_back(listed_json(crash));
  }
  return document_text({{"schema", CrashList::kSchema},
                        {"store", cut(list.store, kMaxPath)},
                        {"crashes", std::move(crashes)}});
}

std::string to_json(const ListedCrash& crash, const std::optional<InfoReport>& info) {
  return document_text({{"schema", kCrashSchema},
                        {"crash", listed_json(crash)},
                        {"dump", info ? Json::parse(to_json(*info)) : Json()}});
}

}  // namespace vmcore::report
