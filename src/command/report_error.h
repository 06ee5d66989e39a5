// How a verb ends that failed.
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"
#include "src/command/program.h"

namespace vmcore {

// Prints the error to standard error, once, and gives the exit code for it.
int report_error(const Error& error);
// The same, and where results are printed as JSON, an object with "error" to standard output.
int report_error(const Error& error, const Common& common);

// Text that others chose (paths, the guest) on one line: control characters as \xNN, so that it
// cannot steer a terminal.
std::string printable(std::string_view text);
// The same for text of several lines: newlines and tabs stay.
std::string printable_lines(std::string_view text);

}  // namespace vmcore
