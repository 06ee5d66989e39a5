// SPDX-License-Identifier: GPL-2.0-or-later
// How a verb ends that failed.
#pragma once

#include <string>

#include "src/base/printable.h"
#include "src/base/result.h"
#include "src/command/program.h"

namespace vmcore {

// Prints the error to standard error, once, and returns its exit code.
int report_error(const Error& error);
// The same; and if results are printed as JSON, prints an object with "error" to standard output.
int report_error(const Error& error, const Common& common);

// That object: docs/schema/error.json.
std::string error_json(const Error& error);

}  // namespace vmcore
