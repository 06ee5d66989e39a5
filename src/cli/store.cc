// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/store.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "src/base/number.h"

namespace vmcore::cli {

void add_store_option(CLI::App& command, std::string& store) {
  store = vault::kUsualStore;
  command.add_option("--store", store, "The folder of the stored crashes")->capture_default_str();
}

std::uint64_t now_in_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(now).count()));
}

std::optional<std::uint64_t> parse_duration(const std::string& text) {
  constexpr std::pair<char, std::uint64_t> kUnits[] = {
      {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}};
  constexpr std::uint64_t kMost = 1'000'000;
  std::string_view rest = text;
  const auto count = take_number<std::uint64_t>(rest);
  for (const auto& [unit, seconds] : kUnits) {
    if (count && *count <= kMost && rest == std::string_view(&unit, 1)) {
      return *count * seconds;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_time(const std::string& text, std::uint64_t now) {
  if (const auto ago = parse_duration(text)) {
    return now - std::min(now, *ago);
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

Result<vault::OpenCrash> open_crash(const std::string& store, const std::string& word) {
  TRY_ASSIGN(const vault::Vault vault, vault::Vault::open(store));
  TRY_ASSIGN(const std::string id, vault.find(word));
  return vault.open_crash(id);
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
  const report::Signature& signature = manifest.signature;
  if (!signature.title.empty() && !signature.weak) {
    return signature.title;
  }
  const std::string kernel =
      manifest.dump && !manifest.dump->release.empty() ? "Linux " + manifest.dump->release : "";
  const bool both = !signature.title.empty() && !kernel.empty();
  return signature.title + (both ? ", " : "") + kernel;
}

}  // namespace vmcore::cli
