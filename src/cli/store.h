// SPDX-License-Identifier: GPL-2.0-or-later
// What the verbs of the store share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "src/cli/verb.h"
#include "src/report/manifest.h"
#include "src/vault/vault.h"

namespace vmcore::cli {

// Adds --store DIR.
void add_store_option(CLI::App& command, std::string& store);

std::uint64_t now_in_seconds();
// "2026-11-29", "2026-11-29 21:45[:00]" in UTC, or how long ago: "90s", "15m", "2h", "7d". Seconds
// since the epoch; nothing where the text is no time.
std::optional<std::uint64_t> parse_time(const std::string& text, std::uint64_t now);
// "90s", "15m", "2h", "7d", in seconds.
std::optional<std::uint64_t> parse_duration(const std::string& text);

// The crash that the word means, in that store, open.
Result<vault::OpenCrash> open_crash(const std::string& store, const std::string& word);

// "held, incomplete", as a list has it; empty for a crash of which all is well.
std::string flags_of(const report::ListedCrash& crash);
// One line for people: what crashes like this one are called.
std::string title_of(const report::ListedCrash& crash);

}  // namespace vmcore::cli
