// SPDX-License-Identifier: GPL-2.0-or-later
// The words of a kernel command line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmcore::guest::config {

// Splits the command line as the kernel does (lib/cmdline.c, next_arg): blanks inside double quotes
// belong to the word.
std::vector<std::string> kernel_words(std::string_view command_line);

}  // namespace vmcore::guest::config
