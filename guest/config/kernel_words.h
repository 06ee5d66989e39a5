// The command line of a kernel, taken apart.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmcore::guest::config {

// Words as the kernel takes them apart (lib/cmdline.c, next_arg): blanks inside of double quotes
// belong to the word.
std::vector<std::string> kernel_words(std::string_view command_line);

}  // namespace vmcore::guest::config
