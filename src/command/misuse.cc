// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/command/misuse.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "src/command/verb_words.h"

namespace vmcore {
namespace {

// The long options of the verb that its help shows.
std::vector<std::string> options_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) {
      continue;
    }
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  return names;
}

std::string unexpected(const CLI::App& app, const std::string& word) {
  if (!word.starts_with('-')) {
    return fmt::format("there is a word too many: {}", word);
  }
  const std::string name = word.substr(0, word.find('='));
  const std::string nearest = nearest_word(options_of(app), name);
  return fmt::format("there is no option {}{}", name,
                     nearest.empty() ? "" : fmt::format(": did you mean {}?", nearest));
}

// An option of some verb, where no verb is given.
bool is_of_a_verb(const CLI::App& app, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  return std::ranges::any_of(app.get_subcommands({}), [&](const CLI::App* verb) {
    return verb->get_option_no_throw(name) != nullptr;
  });
}

// CLI11 2.2, Error.hpp: its words are for whoever wrote the program.
std::string plainly(const std::string& text) {
  constexpr std::string_view kTwice = ": At Most 1 required but received ";
  constexpr std::string_view kValueless = ": 1 required ";
  constexpr std::string_view kExcludes = " excludes ";
  if (const std::size_t at = text.find(kTwice); at != std::string::npos) {
    return fmt::format("{} is given {} times: give it once", text.substr(0, at),
                       text.substr(at + kTwice.size()));
  }
  if (const std::size_t at = text.find(kValueless);
      at != std::string::npos && text.ends_with(" missing")) {
    return fmt::format("{} needs a value", text.substr(0, at));
  }
  if (const std::size_t at = text.find(kExcludes); at != std::string::npos) {
    return fmt::format("{} cannot be given with {}", text.substr(0, at),
                       text.substr(at + kExcludes.size()));
  }
  return text;
}

}  // namespace

std::string misuse_text(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<CLI::App*> verbs = app.get_subcommands();
  const std::string place =
      verbs.empty() ? app.get_name() : app.get_name() + " " + verbs.front()->get_name();
  const std::string who =
      verbs.empty() ? app.get_name() : app.get_name() + ": " + verbs.front()->get_name();
  const CLI::App& used = verbs.empty() ? app : *verbs.front();
  const std::vector<std::string> left = app.remaining(true);
  const bool is_unexpected = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
  std::string what;
  if (verbs.empty() && (left.empty() || is_of_a_verb(app, left.front()))) {
    what = "no verb is given";
  } else if (!left.empty() && (is_unexpected || verbs.empty())) {
    what = unexpected(used, left.front());
  } else {
    what = plainly(error.what());
  }
  return fmt::format("{}: {} (see: {} --help)", who, what, place);
}

}  // namespace vmcore
