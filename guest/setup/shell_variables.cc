// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/setup/shell_variables.h"

#include <algorithm>
#include <cctype>

namespace vmcore::guest::setup {
namespace {

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string_view take_name(std::string_view& text) {
  const auto end = std::ranges::find_if_not(text, is_name);
  const std::string_view name = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(name.size());
  return name;
}

// Takes `$NAME`, `${NAME}` or a command off the front and returns its value.
std::string take_expansion(std::string_view& text, const Variables& variables) {
  std::string_view rest = text.substr(1);
  const bool braces = rest.starts_with('{');
  rest.remove_prefix(braces ? 1 : 0);
  const std::string_view name = take_name(rest);
  if (!name.empty() && (!braces || rest.starts_with('}'))) {
    text = rest.substr(braces ? 1 : 0);
    return value_of(variables, name);
  }
  const std::size_t close = text.starts_with("$(") ? text.find(')') : 0;
  const std::string_view kept = text.substr(0, close == std::string_view::npos ? close : close + 1);
  text.remove_prefix(kept.size());
  return std::string(kept);
}

// Reads words as the shell does.
class Script {
 public:
  Script(std::string_view text, Variables& variables) : text_(text), variables_(&variables) {}

  void run() {
    while (!text_.empty()) {
      statement();
    }
  }

 private:
  // One command with the assignments before it.
  void statement() {
    bool assigns = true;
    while (!text_.empty()) {
      const char c = text_.front();
      if (c == '\n' || c == ';') {
        text_.remove_prefix(1);
        return;
      }
      if (c == ' ' || c == '\t' || c == '\r') {
        text_.remove_prefix(1);
      } else if (c == '#') {
        text_.remove_prefix(std::min(text_.find('\n'), text_.size()));
      } else {
        assigns = assigns && assignment();
        if (!assigns) {
          assigns = word() == "export";
        }
      }
    }
  }

  bool assignment() {
    std::string_view rest = text_;
    const std::string_view name = take_name(rest);
    const bool more = rest.starts_with("+=");
    if (name.empty() || (!more && !rest.starts_with('='))) {
      return false;
    }
    text_ = rest.substr(more ? 2 : 1);
    const std::string before = more ? value_of(*variables_, name) : "";
    variables_->insert_or_assign(std::string(name), before + word());
    return true;
  }

  // Up to a blank or the end of the command, without its quotes. At least one character is taken.
  std::string word() {
    std::string value;
    while (!text_.empty() &&
           std::string_view(" \t\r\n;").find(text_.front()) == std::string::npos) {
      part(value);
    }
    return value;
  }

  void part(std::string& value) {
    const char c = text_.front();
    if (c == '$') {
      value += take_expansion(text_, *variables_);
      return;
    }
    text_.remove_prefix(1);
    if (c == '\'') {
      const std::size_t end = std::min(text_.find('\''), text_.size());
      value += text_.substr(0, end);
      text_.remove_prefix(std::min(end + 1, text_.size()));
    } else if (c == '"') {
      quoted(value);
    } else if (c == '\\') {
      escaped(value);
    } else {
      value += c;
    }
  }

  void quoted(std::string& value) {
    while (!text_.empty() && text_.front() != '"') {
      const char c = text_.front();
      if (c == '$') {
        value += take_expansion(text_, *variables_);
        continue;
      }
      text_.remove_prefix(1);
      if (c == '\\') {
        escaped(value);
      } else {
        value += c;
      }
    }
    text_.remove_prefix(text_.empty() ? 0 : 1);
  }

  // Behind a backslash.
  void escaped(std::string& value) {
    if (!text_.empty()) {
      value += text_.front() == '\n' ? "" : std::string(1, text_.front());
      text_.remove_prefix(1);
    }
  }

  std::string_view text_;
  Variables* variables_;
};

}  // namespace

void evaluate(std::string_view script, Variables& variables) { Script(script, variables).run(); }

std::string expanded(std::string_view text, const Variables& variables) {
  std::string result;
  while (!text.empty()) {
    if (text.front() == '$') {
      result += take_expansion(text, variables);
    } else {
      result += text.front();
      text.remove_prefix(1);
    }
  }
  return result;
}

std::string value_of(const Variables& variables, std::string_view name) {
  const auto found = variables.find(name);
  return found == variables.end() ? "" : found->second;
}

}  // namespace vmcore::guest::setup
