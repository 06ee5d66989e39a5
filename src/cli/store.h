// SPDX-License-Identifier: GPL-2.0-or-later
// What the verbs of the store share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/cli/verb.h"
#include "src/config/config.h"
#include "src/report/manifest.h"
#include "src/vault/vault.h"

namespace vmcore::cli {

// Which store the user means.
struct StoreChoice {
  std::string folder = {};  // --store; empty: the configured one
  std::string config = {};  // --config; empty: the usual file
};

// Adds --store DIR and --config FILE.
void add_store_option(CLI::App& command, StoreChoice& choice);

// The configuration. Its defaults where there is no usual file; else an Error where it is wrong.
Result<config::Config> config_of(const StoreChoice& choice);
// The folder of the store. Reads no configuration where --store names it.
Result<std::string> folder_of(const StoreChoice& choice);
// The same, of the configuration that config_of() has read.
Result<std::string> folder_of(const StoreChoice& choice, const Result<config::Config>& config);
// The configuration if --config was given, or if this is the configured store; else the defaults.
Result<config::Config> config_for(const StoreChoice& choice);
config::Config config_for(const StoreChoice& choice, config::Config config);
Result<vault::Vault> open_store(const StoreChoice& choice);

std::uint64_t now_in_seconds();
// "2026-11-29", "2026-11-29 21:45[:00]" in UTC, or how long ago: "90s", "15m", "2h", "7d". Seconds
// since the epoch; nothing where the text is no time.
std::optional<std::uint64_t> parse_time(const std::string& text, std::uint64_t now);

// The crash that the word means, in that store, open.
Result<vault::OpenCrash> open_crash(const StoreChoice& store, const std::string& word);
// The crash that the word means, as list() has it.
Result<report::ListedCrash> find_listed(const vault::Vault& vault, const std::string& word);

// "held, incomplete", as a list has it; empty for a crash of which all is well.
std::string flags_of(const report::ListedCrash& crash);
// One line for people: what crashes like this one are called.
std::string title_of(const report::ListedCrash& crash);

}  // namespace vmcore::cli
