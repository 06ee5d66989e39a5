// SPDX-License-Identifier: GPL-2.0-or-later
// The verb among the words of a command line, before they are parsed.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/command/program.h"

namespace vmcore {

// Whether the value of this option is the next word.
using TakesValue = std::function<bool(const std::string& option)>;

// The words with options that stood before the verb behind it, as they stand for virsh
// (`-c URI dump vm1`), and `help [VERB]` as `[VERB] --help`. Each other line stays as it is.
std::vector<std::string> verb_first(std::vector<std::string> words, const TakesValue& takes_value);

bool has_verb(std::span<const Verb> verbs, std::string_view word);

// The one of these words that was probably meant: at most two letters differ, are missing, or have
// changed places. Empty where none is near.
std::string nearest_word(std::span<const std::string> known, std::string_view word);
std::string nearest_verb(std::span<const Verb> verbs, std::string_view word);

}  // namespace vmcore
