// The name of a dump that was given none.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace vmcore::job {

// "vm1-20261121T093000Z.vmcore". Whatever is not a letter, a digit or one of "._+@-" in the guest's
// name becomes %XX, a leading dot or dash too, so that the name is one plain file name.
std::string dump_name(std::string_view guest, std::chrono::system_clock::time_point time);

}  // namespace vmcore::job
