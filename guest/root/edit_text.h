// SPDX-License-Identifier: GPL-2.0-or-later
// Edits of configuration files, from text to text. An edit inserts words into existing lines or
// appends lines, and does nothing else; undo_edit relies on that. Line ends stay as they are (CR
// LF).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace vmcore::guest::root {

using Words = std::vector<std::string>;

// "a b c".
std::string joined(const Words& words);

// Whether a line that is not a comment contains the word, bounded by blanks or quotes.
bool has_word(std::string_view text, std::string_view word);
// The last word that begins with `prefix`, in lines that are not comments; empty if there is none.
std::string last_word_with(std::string_view text, std::string_view prefix);

// Appends the line.
std::string with_line(std::string_view text, std::string_view line);
// Appends the words to each line that `wanted` selects.
std::string with_words(std::string_view text, const Words& words,
                       const std::function<bool(std::string_view line)>& wanted);
// Removes each of the words, and the blank before it, from all lines that are not comments.
std::string without_words(std::string_view text, const Words& words);

// Whether `whole` contains the lines of `part` in their order, possibly with other lines between
// them.
bool has_lines(std::string_view whole, std::string_view part);

// Undoes in `current` the edit from `before` to `after`: removes the added lines and restores the
// changed lines. From a line that was changed again since, removes `words`. Other lines stay.
std::string undo_edit(std::string_view before, std::string_view after, std::string_view current,
                      const Words& words);

}  // namespace vmcore::guest::root
