// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/config/capture_config.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "guest/config/kernel_words.h"
#include "guest/config/trimmed.h"
#include "src/base/number.h"

namespace vmcore::guest::config {
namespace {

constexpr unsigned kMostSeconds = 7 * 24 * 3600;

constexpr std::array<std::pair<std::string_view, EndAction>, 4> kEndActions = {{
    {"reboot", EndAction::reboot},
    {"poweroff", EndAction::poweroff},
    {"halt", EndAction::halt},
    {"shell", EndAction::shell},
}};

constexpr std::array<std::pair<std::string_view, Layout>, 2> kLayouts = {{
    {"folders", Layout::folders},
    {"flat", Layout::flat},
}};

using SshKey = std::pair<std::string_view, std::string SshConfig::*>;
constexpr std::array<SshKey, 4> kSshKeys = {{{"ssh-client", &SshConfig::client},
                                             {"ssh-key", &SshConfig::key},
                                             {"ssh-known-hosts", &SshConfig::known_hosts},
                                             {"ssh-command", &SshConfig::command}}};

std::string_view end_action_name(EndAction action) {
  return std::ranges::find(kEndActions, action, &std::pair<std::string_view, EndAction>::second)
      ->first;
}

Result<unsigned> read_number(std::string_view text, unsigned most) {
  const auto value = parse_number<unsigned>(text);
  if (!value || *value > most) {
    return fail(Errc::invalid, "\"{}\" is not a number from 0 to {}", text, most);
  }
  return *value;
}

Result<> check_version(std::string_view text) {
  TRY_ASSIGN(const unsigned version, read_number(text, 1'000'000));
  if (version > kConfigVersion) {
    return fail(Errc::unsupported,
                "version {} of the configuration is of a newer vmcore-guest; this one understands "
                "versions up to {}",
                version, kConfigVersion);
  }
  return {};
}

Result<EndAction> read_end_action(std::string_view text) {
  const auto* const found =
      std::ranges::find(kEndActions, text, &std::pair<std::string_view, EndAction>::first);
  if (found == kEndActions.end()) {
    return fail(Errc::invalid, "unknown action \"{}\": use reboot, poweroff, halt or shell", text);
  }
  return found->second;
}

Result<Layout> read_layout(std::string_view text) {
  for (const auto& [name, layout] : kLayouts) {
    if (text == name) {
      return layout;
    }
  }
  return fail(Errc::invalid, "unknown layout \"{}\": use folders or flat", text);
}

Target read_target(std::string_view text) {
  const std::size_t colon = text.find(':');
  return {std::string(trimmed(text.substr(0, colon))),
          colon == std::string_view::npos ? "" : std::string(trimmed(text.substr(colon + 1)))};
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.emplace_back(trimmed(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return parts;
}

// Whether a key is encrypt-to, possibly misspelt.
bool names_key(std::string_view key) { return key.starts_with("encrypt"); }

// Removes the quotes of a word or a value as the kernel does (lib/cmdline.c, next_arg).
std::string_view without_quotes(std::string_view text) {
  if (!text.starts_with('"')) {
    return text;
  }
  text.remove_prefix(1);
  return text.substr(0, text.size() - (text.ends_with('"') ? 1 : 0));
}

// "KEY=VALUE".
Result<> set_by_word(CaptureConfig& config, std::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) {
    return fail(Errc::invalid, "the value is missing (vmcore.KEY=VALUE)");
  }
  const std::string_view key = word.substr(0, equals);
  const std::string_view value = without_quotes(word.substr(equals + 1));
  return set_key(config, key,
                 key == "target" ? split(value, ',') : std::vector{std::string(value)});
}

}  // namespace

Result<> set_key(CaptureConfig& config, std::string_view key,
                 const std::vector<std::string>& values) {
  if (key == "target") {
    std::vector<Target> targets;
    std::ranges::transform(values, std::back_inserter(targets), read_target);
    if (targets.empty() || std::ranges::find(targets, "", &Target::kind) != targets.end()) {
      return fail(Errc::invalid, "the kind of the target is missing (KIND or KIND:WHERE)");
    }
    config.targets = std::move(targets);
    return {};
  }
  if (values.size() != 1) {
    return fail(Errc::invalid, "{} takes one value, not {}", key, values.size());
  }
  const std::string& value = values.front();
  if (key == "version") {
    TRY(check_version(value));
  } else if (key == "level") {
    TRY_ASSIGN(config.level, read_number(value, 31));
  } else if (key == "keep") {
    TRY_ASSIGN(config.keep, read_number(value, 1'000'000));
  } else if (key == "layout") {
    TRY_ASSIGN(config.layout, read_layout(value));
  } else if (key == "deadline") {
    TRY_ASSIGN(const unsigned seconds, read_number(value, kMostSeconds));
    config.deadline = std::chrono::seconds(seconds);
  } else if (key == "on-success") {
    const std::string_view text = value;
    constexpr std::string_view kLater = "reboot:";
    const bool later = text.starts_with(kLater);
    TRY_ASSIGN(const unsigned seconds,
               read_number(later ? text.substr(kLater.size()) : "0", kMostSeconds));
    TRY_ASSIGN(config.on_success, read_end_action(later ? "reboot" : text));
    config.reboot_after = std::chrono::seconds(seconds);
  } else if (key == "on-failure") {
    TRY_ASSIGN(config.on_failure, read_end_action(value));
  } else if (key == "encrypt-to") {
    TRY_ASSIGN(config.encrypt_to, seal::parse_public_key(value));
    config.sealed_to_nobody = false;
  } else if (key == "network") {
    TRY_ASSIGN(config.network, parse_network(value));
  } else if (const auto text = std::ranges::find(kSshKeys, key, &SshKey::first);
             text != kSshKeys.end()) {
    config.ssh.*text->second = value;
  } else if (key == "tag") {
    config.tag = value;
  } else {
    return fail(Errc::not_found, "unknown key \"{}\"", key);
  }
  return {};
}

Result<CaptureConfig> parse_config(std::string_view text) {
  CaptureConfig config;
  std::map<std::string, std::vector<std::string>, std::less<>> keys;
  unsigned number = 0;
  for (const std::string& line : split(text, '\n')) {
    ++number;
    if (line.empty() || line.front() == '#') {
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) {
      return fail(Errc::invalid, "line {}: \"{}\" is not KEY = VALUE", number, line);
    }
    const std::string key(trimmed(std::string_view(line).substr(0, equals)));
    std::vector<std::string>& values = keys[key];
    values.emplace_back(trimmed(std::string_view(line).substr(equals + 1)));
    if (Result<> set = set_key(config, key, values); !set) {
      return in_context(std::move(set).error(), fmt::format("line {}", number));
    }
  }
  if (!config.encrypt_to && has_target(config, "tcp")) {
    return fail(Errc::invalid,
                "target tcp sends only sealed dumps: set encrypt-to to the key that `vmcorectl key "
                "FILE` prints");
  }
  return config;
}

CaptureConfig parse_config_anyhow(std::string_view text, std::vector<Remark>& remarks) {
  auto parsed = parse_config(text);
  if (parsed) {
    return *std::move(parsed);
  }
  remarks.push_back({parsed.error().code, parsed.error().message});
  CaptureConfig config;
  config.sealed_to_nobody = std::ranges::any_of(split(text, '\n'), names_key);
  return config;
}

std::vector<Remark> apply_command_line(CaptureConfig& config, std::string_view command_line) {
  constexpr std::string_view kPrefix = "vmcore.";
  std::vector<Remark> remarks;
  for (const std::string& quoted : kernel_words(command_line)) {
    std::string_view word = without_quotes(quoted);
    if (!word.starts_with(kPrefix)) {
      continue;
    }
    word.remove_prefix(kPrefix.size());
    if (const Result<> set = set_by_word(config, word); !set) {
      config.sealed_to_nobody = config.sealed_to_nobody || names_key(word);
      remarks.push_back({set.error().code, fmt::format("{}: {}", quoted, set.error().message)});
    }
  }
  return remarks;
}

std::string format_target(const Target& target) {
  return target.kind + (target.where.empty() ? "" : ":") + target.where;
}

bool has_target(const CaptureConfig& config, std::string_view kind) {
  return std::ranges::find(config.targets, kind, &Target::kind) != config.targets.end();
}

std::string format_config(const CaptureConfig& config) {
  std::string text = fmt::format("version = {}\n", kConfigVersion);
  for (const Target& target : config.targets) {
    text += fmt::format("target = {}\n", format_target(target));
  }
  const std::string success = config.reboot_after.count() == 0
                                  ? std::string(end_action_name(config.on_success))
                                  : fmt::format("reboot:{}", config.reboot_after.count());
  text += fmt::format("level = {}\nkeep = {}\ndeadline = {}\non-success = {}\non-failure = {}\n",
                      config.level, config.keep, config.deadline.count(), success,
                      end_action_name(config.on_failure));
  if (config.layout != Layout::folders) {
    text += "layout = flat\n";
  }
  if (config.encrypt_to) {
    text += fmt::format("encrypt-to = {}\n", seal::format_public_key(*config.encrypt_to));
  }
  if (config.network) {
    text += fmt::format("network = {}\n", format_network(*config.network));
  }
  for (const auto& [key, field] : kSshKeys) {
    if (config.ssh.*field != SshConfig().*field) {
      text += fmt::format("{} = {}\n", key, config.ssh.*field);
    }
  }
  if (!config.tag.empty()) {
    text += fmt::format("tag = {}\n", config.tag);
  }
  return text;
}

}  // namespace vmcore::guest::config
