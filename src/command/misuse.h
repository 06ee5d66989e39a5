// SPDX-License-Identifier: GPL-2.0-or-later
// What is wrong with a command line.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace vmcore {

// One line that says what CLI11 found, and where the help is: "vmcorectl: dump: there is no option
// --kep: did you mean --keep? (see: vmcorectl dump --help)". It may have any words of the user.
std::string misuse_text(const CLI::App& app, const CLI::ParseError& error);

}  // namespace vmcore
