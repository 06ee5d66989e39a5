// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/config/kernel_words.h"

#include <utility>

namespace vmcore::guest::config {

std::vector<std::string> kernel_words(std::string_view command_line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  for (const char c : command_line) {
    const bool blank = c == ' ' || c == '\t' || c == '\n';
    if (blank && !quoted) {
      if (!word.empty()) {
        words.push_back(std::exchange(word, ""));
      }
      continue;
    }
    quoted = quoted != (c == '"');
    word += c;
  }
  if (!word.empty()) {
    words.push_back(std::move(word));
  }
  return words;
}

}  // namespace vmcore::guest::config
