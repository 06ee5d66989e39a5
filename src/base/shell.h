// SPDX-License-Identifier: GPL-2.0-or-later
// Commands in messages, which the reader pastes into a shell, often as root: safe for all names.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace vmcore {

// The word as the shell reads it back: as it is where no shell makes anything of it, else quoted.
// Characters that a terminal would not show as they are (src/base/printable.h) stand as \NNN in
// $'...', which bash, zsh, ksh and busybox understand (POSIX.1-2024, 2.2.4).
std::string shell_quoted(std::string_view word);

// The word in single quotes, byte by byte: as every shell reads it back, and not for a terminal.
std::string single_quoted(std::string_view word);

// The words as one command to be shown.
std::string shell_command(std::initializer_list<std::string_view> words);
std::string shell_command(const std::vector<std::string>& words);

}  // namespace vmcore
