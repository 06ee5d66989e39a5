// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/command/verb_words.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace vmcore {
namespace {

// Options of the program itself.
constexpr std::array<std::string_view, 4> kOfProgram{"-h", "--help", "-V", "--version"};

bool is_of_program(std::string_view word) {
  return std::ranges::find(kOfProgram, word) != kOfProgram.end();
}

// How many words stand before the verb.
std::size_t words_before_verb(const std::vector<std::string>& words,
                              const TakesValue& takes_value) {
  std::size_t at = 0;
  while (at < words.size() && words[at].starts_with('-') && words[at] != "--" &&
         !is_of_program(words[at])) {
    at += takes_value(words[at]) ? 2U : 1U;
  }
  return at;
}

// The fewest letters to be put in, taken out, replaced or exchanged with the next one (the optimal
// string alignment distance).
std::size_t distance(std::string_view one, std::string_view other) {
  std::vector<std::vector<std::size_t>> cost(one.size() + 1,
                                             std::vector<std::size_t>(other.size() + 1));
  for (std::size_t i = 0; i <= one.size(); ++i) {
    for (std::size_t j = 0; j <= other.size(); ++j) {
      if (i == 0 || j == 0) {
        cost[i][j] = i + j;
        continue;
      }
      const std::size_t differs = one[i - 1] == other[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + differs});
      if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[one.size()][other.size()];
}

}  // namespace

std::vector<std::string> verb_first(std::vector<std::string> words, const TakesValue& takes_value) {
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.resize(std::min<std::size_t>(words.size(), 1));
    words.emplace_back("--help");
    return words;
  }
  const std::size_t before = words_before_verb(words, takes_value);
  if (before < words.size() && !words[before].starts_with('-')) {
    const auto begin = words.begin();
    const auto verb = begin + static_cast<std::ptrdiff_t>(before);
    std::rotate(begin, verb, verb + 1);
  }
  return words;
}

bool has_verb(std::span<const Verb> verbs, std::string_view word) {
  return std::ranges::find(verbs, word, &Verb::name) != verbs.end();
}

std::string nearest_word(std::span<const std::string> known, std::string_view word) {
  std::string nearest;
  std::size_t least = std::min<std::size_t>(3, word.size());  // letters: more is another word
  for (const std::string& each : known) {
    const std::size_t far = word.size() > 32 ? least : distance(word, each);
    if (far < least) {
      least = far;
      nearest = each;
    }
  }
  return nearest;
}

std::string nearest_verb(std::span<const Verb> verbs, std::string_view word) {
  std::vector<std::string> names;
  for (const Verb& verb : verbs) {
    names.emplace_back(verb.name);
  }
  return nearest_word(names, word);
}

}  // namespace vmcore
