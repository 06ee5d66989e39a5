// How a verb ends that failed.
#pragma once

#include "src/base/result.h"

namespace vmcore::cli {

// Prints the error to standard error, once, and gives the exit code for it.
int report_error(const Error& error);

}  // namespace vmcore::cli
