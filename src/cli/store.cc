// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/store.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <thread>
#include <utility>

#include "src/base/fd.h"
#include "src/base/units.h"
#include "src/job/read_job.h"
#include "src/staging/staged_folder.h"
#include "src/vault/entry.h"

namespace vmcore::cli {
namespace {

constexpr std::array kDumpNames{"vmcore", "vmcore.incomplete"};

unsigned threads() { return std::max(1U, std::thread::hardware_concurrency()); }

// The file of the dump in the folder; empty where it has none.
std::string dump_in(const std::string& folder) {
  for (const char* const name : kDumpNames) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(folder + "/" + name, ignored)) {
      return name;
    }
  }
  return {};
}

// A dump without a readable log is a dump all the same.
Result<> write_log(report::Manifest& manifest, const std::string& folder, const std::string& dump) {
  std::error_code ignored;
  if (std::filesystem::exists(folder + "/" + kLogName, ignored)) {
    return {};
  }
  const auto log = job::read_file(folder + "/" + dump, sandbox::Operation::dmesg, threads());
  if (!log) {
    manifest.remarks.push_back(
        {log.error().code, fmt::format("the kernel log: {}", log.error().message)});
    return {};
  }
  TRY_ASSIGN(const Fd open, staging::open_folder_at(AT_FDCWD, folder, "."));
  return staging::write_file_at(open.get(), kLogName, log->text, 0600);
}

}  // namespace

void add_store_option(CLI::App& command, StoreChoice& choice) {
  command.add_option("--store", choice.folder,
                     "The folder of the stored crashes; default: the configured one");
  command.add_option("--config", choice.config,
                     "The configuration; default: /etc/vmcorectl/vmcored.conf");
}

Result<config::Config> config_of(const StoreChoice& choice) {
  auto config = config::load(choice.config.empty() ? config::kUsualFile : choice.config);
  const bool usual = choice.config.empty() && !config && config.error().code == Errc::not_found;
  return usual ? config::Config{} : std::move(config);
}

Result<std::string> folder_of(const StoreChoice& choice) {
  if (!choice.folder.empty()) {
    return choice.folder;
  }
  TRY_ASSIGN(const config::Config config, config_of(choice));
  return config.store.native();
}

Result<vault::Budget> budget_of(const StoreChoice& choice) {
  TRY_ASSIGN(const config::Config config, config_of(choice));
  std::error_code ignored;
  const bool configured = choice.folder.empty() || !choice.config.empty() ||
                          std::filesystem::equivalent(choice.folder, config.store, ignored);
  return configured ? config.budget : vault::kUsualBudget;
}

Result<vault::Vault> open_store(const StoreChoice& choice) {
  TRY_ASSIGN(const std::string folder, folder_of(choice));
  return vault::Vault::open(folder);
}

std::uint64_t now_in_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(now).count()));
}

std::optional<std::uint64_t> parse_time(const std::string& text, std::uint64_t now) {
  if (const auto ago = parse_duration(text)) {
    return now - std::min(now, static_cast<std::uint64_t>(ago->count()));
  }
  for (const char* const form : {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"}) {
    std::tm parts{};
    const char* const end = ::strptime(text.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') {
      return static_cast<std::uint64_t>(std::max<std::time_t>(0, ::timegm(&parts)));
    }
  }
  return std::nullopt;
}

Result<> describe_crash(report::Manifest& manifest, const std::string& folder) {
  std::error_code ignored;
  std::filesystem::rename(folder + "/" + kReceivedLogName, folder + "/" + kLogName, ignored);
  const std::string dump = dump_in(folder);
  if (dump.empty()) {
    if (manifest.reason.empty() && !ignored) {
      manifest.reason = "panic";  // a guest sends the log of nothing else
    }
    return {};
  }
  TRY_ASSIGN(const job::TextResult text,
             job::read_file(folder + "/" + dump, sandbox::Operation::info, threads()));
  TRY_ASSIGN(const report::InfoReport info, report::info_from_json(text.text));
  report::describe(manifest, info, dump);
  return write_log(manifest, folder, dump);
}

Result<vault::OpenCrash> open_crash(const StoreChoice& store, const std::string& word) {
  TRY_ASSIGN(const vault::Vault vault, open_store(store));
  TRY_ASSIGN(const std::string id, vault.find(word));
  return vault.open_crash(id);
}

Result<report::ListedCrash> find_listed(const vault::Vault& vault, const std::string& word) {
  TRY_ASSIGN(const std::string id, vault.find(word));
  TRY_ASSIGN(const std::vector<report::ListedCrash> crashes, vault.list());
  const auto found = std::ranges::find(crashes, id, &report::ListedCrash::id);
  return found == crashes.end() ? report::ListedCrash{.id = id} : *found;
}

std::string flags_of(const report::ListedCrash& crash) {
  std::string flags;
  const auto add = [&](bool is_so, std::string_view word) {
    if (is_so) {
      flags += fmt::format("{}{}", flags.empty() ? "" : ", ", word);
    }
  };
  add(!crash.damage.empty(), "damaged");
  add(crash.state.held, "held");
  if (const auto& manifest = crash.manifest) {
    add(!manifest->dump, "no memory");
    add(manifest->dump && !manifest->complete, "incomplete");
    add(manifest->dump && !manifest->verified, "not verified");
  }
  return flags;
}

std::string title_of(const report::ListedCrash& crash) {
  if (!crash.damage.empty() || !crash.manifest) {
    return crash.damage;
  }
  const report::Manifest& manifest = *crash.manifest;
  if (!manifest.signature.title.empty()) {
    return manifest.signature.title;
  }
  return manifest.dump && !manifest.dump->release.empty() ? "Linux " + manifest.dump->release : "";
}

}  // namespace vmcore::cli
