// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/edit_text.h"

#include <algorithm>
#include <map>

namespace vmcore::guest::root {
namespace {

// A line without its end, and the end: "\n", "\r\n", or nothing at the end of the text.
struct Line {
  std::string_view text;
  std::string_view end;
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    const std::size_t whole = newline == std::string_view::npos ? text.size() : newline + 1;
    std::size_t length = std::min(newline, text.size());
    length -= length > 0 && whole > length && text[length - 1] == '\r' ? 1U : 0U;
    lines.push_back({text.substr(0, length), text.substr(length, whole - length)});
    text.remove_prefix(whole);
  }
  return lines;
}

bool is_comment(std::string_view line) {
  const std::size_t first = line.find_first_not_of(" \t");
  return first != std::string_view::npos && (line[first] == '#' || line[first] == ';');
}

bool is_bound(char c) { return c == ' ' || c == '\t' || c == '"' || c == '\''; }

// The position of the word in the line, bounded on both sides; npos if it is not there.
std::size_t find_word(std::string_view line, std::string_view word) {
  for (std::size_t at = line.find(word); at != std::string_view::npos;
       at = line.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || is_bound(line[at - 1]) || line[at - 1] == '=') &&
        (end == line.size() || is_bound(line[end]))) {
      return at;
    }
  }
  return std::string_view::npos;
}

std::string line_without_word(std::string line, std::string_view word) {
  for (std::size_t at = find_word(line, word); at != std::string::npos;
       at = find_word(line, word)) {
    const bool blank_before = at > 0 && line[at - 1] == ' ';
    const bool blank_behind = at + word.size() < line.size() && line[at + word.size()] == ' ';
    line.erase(blank_before ? at - 1 : at, word.size() + (blank_before || blank_behind ? 1 : 0));
  }
  return line;
}

}  // namespace

std::string joined(const Words& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

bool has_word(std::string_view text, std::string_view word) {
  return std::ranges::any_of(lines_of(text), [word](const Line& line) {
    return !is_comment(line.text) && find_word(line.text, word) != std::string_view::npos;
  });
}

std::string last_word_with(std::string_view text, std::string_view prefix) {
  std::string found;
  for (const Line& line : lines_of(text)) {
    for (std::size_t at = 0; !is_comment(line.text) && at < line.text.size();) {
      const std::size_t end = std::min(line.text.find_first_of(" \t\"'", at), line.text.size());
      const std::string_view word = line.text.substr(at, end - at);
      found = word.starts_with(prefix) ? word : found;
      at = end + 1;
    }
  }
  return found;
}

std::string with_line(std::string_view text, std::string_view line) {
  const std::vector<Line> lines = lines_of(text);
  const std::string end(!lines.empty() && lines.front().end == "\r\n" ? "\r\n" : "\n");
  const bool open = !lines.empty() && lines.back().end.empty();
  return std::string(text) + (open ? end : "") + std::string(line) + end;
}

std::string with_words(std::string_view text, const Words& words,
                       const std::function<bool(std::string_view)>& wanted) {
  std::string result;
  for (const Line& line : lines_of(text)) {
    result += line.text;
    if (wanted(line.text)) {
      const bool needs_blank = !line.text.empty() && line.text.back() != ' ';
      result += (needs_blank ? " " : "") + joined(words);
    }
    result += line.end;
  }
  return result;
}

std::string without_words(std::string_view text, const Words& words) {
  std::string result;
  for (const Line& line : lines_of(text)) {
    std::string rest(line.text);
    for (const std::string& word : words) {
      rest = is_comment(rest) ? rest : line_without_word(std::move(rest), word);
    }
    result += rest;
    result += line.end;
  }
  return result;
}

bool has_lines(std::string_view whole, std::string_view part) {
  const std::vector<Line> wanted = lines_of(part);
  std::size_t found = 0;
  for (const Line& line : lines_of(whole)) {
    found += found < wanted.size() && line.text == wanted[found].text ? 1U : 0U;
  }
  return found == wanted.size();
}

std::string undo_edit(std::string_view before, std::string_view after, std::string_view current,
                      const Words& words) {
  const std::vector<Line> old_lines = lines_of(before);
  const std::vector<Line> new_lines = lines_of(after);
  std::map<std::string_view, std::string_view> changed;
  std::vector<std::string_view> added;
  for (std::size_t i = 0; i < new_lines.size(); ++i) {
    if (i >= old_lines.size()) {
      added.push_back(new_lines[i].text);
    } else if (new_lines[i].text != old_lines[i].text) {
      changed.emplace(new_lines[i].text, old_lines[i].text);
    }
  }
  std::string result;
  for (const Line& line : lines_of(current)) {
    if (std::ranges::find(added, line.text) != added.end()) {
      continue;
    }
    const auto was = changed.find(line.text);
    result += was != changed.end()
                  ? std::string(was->second) + std::string(line.end)
                  : without_words(std::string(line.text) + std::string(line.end), words);
  }
  return result;
}

}  // namespace vmcore::guest::root
