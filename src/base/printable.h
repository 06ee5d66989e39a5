// SPDX-License-Identifier: GPL-2.0-or-later
// Makes text that others chose (names, paths, the guest) safe to show: it cannot control a
// terminal, nor show its letters in another order than it has them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vmcore {

// On one line. Control characters (C1 as well), the bidirectional controls and line separators of
// Unicode, and bytes that are no UTF-8 become \xNN, byte by byte.
std::string printable(std::string_view text);
// The same for text of several lines: newlines and tabs stay.
std::string printable_lines(std::string_view text);

// The length of the text without an incomplete character at its end: text that arrives in pieces is
// cut there.
std::size_t whole_characters(std::string_view text);

// Whether printable() changes nothing of it.
bool is_printable(std::string_view text);

}  // namespace vmcore
