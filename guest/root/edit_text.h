// Edits of configuration files, text in, text out. They put words into lines in place, or add lines
// at the end, and nothing else: that is what undo_edit counts on. Lines keep their ends (CR LF).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace vmcore::guest::root {

using Words = std::vector<std::string>;

// "a b c".
std::string joined(const Words& words);

// Whether a line that is no comment has the word, bounded by blanks or quotes.
bool has_word(std::string_view text, std::string_view word);
// The last word that begins with `prefix` in lines that are no comments; empty if there is none.
std::string last_word_with(std::string_view text, std::string_view prefix);

// The line at the end, on a line of its own.
std::string with_line(std::string_view text, std::string_view line);
// The words at the end of each line that `wanted` picks.
std::string with_words(std::string_view text, const Words& words,
                       const std::function<bool(std::string_view line)>& wanted);
// Each of the words gone, wherever it stands in a line that is no comment, with the blank before
// it.
std::string without_words(std::string_view text, const Words& words);

// Whether the lines of `part` stand in `whole`, in their order, whatever stands between them.
bool has_lines(std::string_view whole, std::string_view part);

// `current` without what the edit from `before` to `after` brought: its lines go, lines that it
// changed are as they were, and of lines that were changed since, `words` go. All else stays.
std::string undo_edit(std::string_view before, std::string_view after, std::string_view current,
                      const Words& words);

}  // namespace vmcore::guest::root
