// SPDX-License-Identifier: GPL-2.0-or-later
// Values: the kinds of values that a configuration has. Each kind reads a value, shows it as the
// file has it, and says what to write.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/result.h"

namespace vmcore::config {

// A value as somebody wrote it.
struct Written {
  // `any`: text that stands for each of the others, such as an attribute in XML; list: of texts.
  enum class Type : std::uint8_t { text, whole, flag, list, any };
  Type type = Type::any;
  std::vector<std::string> words = {};  // one, but for a list

  const std::string& word() const { return words.front(); }
  // Whether it is one value of that type.
  bool is(Type wanted) const { return words.size() == 1 && (type == wanted || type == Type::any); }
};

// "a \"quoted\" text", as TOML has it.
std::string toml_text(std::string_view text);

// read() returns false and does not change `value` if the text is no such value.
struct Flag {
  std::string what() const { return "true or false"; }
  bool read(const Written& written, bool& value) const;
  std::string show(bool value) const { return value ? "true" : "false"; }
};

struct Size {
  std::string what() const { return R"(a size such as "20GiB" or "512MiB", or "none")"; }
  bool read(const Written& written, std::optional<std::uint64_t>& value) const;
  std::string show(const std::optional<std::uint64_t>& value) const;
};

// As Size, but "auto" for what this program finds out itself.
struct AutoSize {
  std::string what() const { return R"(a size such as "2GiB" or "512MiB", or "auto")"; }
  bool read(const Written& written, std::optional<std::uint64_t>& value) const;
  std::string show(const std::optional<std::uint64_t>& value) const;
};

struct Share {
  std::string what() const { return R"(a percentage from "0%" to "100%", or "none")"; }
  bool read(const Written& written, std::optional<unsigned>& value) const;
  std::string show(const std::optional<unsigned>& value) const;
};

struct Count {
  std::string what() const { return R"(a whole number, or "none")"; }
  bool read(const Written& written, std::optional<std::uint64_t>& value) const;
  std::string show(const std::optional<std::uint64_t>& value) const;
};

struct Age {
  std::string what() const { return R"(a time such as "12h" or "30d", or "none")"; }
  bool read(const Written& written, std::optional<std::chrono::seconds>& value) const;
  std::string show(const std::optional<std::chrono::seconds>& value) const;
};

// From a second to a year.
struct Duration {
  std::string what() const { return R"(a time such as "90s", "15m" or "2h", at most "365d")"; }
  bool read(const Written& written, std::chrono::seconds& value) const;
  std::string show(std::chrono::seconds value) const;
};

struct Whole {
  std::uint64_t least = 0;
  std::uint64_t most = 0;

  std::string what() const;
  bool read(const Written& written, std::uint64_t& value) const;
  bool read(const Written& written, unsigned& value) const;
  std::string show(std::uint64_t value) const;
};

struct AutoWhole {
  unsigned least = 0;
  unsigned most = 0;

  std::string what() const;
  bool read(const Written& written, std::optional<unsigned>& value) const;
  std::string show(const std::optional<unsigned>& value) const;
};

// An absolute path; `or_none`: or an empty text.
struct Path {
  bool or_none = false;

  std::string what() const;
  bool read(const Written& written, std::filesystem::path& value) const;
  std::string show(const std::filesystem::path& value) const { return toml_text(value.native()); }
};

// The name of a user, or an empty text.
struct User {
  std::string what() const { return R"(the name of a user, or "")"; }
  bool read(const Written& written, std::string& value) const;
  std::string show(const std::string& value) const { return toml_text(value); }
};

struct Uris {
  std::string what() const { return R"(a list of URIs, such as ["qemu:///system"])"; }
  bool read(const Written& written, std::vector<std::string>& value) const;
  std::string show(const std::vector<std::string>& value) const;
};

struct Paths {
  std::string_view example = {};

  std::string what() const {
    return fmt::format("a list of absolute paths, such as [{}]", toml_text(example));
  }
  bool read(const Written& written, std::vector<std::filesystem::path>& value) const;
  std::string show(const std::vector<std::filesystem::path>& value) const;
};

// One of some words.
template <class Value>
struct Word {
  std::span<const std::pair<std::string_view, Value>> words;

  std::string what() const {
    std::string text;
    for (const auto& [name, value] : words) {
      text += (text.empty() ? "" : name == words.back().first ? " or " : ", ") + toml_text(name);
    }
    return text;
  }
  bool read(const Written& written, Value& value) const {
    for (const auto& [name, meant] : words) {
      if (written.is(Written::Type::text) && written.word() == name) {
        value = meant;
        return true;
      }
    }
    return false;
  }
  std::string show(Value value) const {
    for (const auto& [name, meant] : words) {
      if (meant == value) {
        return toml_text(name);
      }
    }
    return {};
  }
};

}  // namespace vmcore::config
