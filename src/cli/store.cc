// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/store.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "src/base/units.h"
#include "src/base/wall_clock.h"

namespace vmcore::cli {

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
  return choice.folder.empty() ? folder_of(choice, config_of(choice)) : choice.folder;
}

Result<std::string> folder_of(const StoreChoice& choice, const Result<config::Config>& config) {
  if (!choice.folder.empty()) {
    return choice.folder;
  }
  TRY(config);
  return config->store.native();
}

Result<config::Config> config_for(const StoreChoice& choice) {
  TRY_ASSIGN(config::Config config, config_of(choice));
  return config_for(choice, std::move(config));
}

config::Config config_for(const StoreChoice& choice, config::Config config) {
  std::error_code ignored;
  const bool configured = choice.folder.empty() || !choice.config.empty() ||
                          std::filesystem::equivalent(choice.folder, config.store, ignored);
  return configured ? std::move(config) : config::Config{};
}

Result<vault::Vault> open_store(const StoreChoice& choice) {
  TRY_ASSIGN(const std::string folder, folder_of(choice));
  return vault::Vault::open(folder);
}

std::uint64_t now_in_seconds() {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(wall_clock());
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, now.count()));
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

Result<vault::OpenCrash> open_crash(const StoreChoice& store, const std::string& word) {
  TRY_ASSIGN(const vault::Vault vault, open_store(store));
  TRY_ASSIGN(const std::string id, vault.find(word));
  return vault.open_crash(id);
}

Result<report::ListedCrash> find_listed(const vault::Vault& vault, const std::string& word) {
  TRY_ASSIGN(const std::string id, vault.find(word));
  return vault.listed(id);
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
  const report::CrashSignature& signature = manifest.signature;
  if (!signature.title.empty() && !signature.weak) {
    return signature.title;
  }
  const std::string kernel =
      manifest.dump && !manifest.dump->release.empty() ? "Linux " + manifest.dump->release : "";
  const bool both = !signature.title.empty() && !kernel.empty();
  return signature.title + (both ? ", " : "") + kernel;
}

}  // namespace vmcore::cli
